// The person's time: what passes while the page is seen.

let since = performance.now(), spent = 0;

document.addEventListener("visibilitychange", () => {
  if (document.hidden) spent += performance.now() - since; else since = performance.now();
});

export function startClock() {
  spent = 0;
  since = performance.now();
}

// Seconds since the clock was started or read.
export function readClock() {
  const passed = spent + (document.hidden ? 0 : performance.now() - since);
  startClock();
  return Math.round(passed / 10) / 100;
}
