// The photo that is open, and what is asked of the server about it.

import { Refused, get, inOrder, insist, pictureOf, post, tab } from "./api.js";
import { readClock, startClock } from "./clock.js";
import { encode } from "./masks.js";
import { away, busy, say, writeExport } from "./notice.js";

const MOST_VALUES = 100;   // objects that a mask may start
const PNG = [0x89, 0x50, 0x4e, 0x47];   // that a PNG file begins with; byte 24 is its bit depth
const COLOUR = 1 << 24;    // what tells a mask's colours from its greys

export const page = {
  project: null,           // what the server tells of all photos
  photo: null,             // what it tells of the open one
  coming: null,            // key of the one that is being opened
  asked: null,             // key of the one that was asked for last, though it may not have opened
  chosen: null,            // number of the object that is changed, null for the next new one
  category: null,          // of the next new object
  view: null,
  show: () => {},          // shows what is here
  showProject: () => {},
};

let opening = 0;
const refused = new Set();       // keys of photos that cannot be opened
let choice = { number: null };   // of the object; another one each time that the person chooses
let chosenAt = 0;                // actions that the object had when it was chosen
let last = { key: null, picture: null };

export const thing = () => (page.chosen === null ? null : page.photo?.things.get(page.chosen) ?? null);

export const things = () => [...page.photo.things.values()].filter((one) => one.actions && !one.removed).sort((a, b) => a.number - b.number);

// Gives whether the photo cannot be opened, whatever is tried.
export async function open(key, more = {}) {
  const number = ++opening;
  page.coming = page.asked = key;
  if (page.photo && page.photo.key !== key) letGo(page.photo.key);
  busy("opening");
  try {
    const ask = () => (number === opening ? insist(`/api/photos/${key}`, more, away) : null);   // unless another one is wanted by then
    const [told, picture] = await Promise.all([inOrder(ask), lastPicture(key)]);
    if (told && page.asked !== key) letGo(key);   // it came too late
    if (number !== opening || !told) return false;
    refused.delete(key);
    const fresh = page.photo?.key !== key;
    page.photo = { key, ...told, things: new Map(told.things.map((one) => [one.number, one])) };
    if (fresh) { page.view.show(picture); startClock(); }
    if (fresh || !page.photo.things.has(page.chosen)) forgetChoice();
    history.replaceState(null, "", `#${key}`);
    page.showProject();
    page.show();
  } catch (error) {
    say(error.message, true);
    if (error instanceof Refused && error.status === 400) refused.add(key);
    return refused.has(key);
  } finally {
    if (number === opening) { page.coming = null; busy(""); }
  }
  return false;
}

async function lastPicture(key) {
  if (last.key !== key) last = { key, picture: await pictureOf(`/api/photos/${key}/picture`) };
  return last.picture;
}

// Whether another photo than the one that is shown is being opened.
const isLeaving = () => page.coming !== null && page.coming !== page.photo?.key;

// Ask for a change; `asked` may be a function, which is called when it is this request's turn and gives null for nothing.
function act(asked) {
  if (isLeaving()) {
    say("The next photo is being opened; click again when it is there.", true);
    page.view.settle(page.view.path);
    return Promise.resolve(null);
  }
  const { view } = page, { key } = page.photo, { path } = view, spent = readClock();
  return inOrder(async () => {
    if (page.photo?.key !== key) return null;
    const request = typeof asked === "function" ? asked() : asked;
    if (!request) return null;
    const object = typeof request.object === "function" ? request.object() : request.object;
    try {
      view.waiting = true;
      const answer = await insist(`/api/photos/${key}/act`, { ...request, object, version: page.photo.version, spent }, away);
      if (page.photo?.key !== key) return null;
      Object.assign(page.photo, { version: answer.version, finished: answer.finished, last: answer.last });
      for (const one of answer.things) page.photo.things.set(one.number, one);
      return answer.things[0] ?? answer;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      say(error.message, true);
      // a first click that was kept, its answer lost: the next click is of the object that it made
      const known = new Set(page.photo.things.keys()), lost = error.status === 409 && request.do === "click" && object === undefined;
      if (error.status === 409 || error.status === 423) setTimeout(() => open(key).then(() => { if (lost) chooseNew(key, known, request); }));
      return null;
    } finally {
      view.settle(path);
      page.show();
    }
  });
}

// Clicks that come before the first one's answer are of the same object.
export function actOnChosen(request) {
  const turn = choice, { category } = page;
  return act({ ...request, object: () => (turn === choice ? page.chosen : turn.number) ?? undefined, category }).then((one) => {
    if (one?.number === undefined) return;
    turn.number = one.number;
    if (turn === choice && page.chosen === null) { page.chosen = one.number; chosenAt = 0; page.show(); }
  });
}

function forgetChoice() {
  page.chosen = null;
  choice = { number: null };
  chosenAt = 0;
}

export function choose(number) {
  page.chosen = number;
  choice = { number };
  chosenAt = number === null ? 0 : page.photo.things.get(number).actions;
  const category = page.photo.things.get(number)?.category;
  if (page.project.classes.includes(category)) page.category = category;   // one of a list of before can be had no more
  page.show();
}

export function setCategory(name) {
  page.category = name;
  const changes = page.project.outputs === 1 && page.chosen !== null && thing()?.category !== name;
  if (changes) act({ do: "category", object: page.chosen, category: name }); else page.show();
}

// What is undone is decided when it is this request's turn: what was asked before has happened then.
export function undo() {
  act(() => {
    const number = page.chosen ?? page.photo.last, one = page.photo.things.get(number);
    if (one?.removed) return { do: "restore", object: number };
    return one?.actions ? { do: "undo", object: number } : null;
  }).then(chooseIfNone);
}

export function redo() {
  act(() => {
    const number = page.chosen ?? page.photo.last;
    return page.photo.things.get(number)?.undone ? { do: "redo", object: number } : null;
  }).then(chooseIfNone);
}

function chooseNew(key, known, { y, x, label }) {
  const one = page.photo?.key === key && page.chosen === null ? page.photo.things.get(page.photo.last) : null;
  const [click] = one?.clicks ?? [];
  if (click && !known.has(one.number) && !one.removed && click[0] === y && click[1] === x && click[2] === label) choose(one.number);
}

function chooseIfNone(one) { if (one?.number !== undefined && page.chosen === null) choose(one.number); }

// A click that is still being computed is taken back too: this request's turn comes after its answer.
export function cancel() {
  if (isLeaving()) return;
  const turn = choice, from = chosenAt;
  choose(null);
  act(() => {
    const one = page.photo.things.get(turn.number);
    return one && one.actions > from ? { do: "undo", object: one.number, to: from } : null;
  });
}

export function remove(number) {
  act({ do: "remove", object: number }).then((gone) => {
    if (!gone) return;
    if (page.chosen === number) choose(null);
    say("Object removed; Ctrl+Z brings it back.");
  });
}

let finishing = false;

export const finish = () => finishNow().catch((error) => say(error.message, true));

async function finishNow() {
  if (!page.photo || isLeaving() || finishing) return;
  finishing = true;
  try {
    await act({ do: page.photo.finished ? "reopen" : "finish" });
    await refresh();
  } finally {
    finishing = false;
  }
  if (!page.photo.finished) return;
  const { photos } = page.project, place = photos.findIndex((one) => one.key === page.photo.key);
  await openFrom([...photos.slice(place + 1), ...photos.slice(0, place)]);
}

const isOpenable = (one) => !one.finished && !refused.has(one.key);

function sayFinished() {
  const left = refused.size ? ` ${refused.size} cannot be opened.` : "";
  say(`All photos are finished.${left} Export writes the masks.`);
}

// Open the first photo that is not finished and can be opened; those that somebody else works on come last.
export async function openFrom(photos) {
  const left = photos.filter(isOpenable);
  for (const one of [...left.filter((one) => !one.held), ...left.filter((one) => one.held)]) if (!(await open(one.key))) return;
  sayFinished();
}

export function step(by) {
  const place = page.project.photos.findIndex((one) => one.key === page.asked) + by;
  const next = page.project.photos[place];
  if (next) open(next.key).then(refresh).catch((error) => say(error.message, true));
}

// What was asked before is in it; what is asked after does not wait for it.
export const write = (tolerance) => writeExport(async () => {
  await inOrder(() => {});
  return post("/api/export", { tolerance });
});

// An object for each value above 0 of a mask; with a network of classes its values are the classes of one answer.
export async function startFrom(file) {
  try {
    const { key, size: [height, width] } = page.photo, masks = await masksIn(file, [height, width]);
    const check = () => { if (page.photo?.key !== key || isLeaving()) throw new Error("Another photo is open: the rest of the mask is left out."); };
    if (page.project.outputs > 1) {
      check();
      const runs = Object.fromEntries([...masks].map(([value, mask]) => [value, encode(mask, height, width)]));
      await act({ do: "start", category: page.category, runs });
      return;
    }
    for (const mask of masks.values()) {
      check();
      if (page.chosen !== null) choose(null);
      await act({ do: "start", category: page.category, runs: { 1: encode(mask, height, width) } });
    }
  } catch (error) { say(error.message, true); }
}

async function masksIn(file, [height, width]) {
  const header = new Uint8Array(await file.slice(0, 25).arrayBuffer());
  if (PNG.every((byte, i) => header[i] === byte) && header[24] === 16) throw new Error("The mask has 16 bits, of which a browser reads 8; save it with 8.");
  const picture = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  if (picture.width !== width || picture.height !== height) throw new Error(`The mask is ${picture.width} x ${picture.height}, the photo ${width} x ${height}.`);
  const pen = new OffscreenCanvas(width, height).getContext("2d");
  pen.drawImage(picture, 0, 0);
  const { data } = pen.getImageData(0, 0, width, height), masks = new Map();
  for (let i = 0; i < height * width; i++) {
    const red = data[4 * i], green = data[4 * i + 1], blue = data[4 * i + 2];
    const value = red === green && green === blue ? red : COLOUR | (red << 16) | (green << 8) | blue;   // a grey is its own value
    if (!value) continue;
    if (!masks.has(value)) masks.set(value, new Uint8Array(height * width));
    if (masks.size > MOST_VALUES) throw new Error(`The mask has more than ${MOST_VALUES} values; save ids, or black and white.`);
    masks.get(value)[i] = 1;
  }
  if (!masks.size) throw new Error("The mask holds no value above 0.");
  return new Map([...masks].sort(([one], [other]) => one - other));   // ids keep their order
}

export async function refresh() {
  page.project = await get("/api/project");
  page.showProject();
}

// --- the hold on the photo, which is kept by speaking; whoever finds it gone looks on

const EVERY = 10000;   // milliseconds

function letGo(key) {
  const body = new Blob([JSON.stringify({ tab, let_go: true })], { type: "application/json" });
  navigator.sendBeacon(`/api/photos/${key}/hold`, body);
}
addEventListener("pagehide", () => { if (page.photo) letGo(page.photo.key); });
addEventListener("pageshow", (event) => { if (event.persisted && page.photo) open(page.photo.key); });

setInterval(async () => {
  if (!page.photo || document.hidden) return;
  try {
    const { key } = page.photo, { mine } = await post(`/api/photos/${key}/hold`, {});
    if (page.photo.key === key && mine !== page.photo.mine) open(key);
  } catch { /* the next act says it */ }
}, EVERY);
