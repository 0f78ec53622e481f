// A table whose cells follow the console's stream: rows are found by data-key, cells by data-field.

const table = document.querySelector("table[data-events]");
const trouble = document.getElementById("live-error");
const more = document.getElementById("live-more");
const rows = new Map([...document.querySelectorAll("tr[data-key]")].map((row) => [row.dataset.key, row]));

function update({ error, rows: found }) {
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
  more.hidden = keys.length === rows.size && keys.every((key) => rows.has(key));
}

function follow() {
  const source = new EventSource(table.dataset.events);
  source.addEventListener("message", (event) => update(JSON.parse(event.data)));
  // a page that nobody sees needs no updates
  addEventListener("pagehide", () => source.close(), { once: true });
}

// a list that is too long to be followed has no address to follow
if (table !== null) {
  follow();
  addEventListener("pageshow", (event) => {
    if (event.persisted) follow();
  });
}
