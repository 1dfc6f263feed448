// Keeps a page current and saves clicks. Every page works without it.
// Parts of pages come from the server as HTML and replace the parts of the same id; all text of others has been escaped there.

document.documentElement.classList.add("js");
const $ = (id) => document.getElementById(id);
const asIs = { createHTML: (text) => text };
const trusted = window.trustedTypes?.createPolicy("portal", asIs) ?? asIs;

// --- Times: in the reader's zone and language.

const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];
const distance = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function ago(moment) {
  const seconds = (moment - Date.now()) / 1000;
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return distance.format(Math.trunc(seconds / size), unit);
  }
  return seconds < 0 ? "just now" : "in less than a minute";
}

function times(within = document) {
  for (const time of within.querySelectorAll("time[datetime]")) {
    const moment = Date.parse(time.dateTime);
    if (Number.isNaN(moment)) continue;
    const local = exact.format(moment);
    const text = time.hasAttribute("data-short") ? ago(moment) : `${local} (${ago(moment)})`;
    if (time.textContent !== text) time.textContent = text;
    if (time.title !== local) time.title = local;
  }
}

// --- Parts: what the reader does stays, such as focus, typed text, open menus.

const isControl = (node) =>
  node instanceof HTMLInputElement || node instanceof HTMLTextAreaElement || node instanceof HTMLSelectElement;

/** Gives the new control what the reader has typed or chosen in the old one. */
function keepTyped(old, fresh) {
  if (!isControl(old) || old.type === "hidden" || !isControl(fresh)) return;
  if (["checkbox", "radio"].includes(old.type)) return void fresh.toggleAttribute("checked", (fresh.checked = old.checked));
  if (old instanceof HTMLInputElement) fresh.setAttribute("value", old.value);
  else if (old instanceof HTMLTextAreaElement) fresh.textContent = old.value;
  else for (const option of fresh.options) option.toggleAttribute("selected", option.value === old.value);
  fresh.value = old.value;
}

const MORPH = {
  morphStyle: "outerHTML",
  ignoreActiveValue: true,
  callbacks: {
    // What is the same needs no look at its parts: most rows of a list do not change.
    // A button that was pressed says so until its answer comes.
    beforeNodeMorphed: (old, fresh) => old.ariaBusy !== "true" && !old.isEqualNode(fresh) && (keepTyped(old, fresh) ?? true),
    // `open` of menus, sections and dialogs is the reader's.
    beforeAttributeUpdated: (name) => name !== "open",
  },
};

/** Replaces parts of the page by those of the same id; parts that the page does not have are ignored. */
function patch(html) {
  const template = document.createElement("template");
  template.innerHTML = trusted.createHTML(html);
  for (const fresh of [...template.content.children]) {
    const old = fresh.id && $(fresh.id);
    if (!old) continue;
    times(fresh.parentNode);
    window.Idiomorph.morph(old, fresh, MORPH);
  }
  placeSliders();
  // Opens the workspace once: going back does not open it again. An open question comes first.
  const open = document.querySelector("body:not(:has(dialog)) #opening ~ #head a.primary");
  if (open) $("opening").remove(), open.click();
}

// --- Announcements: polite, and at most one in five seconds.

let [spoken, unspoken] = [0, []];

function announce(text) {
  unspoken.push(text);
  if (unspoken.length > 1) return;
  setTimeout(() => {
    spoken = Date.now();
    $("announce").textContent = unspoken.slice(-3).join(" ");
    unspoken = [];
  }, Math.max(0, spoken + 5000 - Date.now()));
}

// --- Live: the stream of changes.

const show = (id, shown) => ($(id).hidden = !shown);

/** Whether the status says that what the page shows is gone, or that the reader may no longer see it. */
const isEnd = (status) => [403, 404, 409].includes(status);

/** Whether the session is out (401 or the way to the sign-in; null: no answer). The page says that, and whether what it shows has ended. */
async function isGone(address = document.querySelector("link[rel=stylesheet]").href) {
  const signal = AbortSignal.timeout(10000);
  const answer = fetch(address, { method: "HEAD", redirect: "manual", cache: "no-store", signal });
  const { type, status } = await answer.catch(() => ({}));
  const out = type ? type === "opaqueredirect" || status === 401 : null;
  show("gone", out === true);
  if (isEnd(status)) show("ended", true);
  return out;
}

let pause = 2000;

/** Keeps the stream of `address()`, if any, open while the tab is visible. Calls `lost` when it fails, with whether the session is out. */
function keepOpen(address, events, lost, probed) {
  let [source, due] = [null, 0];
  const isWanted = () => !document.hidden && address();
  const close = () => (source = source?.close());
  const turn = () => {
    if (!isWanted()) return close();
    if (source) return;
    // It has 15 s to open, and ends after 10 s. Then the browser opens it again by itself.
    due = Date.now() + 15000;
    source = new EventSource(address());
    source.onopen = () => (due = Date.now() + 25000);
    source.onerror = () => source.readyState === EventSource.CLOSED && fail();
    for (const [name, act] of Object.entries(events)) source.addEventListener(name, act);
  };
  // The pause grows until something comes.
  const rest = () => {
    close();
    setTimeout(turn, pause);
    pause = Math.min(pause * 2, 60000);
  };
  const fail = async () => {
    close();
    const out = await isGone(probed);
    if (source || !isWanted()) return;
    lost(out);
    rest();
  };
  // The clock finds a stalled stream: timers stand still while the machine sleeps.
  setInterval(() => source && Date.now() > due && fail(), 5000);
  document.addEventListener("visibilitychange", turn);
  turn();
  return { turn, rest };
}

function connect(address) {
  const events = {
    open: () => ["still", "gone", "ended"].forEach((id) => show(id, false)),
    patch: ({ data }) => (pause = 2000) && patch(data),
    announce: ({ data }) => announce(data),
    // What the page shows is gone, or the reader may no longer see it. It may come back.
    end: () => {
      show("ended", true);
      rest();
    },
  };
  const { rest } = keepOpen(() => address, events, (out) => show("still", !out), address);
}

// --- Forms: judged by the server while a user types.

const HTML = { headers: { Accept: "text/html" }, redirect: "manual" };

let [checking, due] = [null, 0];

function check(form) {
  clearTimeout(due);
  due = setTimeout(async () => {
    checking?.abort();
    checking = new AbortController();
    const [body, { signal }] = [new URLSearchParams(new FormData(form)), checking];
    try {
      const answer = await fetch(form.dataset.check, { ...HTML, method: "POST", body, signal });
      show("ended", isEnd(answer.status));
      if (answer.ok) patch(await answer.text());
      else if (!isEnd(answer.status)) isGone();
    } catch {
      // Superseded, or no connection: the form itself is judged when it is sent.
    }
  }, 300);
}

// --- Sending: not while the session is over, because the answer would take the place of what was typed.

const [asked, sure] = [new WeakSet(), new WeakSet()];
const DOING = { start: "Starting…", stop: "Stopping…", restart: "Restarting…", delete: "Deleting…", "sign-out": "Signing out…", new: "Creating…" };

/** The pressed button says at once what is being done. Returns what takes that back. */
function begin(form, button) {
  const [label, said] = [[...button.childNodes], DOING[form.getAttribute("action").split("/").pop()] ?? "Sending…"];
  button.replaceChildren(said);
  button.ariaBusy = "true";
  announce(said);
  return () => {
    button.replaceChildren(...label);
    button.ariaBusy = null;
  };
}

async function send(event) {
  const [form, button] = [event.target, event.submitter];
  if (form.method !== "post" || sure.delete(form)) return;
  event.preventDefault();
  if (asked.has(form)) return;
  asked.add(form);
  const restore = button ? begin(form, button) : () => {};
  // Also where the reader comes back to this page, or stops the way to the next one.
  addEventListener("pagehide", restore, { once: true });
  setTimeout(restore, 15000);
  const out = await isGone();
  asked.delete(form);
  show("away", out === null);
  if (out === false) {
    sure.add(form);
    return form.requestSubmit(button);
  }
  restore();
  form.closest("dialog")?.close();
  $(out ? "gone" : "away").focus();
}

// --- Sliders: beside a text field, never alone. Both show one value: what is typed between two steps gets a place of its own.

const FACTORS = { m: 1, "": 1e3, k: 1e6, M: 1e9, G: 1e12, T: 1e15, P: 1e18 };
for (const [power, unit] of ["Ki", "Mi", "Gi", "Ti", "Pi"].entries()) FACTORS[unit] = 1000 * 1024 ** (power + 1);

/** The amount of a quantity such as `4Gi`, in thousandths; NaN if it is none. */
function amount(text) {
  const [, number, unit] = /^(\d*\.?\d+)([a-zA-Z]*)$/.exec(text) ?? [];
  return Number(number) * FACTORS[unit];
}

/** Puts the slider where its field is; an empty field has its default. */
function place(slider) {
  const field = $(slider.dataset.for);
  const text = field.value.trim() || field.placeholder;
  const wanted = amount(text);
  const steps = slider.dataset.values.split(" ");
  if (wanted >= 0 && !steps.some((step) => amount(step) === wanted)) {
    const after = steps.findIndex((step) => amount(step) > wanted);
    steps.splice(after < 0 ? steps.length : after, 0, text);
  }
  slider.steps = steps;
  slider.max = steps.length - 1;
  if (wanted >= 0) slider.value = steps.findIndex((step) => amount(step) === wanted);
  slider.classList.toggle("unset", !(wanted >= 0));
  slider.setAttribute("aria-valuetext", wanted >= 0 ? text : "no value");
}

const placeSliders = () => document.querySelectorAll("input[data-for]").forEach(place);

// --- Dialogs: a page that asks, shown over this one.

async function ask(link) {
  const answer = await fetch(link.href, HTML).catch(() => null);
  const text = answer?.ok ? await answer.text().catch(() => "") : "";
  const page = new DOMParser().parseFromString(trusted.createHTML(text), "text/html");
  const question = page.getElementById("confirm");
  if (!question) return location.assign(link.href);
  const dialog = document.createElement("dialog");
  const textContent = page.querySelector("h1")?.textContent ?? "";
  const title = Object.assign(document.createElement("h2"), { id: "dialog-title", textContent });
  dialog.setAttribute("aria-labelledby", title.id);
  // Outside a dialog nothing is announced while it is open.
  dialog.append(title, document.adoptNode(question), $("announce"));
  dialog.addEventListener("close", () => {
    document.body.append($("announce"));
    dialog.remove();
    // The link may have been replaced meanwhile: then one to the same address.
    const back = link.isConnected ? link : [...document.links].find((other) => other.href === link.href);
    back?.closest("details.menu:not([open])")?.querySelector("summary").focus();
    if (document.activeElement === document.body) back?.focus();
  });
  document.body.append(dialog);
  times(dialog);
  dialog.showModal();
  (dialog.querySelector("input:not([type=hidden])") ?? dialog.querySelector("[data-close]"))?.focus();
}

// --- Copy buttons.

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    const code = button.parentElement.querySelector("code");
    if (code) getSelection().selectAllChildren(code);
    return announce("Select and copy the marked text.");
  }
  const [label, before] = [button.firstChild, button.firstChild.data];
  label.data = "Copied";
  announce("Copied.");
  setTimeout(() => (label.data = before), 2000);
}

// --- Logs: further lines while the tab is visible.

const MAX_LINES = 5000;

function follow(log) {
  const [box, status] = [$("follow"), $("following")];
  const isOn = () => !box || box.checked;
  let [last, waiting, lines] = [`&after=${log.dataset.last}`, [], log.textContent.split("\n").length];
  const flush = () => {
    if (waiting.length === 0) return;
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.append(waiting.join("\n") + "\n");
    lines += waiting.length;
    waiting = [];
    while (lines > MAX_LINES && log.firstChild !== log.lastChild) {
      lines -= log.firstChild.textContent.split("\n").length - 1;
      log.firstChild.remove();
    }
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  };
  const events = {
    open: () => {
      pause = 2000;
      show("gone", false);
      status.textContent = "Following.";
    },
    line: (event) => {
      last = `&after=${event.lastEventId}`;
      if (waiting.push(event.data) === 1) setTimeout(flush, 100);
    },
    done: () => {
      flush();
      log.removeAttribute("data-stream");
      turn();
      status.textContent = "The container has ended.";
    },
  };
  const address = () => log.dataset.stream && isOn() && log.dataset.stream + last;
  const { turn } = keepOpen(address, events, () => (status.textContent = "Not following. Trying again."));
  const choose = () => {
    if (log.dataset.stream && !isOn()) status.textContent = "Not following.";
    turn();
  };
  box?.addEventListener("change", choose);
  log.scrollTop = log.scrollHeight;
  choose();
}

// --- The page. An Enter that is held since an earlier page, perhaps of another site, presses no button.

const leave = (at) => document.querySelectorAll("details.menu[open]").forEach((menu) => (menu.open &&= menu.contains(at)));
document.addEventListener("focusin", (event) => leave(event.target));
document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  if (!target) return;
  leave(target);
  const button = target.closest("button[data-copy]");
  if (button) return void copy(button);
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  const link = target.closest("a[data-dialog], a[data-close], a[data-offset], #summary a");
  if (!link || !plain) return;
  if (link.matches("[data-dialog]")) {
    event.preventDefault();
    link.closest("details.menu")?.removeAttribute("open");
    ask(link);
  } else if (link.matches("[data-close]")) {
    if (!link.closest("dialog")) return;
    event.preventDefault();
    link.closest("dialog").close();
  } else {
    const field = $(decodeURIComponent(link.hash.slice(1)));
    if (!field) return;
    event.preventDefault();
    field.closest("details")?.setAttribute("open", "");
    field.focus();
    if (link.dataset.offset) field.setSelectionRange(link.dataset.offset, link.dataset.offset);
    else field.scrollIntoView({ block: "center" });
  }
});

document.addEventListener("submit", send);
document.addEventListener("visibilitychange", () => document.hidden || $("gone").hidden || isGone());

document.addEventListener("keydown", (event) => {
  if (event.repeat && event.key === "Enter" && event.target.closest?.("button")) event.preventDefault();
  const menu = event.key === "Escape" && document.activeElement?.closest("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

document.addEventListener("input", (event) => {
  const control = event.target;
  if (control.matches("input[data-for]")) $(control.dataset.for).value = control.steps[control.value];
  placeSliders();
  if (control.form?.dataset.check) check(control.form);
});

times();
setInterval(times, 30000, document);
placeSliders();
if (document.body.dataset.live) connect(document.body.dataset.live);
if ($("log")?.dataset.stream) follow($("log"));
document.querySelector("[data-focus]")?.focus();
if ($("summary")?.matches(".note")) $("summary").focus();
