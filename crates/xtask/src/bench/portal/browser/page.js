// Runs in each page before the page's own scripts -> what its reader waits for, in milliseconds since the navigation.

(() => {
  const found = { rows: 0, last: 0, largest: 0, shift: 0, blocked: 0, patches: 0 };
  let first = Infinity;
  const long = [];
  const [painted, patched] = [Promise.withResolvers(), Promise.withResolvers()];
  const take = {
    "largest-contentful-paint": (entry) => {
      found.largest = entry.startTime;
      painted.resolve();
    },
    "layout-shift": (entry) => (found.shift += entry.value),
    paint: (entry) => entry.name === "first-contentful-paint" && (first = entry.startTime),
    longtask: (entry) => long.push([entry.startTime, entry.startTime + entry.duration]),
  };
  const observers = Object.entries(take).map(([type, note]) => {
    const observer = new PerformanceObserver((list) => list.getEntries().forEach(note));
    observer.observe({ type, buffered: true });
    return () => observer.takeRecords().forEach(note);
  });

  // The first frame after the whole document has been read shows the last row.
  const look = () => {
    found.rows = document.querySelectorAll(".rows tbody tr").length;
    if (document.readyState === "loading" || found.rows === 0) return requestAnimationFrame(look);
    const after = new MessageChannel();
    after.port1.onmessage = () => (found.last = performance.now());
    after.port2.postMessage(null);
  };
  requestAnimationFrame(look);

  // What the page itself does with a patch follows.
  const Stream = window.EventSource;
  window.EventSource = class extends Stream {
    constructor(address) {
      super(address);
      this.addEventListener("patch", () => {
        found.patches += 1;
        patched.resolve();
      });
    }
  };

  // Total blocking time: of each task, what is beyond its first 50 ms and after the first contentful paint.
  window.found = () => {
    for (const flush of observers) flush();
    const blocked = long.map(([begin, end]) => Math.max(0, end - Math.max(begin + 50, first)));
    return { ...found, blocked: blocked.reduce((sum, time) => sum + time, 0) };
  };

  // All that a load does: it ends with the first patch, which brings the same rows again.
  window.loaded = async () => {
    setTimeout(() => patched.reject(new Error("no patch within 30 s")), 30000);
    await Promise.all([painted.promise, patched.promise]);
    await new Promise((resolve) => requestIdleCallback(resolve));
    return window.found();
  };
})();
