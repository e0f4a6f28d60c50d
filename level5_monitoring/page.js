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
if (!document.querySelector("#controls")) showWeek();
