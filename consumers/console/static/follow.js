// A table to which the console's stream adds rows at the top, from the time that its button is pressed.

const KEPT = 200;
const table = document.querySelector("table[data-follow]");
const body = table.tBodies[0];
const button = document.getElementById("follow");
const note = document.getElementById("follow-note");
let source = null;

function add({ rows, note: text }) {
  note.textContent = text || "Following.";
  for (const texts of rows.toReversed()) {
    const row = document.createElement("tr");
    for (const one of texts) {
      const cell = document.createElement(row.cells.length === 0 ? "th" : "td");
      if (row.cells.length === 0) cell.scope = "row";
      cell.className = "lines";
      cell.textContent = one;
      row.append(cell);
    }
    body.prepend(row);
  }
  while (body.rows.length > KEPT) body.lastElementChild.remove();
}

function stop() {
  source?.close();
  source = null;
  note.textContent = "";
  button.textContent = "Follow live";
  button.setAttribute("aria-pressed", "false");
}

function start() {
  table.hidden = false;
  source = new EventSource(table.dataset.follow);
  source.addEventListener("message", (event) => add(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    note.textContent = "Not connected.";
  });
  button.textContent = "Stop following";
  button.setAttribute("aria-pressed", "true");
}

button.hidden = false;
button.addEventListener("click", () => (source === null ? start() : stop()));
// a page that nobody sees needs no updates
addEventListener("pagehide", stop);
