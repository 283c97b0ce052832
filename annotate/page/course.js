// Lessons, on photos as on volumes: what goes on at the server, what a person asks for there, and the panels that show it.

import { Refused, get, inOrder, insist, post } from "./api.js";
import { readClock } from "./clock.js";
import { $, make } from "./dom.js";
import { away, busy, say, writeExport } from "./notice.js";

const SOON = 200, LATER = 2000;   // milliseconds until it is asked again what goes on

export const course = {
  lessons: null,                    // what the server tells of all items
  item: null,                       // what it tells of the photo or volume that is shown
  status: { state: "preparing" },   // what goes on
  view: null,                       // where something was done last
};

let taught = null;   // key of the item that is taught, or was last
let told = "";       // why a round of it could not be learned, as it was said last
let page = null;

// `given` has open(key); take(told), which takes what is told of the item that is shown; show(); showPanels();
// changed(), what follows from something new that was said (optional); and `end`, said when all is done.
export async function runCourse(given) {
  page = given;
  for (;;) {
    try { await inOrder(look); } catch (error) { say(error.message, true); }
    await new Promise((after) => setTimeout(after, ["learning", "preparing"].includes(course.status.state) ? SOON : LATER));
  }
}

// What goes on; when a round is over the item is read again, and after an item's last one the next one is opened.
async function look() {
  let now;
  try { now = await get("/api/status"); } catch (error) {
    away(!(error instanceof Refused));
    if (error instanceof Refused) throw error;
    return;
  }
  away(false);
  const before = course.status;
  course.status = now;
  // what fails is done again by the next look
  try { await follow(now, before); } catch (error) { course.status = before; throw error; }
  showProgress();
  // buttons that are made again between a finger's down and up would not be pressed
  if (stateOf(now) !== stateOf(before)) page.showPanels();
}

// What goes on, but for how far it is.
const stateOf = ({ done, of, ...rest }) => JSON.stringify(rest);

async function follow(now, before) {
  const follows = !course.item || course.item.key === taught;
  taught = now.key ?? taught;
  const other = now.key !== before.key || now.state !== before.state;
  if (!course.lessons || other) course.lessons = await get("/api/lessons");
  const key = keyToOpen(now, before, follows);
  if (key) await page.open(key, key === course.item?.key);
  // between "learning" and "waiting" the method is prepared again
  const problem = course.item?.problem;
  if (problem && problem !== told) { say(problem, true); told = problem; }
  if (now.state === "resting" && before.state !== "resting") say(page.end);
}

function keyToOpen(now, before, follows) {
  const { item, lessons } = course;
  if (!item) return now.key ?? lessons.photos.findLast((one) => one.met)?.key;
  if (now.key && now.key !== item.key && follows) return now.key;
  const newer = now.key === item.key && now.version !== item.version && now.state === "waiting";
  return now.state !== before.state || newer ? item.key : null;
}

export function openOrSay(key) { page.open(key).catch((error) => say(error.message, true)); }

// Ask for a change; `view` is where it was done.
export function act(request, view = course.view) {
  const { key } = course.item, { path } = view, spent = readClock();
  return inOrder(async () => {
    if (course.item?.key !== key) return;
    if (["teach", "next"].includes(request.do)) told = "";
    try {
      page.take(await insist(`/api/photos/${key}/act`, { ...request, version: course.item.version, spent }, away));
      if (["teach", "next", "cancel"].includes(request.do)) await look(); else await page.changed?.();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      say(error.message, true);
      if (error.status === 409) await page.open(key, true).catch(() => {});   // what it says was said
    } finally {
      view.settle(path);
      await page.show();
    }
  });
}

export const write = () => writeExport(() => post("/api/export", {}));

// Is the item that is shown being taught, and does no round go on.
export const isOpen = () => Boolean(course.item?.current && !course.item.learning);
export const isWaiting = () => isOpen() && course.status.state === "waiting";

export function sayClosed() { say(course.item.learning ? "The round is being learned." : "This is not being taught now.", true); }

function showProgress() {
  const { done, of, problem, state } = course.status, learning = state === "learning";
  $("progress").hidden = $("cancel").hidden = !learning;
  $("progress").firstElementChild.style.width = of ? `${(100 * done) / of}%` : "0";
  const words = { learning: of ? `learning, update ${done} of ${of}` : "learning", preparing: "answering", failed: problem };
  busy(words[state] ?? "");
}

export function showCourse() {
  const { item, lessons } = course, rows = lessons.photos, place = rows.findIndex((one) => one.key === item?.key);
  $("teach").disabled = !isWaiting() || !item.new;
  $("next").disabled = !isWaiting();
  $("name").textContent = item?.name ?? "";
  $("place").textContent = place < 0 ? "" : `${place + 1} of ${rows.length}`;
  $("done").textContent = `${rows.filter((one) => one.finished).length} of ${rows.length} done`;
  document.title = item ? `${item.name} – teach` : "Teach";
}

// The row of an item in the list of lessons.
export function rowOf(one, name, facts) {
  const row = make("li", "", { className: one.key === course.item?.key ? "on" : one.met ? "" : "later" }), head = make("div");
  if (one.met) row.onclick = () => openOrSay(one.key);
  head.append(make("span", name), make("small", [one.finished && "✓", ...facts].filter(Boolean).join(" · ")));
  row.append(head);
  return row;
}

export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
