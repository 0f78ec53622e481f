// Charts of the last minutes: live.js hands over the samples, each chart draws the fields that its legend names.

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 80;
const KEPT = 300;

const charts = document.querySelectorAll(".chart");
let samples = [];

function short(value) {
  return value < 9.95 && !Number.isInteger(value) ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}

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
  if (unit === "microseconds") {
    for (const name of ["µs", "ms"]) {
      if (value < 999.5) return `${short(value)} ${name}`;
      value /= 1000;
    }
    return `${short(value)} s`;
  }
  return value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toFixed(1);
}

// Lines end where there is no value, and where no sample was taken for a while.
function path(field, height) {
  const first = samples[0].time;
  const span = Math.max(samples.at(-1).time - first, 1);
  const gap = Math.max(30, (4 * span) / samples.length);
  let drawn = "";
  let before = null;
  for (const sample of samples) {
    const value = sample[field];
    if (value === null) {
      before = null;
      continue;
    }
    const x = ((sample.time - first) / span) * WIDTH;
    const y = HEIGHT - 2 - height(value) * (HEIGHT - 6);
    drawn += `${before !== null && sample.time - before < gap ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    before = sample.time;
  }
  return drawn;
}

function line(drawn, number) {
  const element = document.createElementNS(NAMESPACE, "path");
  element.setAttribute("d", drawn);
  element.setAttribute("class", `line-${number}`);
  element.setAttribute("vector-effect", "non-scaling-stroke");
  return element;
}

function draw(chart) {
  const { unit, logarithmic } = chart.dataset;
  const outputs = [...chart.querySelectorAll("output")];
  const fields = outputs.map((one) => one.dataset.line);
  const values = samples.flatMap((sample) => fields.map((field) => sample[field])).filter((value) => value !== null);
  const peak = Math.max(0, ...values);
  const top = unit === "percent" ? 100 : peak || 1;
  const height =
    logarithmic === undefined
      ? (value) => value / top
      : (value) => Math.log(Math.max(value, 1)) / Math.log(Math.max(top, 10));
  chart.querySelector("svg").replaceChildren(...fields.map((field, number) => line(path(field, height), number)));
  for (const output of outputs) output.textContent = written(samples.at(-1)[output.dataset.line], unit);
  chart.querySelector(".peak").textContent = `highest ${written(values.length ? peak : null, unit)}`;
  const minutes = Math.round((samples.at(-1).time - samples[0].time) / 60);
  chart.querySelector(".from").textContent = minutes > 1 ? `last ${minutes} min` : "last minute";
}

export function add(found) {
  const last = samples.at(-1)?.time ?? 0;
  samples = [...samples, ...found.filter((sample) => sample.time > last)].slice(-KEPT);
  if (samples.length > 0) charts.forEach(draw);
}
