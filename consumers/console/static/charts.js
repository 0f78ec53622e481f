// The overview's charts: lines of the last minutes, from the console's history and its stream of new samples.

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 80;
const KEPT = 300;

const place = document.getElementById("charts");
const trouble = document.getElementById("sampling-error");
let samples = [];

function written(value, unit) {
  if (value === null || value === undefined) return "-";
  if (unit === "percent") return `${value.toFixed(1)} %`;
  if (unit === "bytes") {
    for (const name of ["B", "KiB", "MiB", "GiB"]) {
      if (value < 1024) return `${value.toFixed(value < 100 && name !== "B" ? 1 : 0)} ${name}`;
      value /= 1024;
    }
    return `${value.toFixed(1)} TiB`;
  }
  return value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toFixed(1);
}

// Lines end where there is no value, and where no sample was taken for a while.
function lines(field, top) {
  const first = samples[0].time;
  const span = Math.max(samples.at(-1).time - first, 1);
  let path = "";
  let before = null;
  for (const sample of samples) {
    const value = sample[field];
    if (value === null) {
      before = null;
      continue;
    }
    const x = ((sample.time - first) / span) * WIDTH;
    const y = HEIGHT - 2 - (value / top) * (HEIGHT - 6);
    path += `${before !== null && sample.time - before < 30 ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    before = sample.time;
  }
  return path;
}

function draw() {
  if (samples.length === 0) return;
  for (const figure of place.querySelectorAll(".chart")) {
    const { field, unit } = figure.dataset;
    const values = samples.map((sample) => sample[field]).filter((value) => value !== null);
    const peak = Math.max(0, ...values);
    const path = document.createElementNS(NAMESPACE, "path");
    path.setAttribute("d", lines(field, unit === "percent" ? 100 : peak || 1));
    path.setAttribute("vector-effect", "non-scaling-stroke");
    figure.querySelector("svg").replaceChildren(path);
    figure.querySelector("output").textContent = written(samples.at(-1)[field], unit);
    figure.querySelector(".peak").textContent = `highest ${written(values.length ? peak : null, unit)}`;
    const minutes = Math.round((samples.at(-1).time - samples[0].time) / 60);
    figure.querySelector(".from").textContent = minutes > 0 ? `last ${minutes} min` : "last minute";
  }
}

function follow() {
  const source = new EventSource(place.dataset.events);
  source.addEventListener("message", (event) => {
    const sample = JSON.parse(event.data);
    trouble.hidden = sample !== null;
    if (sample === null || sample.time <= (samples.at(-1)?.time ?? 0)) return;
    samples.push(sample);
    samples = samples.slice(-KEPT);
    draw();
  });
  // a page that nobody sees needs no updates
  addEventListener("pagehide", () => source.close(), { once: true });
}

const response = await fetch(place.dataset.history);
if (response.ok) {
  samples = await response.json();
  draw();
  follow();
  addEventListener("pageshow", (event) => {
    if (event.persisted) follow();
  });
}
