// What follows the console's stream: rows are found by data-key, cells in them by data-field, and charts have samples.

import { add } from "./charts.js";

const place = document.querySelector("[data-events]");
const trouble = document.getElementById("live-error");
const more = document.getElementById("live-more");
const rows = new Map([...document.querySelectorAll("[data-key]")].map((row) => [row.dataset.key, row]));

function update({ error, rows: found, samples }) {
  trouble.hidden = error === null;
  trouble.querySelector("span").textContent = error === null ? "" : `: ${error}`;
  for (const [key, row] of rows) {
    for (const cell of row.querySelectorAll("[data-field]")) {
      // a row that is not sent any more is gone, or has its place behind those that are shown
      const text = found[key]?.[cell.dataset.field] ?? "-";
      if (cell.textContent !== text) cell.textContent = text;
    }
  }
  const keys = Object.keys(found);
  if (more !== null) more.hidden = keys.length === rows.size && keys.every((key) => rows.has(key));
  if (samples) add(samples);
}

function follow() {
  const source = new EventSource(place.dataset.events);
  source.addEventListener("message", (event) => update(JSON.parse(event.data)));
  // a page that nobody sees needs no updates
  addEventListener("pagehide", () => source.close(), { once: true });
}

// a list that is too long to be followed has no address to follow
if (place !== null) {
  follow();
  addEventListener("pageshow", (event) => {
    if (event.persisted) follow();
  });
}
