// Requests to the server. What changes a photo is sent in order, one at a time; while the server is away it is sent again.

// A tab keeps its name through a reload. While it is open the name is not in sessionStorage, which a duplicated tab would copy.
export const tab = sessionStorage.tab ?? crypto.getRandomValues(new Uint32Array(2)).join("-");
sessionStorage.removeItem("tab");
addEventListener("pagehide", () => { sessionStorage.tab = tab; });
addEventListener("pageshow", () => sessionStorage.removeItem("tab"));

export class Refused extends Error {
  constructor(status, line) { super(line); this.status = status; }
}

// Which folders the page is of: the server refuses a page that stayed open while another one took its address.
const place = { "x-interseg-place": document.querySelector("meta[name=place]").content };

export async function get(path) { return answerOf(await fetch(path, { headers: place })); }

export async function post(path, body) {
  const text = JSON.stringify({ tab, ...body });
  return answerOf(await fetch(path, { method: "POST", headers: { "content-type": "application/json", ...place }, body: text }));
}

export async function pictureOf(path) {
  const response = await fetchOf(path);
  return createImageBitmap(await response.blob());
}

// What is no JSON: a picture, or voxels.
export async function fetchOf(path) {
  const response = await fetch(path, { headers: place });
  if (!response.ok) throw new Refused(response.status, (await response.json()).error);
  return response;
}

async function answerOf(response) {
  let body;
  try { body = await response.json(); } catch { throw new Refused(response.status, `the server answered ${response.status}`); }
  if (!response.ok) throw new Refused(response.status, body.error ?? `the server answered ${response.status}`);
  return body;
}

// Status of a server that has too many connections: nothing has happened, and it goes by.
const BUSY = 503;
let count = 0;

// Send until an answer comes. By its `id` what was kept although its answer got lost is answered again, and not done twice.
export async function insist(path, body, away) {
  const request = { id: `${tab} ${++count} ${Date.now()}`, ...body };
  for (;;) {
    try {
      const answer = await post(path, request);
      away(false);
      return answer;
    } catch (error) {
      if (error instanceof Refused && error.status !== BUSY) { away(false); throw error; }
      away(true);
      await new Promise((after) => setTimeout(after, 1000));
    }
  }
}

let line = Promise.resolve();
export function inOrder(work) {
  const result = line.then(work);
  line = result.catch(() => {});
  return result;
}
