"use strict";
const year = document.getElementById("year");

function showWeek() {
  const slider = document.getElementById("week");
  if (!slider) return;
  const row = document.querySelectorAll("#figures tbody tr")[slider.value];
  const heads = [...document.querySelectorAll("#figures thead th")].slice(2).map((cell) => cell.textContent);
  const [flights, ...losses] = [...row.querySelectorAll("td")].map((cell) => cell.textContent);
  const says = `Week of ${row.cells[0].textContent} · ${flights} flights · ` +
    heads.map((name, i) => `${name} ${losses[i]}`).join(" · ");
  document.getElementById("week-says").textContent = says;
  slider.setAttribute("aria-valuetext", says);
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

// Served live, the page has controls and follows the year by itself.
const by = (id) => document.getElementById(id);
let stamp = "", told = "", acts = 0;

async function post(path, body) {
  acts += 1; // what was asked for before, and is answered after, is old
  try {
    const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    const said = await answer.json();
    by("refused").textContent = answer.ok ? "" : `Refused: ${said.detail}`;
    if (answer.ok) show(said);
  } catch (error) {
    by("refused").textContent = "Not done: the demo has ended, or does not answer.";
  }
  acts += 1;
}

function show(state) {
  const { clock, faults, stage } = state;
  const goes = clock.day ? `${clock.day} · ${clock.paused ? "paused" : "running"}` : "the year begins";
  const words = stage === "live" ? goes : stage;
  if (words !== told) by("said").textContent = told = words;
  by("go").textContent = clock.paused ? "Resume" : "Pause";
  by("go").dataset.act = clock.paused ? "resume" : "pause";
  by("speed").value = clock.speed;
  const on = faults.map((one) => `${one.what}, ${one.size}, since ${one.day}`).join("\n");
  if (by("faulted").dataset.on !== on) {
    by("faulted").dataset.on = on;
    by("faulted").replaceChildren(...faults.map(fault));
  }
}

function fault(one) {
  const item = document.createElement("li"), lift = document.createElement("button");
  item.textContent = `${one.what}, ${one.size}, since ${one.day}`;
  lift.type = "button";
  lift.textContent = "Lift";
  lift.setAttribute("aria-label", `Lift: ${one.what}`);
  lift.addEventListener("click", () => { by("fault").focus(); post("/faults/lift", { fault: one.fault }); });
  item.append(lift);
  return item;
}

function sizes() {
  const names = by("fault").selectedOptions[0].dataset.sizes.split("|");
  by("size").replaceChildren(...names.map((name, i) => new Option(name, i + 1)));
}

// What is open, filtered, chosen, scrolled to and focused stays so while the year is drawn anew: by its id.
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
    const begun = acts, state = await (await fetch("/state")).json();
    if (begun === acts) show(state);
    if (state.stamp !== stamp) {
      redraw(await (await fetch("/year")).text());
      stamp = state.stamp;
    }
  } catch (error) {
    by("said").textContent = told = "The demo has ended, or does not answer. make up starts it again.";
  }
  setTimeout(follow, 1000);
}

if (by("controls")) {
  by("go").addEventListener("click", (event) => post("/clock", { act: event.target.dataset.act }));
  by("step").addEventListener("click", () => post("/clock", { act: "step" }));
  by("speed").addEventListener("change", (event) => post("/speed", { speed: event.target.value }));
  by("fault").addEventListener("change", sizes);
  by("inject").addEventListener("click", () => post("/faults", { fault: by("fault").value, size: Number(by("size").value) }));
  sizes();
  follow();
}
