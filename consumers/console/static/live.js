// A table whose cells follow the console's stream: rows are found by data-key, cells by data-field.

const table = document.querySelector("table[data-events]");
const trouble = document.getElementById("live-error");
const more = document.getElementById("live-more");
const rows = new Map([...table.querySelectorAll("tr[data-key]")].map((row) => [row.dataset.key, row]));

function update({ error, rows: found }) {
  trouble.hidden = error === null;
  trouble.querySelector("span").textContent = error === null ? "" : `: ${error}`;
  for (const [key, cells] of Object.entries(found)) {
    for (const [field, text] of Object.entries(cells)) {
      const cell = rows.get(key)?.querySelector(`[data-field="${field}"]`);
      if (cell && cell.textContent !== text) cell.textContent = text;
    }
  }
  more.hidden = Object.keys(found).every((key) => rows.has(key));
}

function follow() {
  const source = new EventSource(table.dataset.events);
  source.addEventListener("message", (event) => update(JSON.parse(event.data)));
  // a page that nobody sees needs no updates
  addEventListener("pagehide", () => source.close(), { once: true });
}

follow();
addEventListener("pageshow", (event) => {
  if (event.persisted) follow();
});
