"use strict";
const year = document.getElementById("year");
const by = (id) => document.getElementById(id);
const all = (what, within = year) => [...within.querySelectorAll(what)];

if (new URLSearchParams(location.search).has("present")) {
  document.documentElement.classList.add("present");
  by("large").href = location.pathname;
  by("large").textContent = "Usual type";
}

function make(tag, text = "", about = {}, ...inside) {
  const made = Object.assign(document.createElement(tag), about);
  made.append(text, ...inside);
  return made;
}

// The week under the slider or the pointer.
function showWeek() {
  const slider = by("week");
  if (!slider) return;
  const row = all("#figures tbody tr")[slider.value], names = all("#figures thead th").map((cell) => cell.textContent);
  const [, flights, ...rest] = [...row.cells].map((cell) => cell.textContent);
  const losses = rest.map((text, i) => text && `${names[i + 2]} ${text}`).filter(Boolean);
  const text = [`Week of ${row.cells[0].textContent}`, `${flights} flights`, ...losses].join(" · ");
  by("week-text").textContent = text;
  slider.setAttribute("aria-valuetext", text);
  for (const cursor of all(".cursor")) {
    cursor.hidden = false;
    cursor.style.left = row.dataset.left + "%";
  }
}

function nearest(x, plot) {
  const box = plot.getBoundingClientRect(), at = 100 * (x - box.left) / box.width, slider = by("week");
  const away = all("#figures tbody tr").map((row) => Math.abs(row.dataset.left - at));
  if (!slider || !away.length) return;
  slider.value = away.indexOf(Math.min(...away));
  showWeek();
}

// Events.
function filter() {
  const shown = new Set(all("[data-kind]:checked").map((box) => box.dataset.kind));
  for (const line of all(".events > li")) line.hidden = !shown.has(line.dataset.kind);
}

function open(id) {
  const event = by(id);
  if (!event) return;
  event.closest("li").hidden = false;
  event.open = true;
  event.querySelector("summary").focus({ preventScroll: true });
  event.scrollIntoView({ block: "nearest" });
}

// A cell of the monitors: its result, and for drift the values behind it.
function showCell(id) {
  const dialog = by("cell");
  mark(id);
  const close = make("button", "Close", { type: "button", id: "close" });
  close.addEventListener("click", closeCell);
  const [title, state] = by(id).title.split(": "), { message, ...facts } = JSON.parse(by(id).dataset.cell);
  const list = make("dl", "", {}, ...Object.entries({ state, ...facts }).filter(([, value]) => value)
    .map(([name, value]) => make("div", "", {}, make("dt", name), make("dd", value))));
  dialog.replaceChildren(close, make("h2", title, { id: "cell-title" }), list, make("p", message), spread(id));
  dialog.dataset.of = id;
  if (!dialog.open) dialog.show();
}

function closeCell() {
  const from = by(by("cell").dataset.of);
  by("cell").close();
  if (from) from.focus({ preventScroll: true });
  mark();
}

function spread(id) {
  const [, name, sunday] = id.match(/^drift-(.*)-(\d{4}-\d\d-\d\d)$/) || [];
  const column = JSON.parse(by("shares").textContent)[name], week = column && column.weeks[sunday];
  if (!week) return "";
  const most = Math.max(...week, ...column.reference);
  const bar = (share, name) => {
    const made = make("i", "", { className: name });
    made.style.width = `${70 * share / most}%`;
    return make("td", "", {}, made, ` ${(share / 10).toFixed(1)}%`);
  };
  const rows = column.bins.map((bin, i) => make("tr", "", {}, make("th", bin, { scope: "row" }), bar(column.reference[i], "then"), bar(week[i], "own")))
    .filter((row, i) => week[i] || column.reference[i]);
  const heads = make("tr", "", {}, ...["value", "January to March", "this week"].map((text) => make("th", text, { scope: "col" })));
  return make("table", "", { className: "spread" }, make("caption", "Share of the flights; of the week, each tenth was read"), make("thead", "", {}, heads), make("tbody", "", {}, ...rows));
}

function mark(id) {
  for (const cell of all(".cell[aria-current]")) cell.removeAttribute("aria-current");
  if (id && by(id)) by(id).setAttribute("aria-current", "true");
}

function step(cell, key) {
  const cells = [...cell.parentElement.children], areas = all(".heat .area:has(.cell)"), i = cells.indexOf(cell);
  const row = areas[areas.indexOf(cell.parentElement) + { ArrowUp: -1, ArrowDown: 1 }[key]];
  const left = (one) => Math.abs(one.offsetLeft - cell.offsetLeft);
  if (row) return [...row.children].reduce((best, one) => (left(one) < left(best) ? one : best));
  return { ArrowLeft: cells[i - 1], ArrowRight: cells[i + 1], Home: cells[0], End: cells.at(-1) }[key];
}

year.addEventListener("keydown", (event) => {
  const cell = event.target.closest(".cell"), next = cell && step(cell, event.key);
  if (!next) return;
  event.preventDefault();
  for (const one of next.parentElement.children) one.tabIndex = one === next ? 0 : -1;
  next.focus();
});
by("cell").addEventListener("keydown", (event) => { if (event.key === "Escape") closeCell(); });
year.addEventListener("input", (event) => {
  if (event.target.id === "week") showWeek();
  if (event.target.dataset.kind) filter();
});
year.addEventListener("click", (event) => {
  const link = event.target.closest(".lane a"), plot = event.target.closest(".plot .area"), cell = event.target.closest(".cell");
  if (link) { event.preventDefault(); open(link.hash.slice(1)); }
  if (plot) nearest(event.clientX, plot);
  if (cell) { showCell(cell.id); by("close").focus({ preventScroll: true }); }
});
year.addEventListener("pointermove", (event) => {
  const plot = event.target.closest(".plot .area");
  if (plot && event.pointerType === "mouse") nearest(event.clientX, plot);
});

filter();
if (location.hash.startsWith("#event-")) open(location.hash.slice(1));
showWeek();

// The live demo's page has controls, and follows the year by itself.
let stamp = "", shown = "", posts = 0, active = [];

async function post(path, body) {
  posts += 1; // a state that was requested before this post is out of date
  try {
    const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    const state = await answer.json();
    by("refused").textContent = answer.ok ? "" : `Refused: ${typeof state.detail === "string" ? state.detail : JSON.stringify(state.detail)}`;
    if (answer.ok) show(state);
  } catch (error) {
    by("refused").textContent = "Not done: the demo has ended or does not answer.";
  }
  posts += 1;
}

function day(text) {
  const at = new Date(`${text}T12:00Z`), name = (of) => at.toLocaleDateString("en-GB", { ...of, timeZone: "UTC" });
  return `${name({ weekday: "short" })} ${at.getUTCDate()} ${name({ month: "short" }).slice(0, 3)}`;
}

function show(state) {
  const { clock, faults, stage } = state;
  const running = clock.day ? `${day(clock.day)} · ${clock.paused ? "paused" : "running"}` : "the year begins";
  const status = stage === "live" ? running : stage;
  if (status !== shown) by("status").textContent = shown = status;
  by("status").dataset.day = clock.day;
  doing(state.activity);
  by("go").textContent = clock.paused ? "Resume" : "Pause";
  by("go").dataset.action = clock.paused ? "resume" : "pause";
  if (document.activeElement !== by("speed")) by("speed").value = clock.speed; // an open list is not changed
  const words = faults.map((one) => `Fault injected: ${one.what}, ${one.size}, since ${day(one.day)}`).join("; ");
  if (by("active").textContent === words) return;
  if (!active.length) by("fault").value = faults[0].fault;
  active = faults;
  by("active").textContent = words;
  by("controls").classList.toggle("struck", active.length > 0);
  for (const option of by("fault").options) option.textContent = (activeOf(option.value) ? "● " : "") + option.dataset.what;
  sizes();
}

function doing(activity) {
  const bar = by("share");
  bar.hidden = !activity;
  by("doing").textContent = activity ? `${activity.what}, ${Math.round(activity.seconds)} s` : "";
  if (activity && activity.share !== null) bar.value = activity.share;
  else bar.removeAttribute("value");
}

// One button injects the chosen fault and removes it again, so that nothing moves.
function activeOf(fault) {
  return active.find((one) => one.fault === fault);
}

function sizes() {
  const names = by("fault").selectedOptions[0].dataset.sizes.split("|"), one = activeOf(by("fault").value);
  by("size").replaceChildren(...names.map((name, i) => new Option(name, i + 1)));
  by("size").value = one ? one.number : 1;
  offer();
}

function offer() {
  const one = activeOf(by("fault").value), remove = one && one.number === Number(by("size").value);
  by("inject").textContent = remove ? "Remove" : "Inject";
  by("inject").setAttribute("aria-label", remove ? `Remove: ${one.what}` : "Inject");
}

function inject() {
  const fault = by("fault").value, size = Number(by("size").value);
  if (by("inject").textContent === "Remove") post("/faults/remove", { fault });
  else post("/faults", { fault, size });
}

// Replace the year; what is open, filtered, chosen, scrolled to and focused stays so, found again by its id.
function redraw(html) {
  const held = hold();
  year.innerHTML = html;
  for (const id of held.open) if (by(id)) by(id).open = true;
  for (const [id, checked] of held.boxes) if (by(id)) by(id).checked = checked;
  if (held.week !== null && by("week")) by("week").value = held.week;
  filter();
  showWeek();
  for (const [id, left, top] of held.scrolled) if (by(id)) by(id).scrollTo({ left, top, behavior: "instant" });
  if (by("cell").open) mark(by("cell").dataset.of);
  const focused = by(held.focused);
  if (held.focused) ((focused && held.summary ? focused.querySelector("summary") : focused) || year).focus({ preventScroll: true });
  const seen = held.seen && by(held.seen), list = by("list");
  if (!seen) return;
  const moved = seen.getBoundingClientRect().top - held.top;
  if (list && list.contains(seen) && list.scrollHeight > list.clientHeight) list.scrollBy({ top: moved, behavior: "instant" });
  scrollBy({ top: seen.getBoundingClientRect().top - held.top, behavior: "instant" });
}

function hold() {
  const on = document.activeElement, focused = year.contains(on) ? on.closest("[id]") : null, slider = by("week");
  const visible = (one) => one.getBoundingClientRect().bottom > 0 && one.getBoundingClientRect().top < innerHeight;
  const reading = all(".events details[open]").find(visible);
  const seen = reading || (scrollY > year.offsetTop ? [focused, ...all("[id]")].find((one) => one && visible(one)) : null);
  return {
    open: all("details[open]").map((one) => one.id),
    boxes: all("[data-kind][id]").map((box) => [box.id, box.checked]),
    week: slider && slider.value !== slider.max ? slider.value : null,
    scrolled: all(".scroll").map((one) => [one.id, one.scrollLeft, one.scrollTop]),
    focused: focused && focused.id,
    summary: on.matches("summary"),
    seen: seen && seen.id, // stays where it is on the screen
    top: seen && seen.getBoundingClientRect().top,
  };
}

async function follow() {
  try {
    const before = posts, state = await (await fetch("/state")).json();
    if (before === posts) show(state);
    if (state.stamp !== stamp) {
      redraw(await (await fetch("/year")).text());
      stamp = state.stamp;
    }
  } catch (error) {
    by("status").textContent = shown = "The demo has ended or does not answer. make up starts it again.";
    doing(null);
  }
  setTimeout(follow, 1000);
}

if (by("controls")) {
  by("go").addEventListener("click", (event) => post("/clock", { action: event.target.dataset.action }));
  by("step").addEventListener("click", () => post("/clock", { action: "step" }));
  by("speed").addEventListener("change", (event) => post("/speed", { speed: event.target.value }));
  by("fault").addEventListener("change", sizes);
  by("size").addEventListener("change", offer);
  by("inject").addEventListener("click", inject);
  sizes();
  follow();
}
