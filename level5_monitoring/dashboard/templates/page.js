"use strict";
const year = document.getElementById("year");

function showWeek() {
  const slider = document.getElementById("week");
  if (!slider) return;
  const row = document.querySelectorAll("#figures tbody tr")[slider.value];
  const heads = [...document.querySelectorAll("#figures thead th")].slice(2).map((cell) => cell.textContent);
  const [flights, ...losses] = [...row.querySelectorAll("td")].map((cell) => cell.textContent);
  const text = `Week of ${row.cells[0].textContent} · ${flights} flights · ` +
    heads.map((name, i) => `${name} ${losses[i]}`).join(" · ");
  document.getElementById("week-text").textContent = text;
  slider.setAttribute("aria-valuetext", text);
  for (const cursor of document.querySelectorAll(".cursor")) {
    cursor.hidden = false;
    cursor.style.left = row.dataset.left + "%";
  }
}

function filter() {
  const shown = new Set([...document.querySelectorAll("[data-kind]:checked")].map((box) => box.dataset.kind));
  for (const line of document.querySelectorAll(".events li")) line.hidden = !shown.has(line.dataset.kind);
}

function open(id) {
  const event = document.getElementById(id);
  if (!event) return;
  event.closest("li").hidden = false;
  event.open = true;
  event.querySelector("summary").focus({ preventScroll: true });
  event.scrollIntoView({ block: "center" });
}

year.addEventListener("input", (event) => {
  if (event.target.id === "week") showWeek();
  if (event.target.dataset.kind) filter();
});
year.addEventListener("click", (event) => {
  const link = event.target.closest(".lane a");
  if (link) { event.preventDefault(); open(link.hash.slice(1)); }
  const plot = event.target.closest(".plot .area");
  if (plot) nearest(event.clientX, plot);
});
year.addEventListener("pointermove", (event) => {
  const plot = event.target.closest(".plot .area");
  if (plot && event.pointerType === "mouse") nearest(event.clientX, plot);
});

function nearest(x, plot) {
  const box = plot.getBoundingClientRect(), at = 100 * (x - box.left) / box.width;
  const lefts = [...document.querySelectorAll("#figures tbody tr")].map((row) => Math.abs(row.dataset.left - at));
  const slider = document.getElementById("week");
  if (!slider || !lefts.length) return;
  slider.value = lefts.indexOf(Math.min(...lefts));
  showWeek();
}

filter();
if (location.hash.startsWith("#event-")) open(location.hash.slice(1));
showWeek();

// The live demo's page has controls, and follows the year by itself.
const by = (id) => document.getElementById(id);
let stamp = "", shown = "", posts = 0;

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

function show(state) {
  const { clock, faults, stage } = state;
  const running = clock.day ? `${clock.day} · ${clock.paused ? "paused" : "running"}` : "the year begins";
  const status = stage === "live" ? running : stage;
  if (status !== shown) by("status").textContent = shown = status;
  by("go").textContent = clock.paused ? "Resume" : "Pause";
  by("go").dataset.action = clock.paused ? "resume" : "pause";
  by("speed").value = clock.speed;
  const active = faults.map(words).join("\n");
  if (by("active").dataset.shown !== active) {
    by("active").dataset.shown = active;
    by("active").replaceChildren(...faults.map(item));
  }
}

function words(fault) {
  return `${fault.what}, ${fault.size}, since ${fault.day}`;
}

function item(fault) {
  const made = document.createElement("li"), remove = document.createElement("button");
  made.textContent = words(fault);
  remove.type = "button";
  remove.textContent = "Remove";
  remove.setAttribute("aria-label", `Remove: ${fault.what}`);
  remove.addEventListener("click", () => { by("fault").focus(); post("/faults/remove", { fault: fault.fault }); });
  made.append(remove);
  return made;
}

function sizes() {
  const names = by("fault").selectedOptions[0].dataset.sizes.split("|");
  by("size").replaceChildren(...names.map((name, i) => new Option(name, i + 1)));
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
  if (held.focused) (find(held.focused, held.summary) || year).focus({ preventScroll: true });
  const seen = held.seen && by(held.seen);
  if (seen) scrollBy({ top: seen.getBoundingClientRect().top - held.top, behavior: "instant" });
}

function hold() {
  const all = (what) => [...year.querySelectorAll(what)];
  const on = document.activeElement, focused = year.contains(on) ? on.closest("[id]") : null, slider = by("week");
  const shown = (one) => one.getBoundingClientRect().bottom > 0 && one.getBoundingClientRect().top < innerHeight;
  const seen = scrollY > year.offsetTop ? [focused, ...all("[id]")].find((one) => one && shown(one)) : null;
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

function find(id, summary) {
  return summary && by(id) ? by(id).querySelector("summary") : by(id);
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
  }
  setTimeout(follow, 1000);
}

if (by("controls")) {
  by("go").addEventListener("click", (event) => post("/clock", { action: event.target.dataset.action }));
  by("step").addEventListener("click", () => post("/clock", { action: "step" }));
  by("speed").addEventListener("change", (event) => post("/speed", { speed: event.target.value }));
  by("fault").addEventListener("change", sizes);
  by("inject").addEventListener("click", () => post("/faults", { fault: by("fault").value, size: Number(by("size").value) }));
  sizes();
  follow();
}
