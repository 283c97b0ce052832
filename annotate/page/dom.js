// Elements of a page.

export const $ = (id) => document.getElementById(id);

export function make(tag, text = "", more = {}) {
  return Object.assign(document.createElement(tag), { textContent: text, ...more });
}
