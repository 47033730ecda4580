// Line charts as inline SVG: bands over seeds, a cursor with a read-out for mouse and arrow keys.
"use strict";

const PLOT = { width: 460, height: 250, left: 46, right: 10, top: 10, bottom: 26 };
const MEASURES = {
  rate: { title: "Running success rate, %", show: (value) => percent(value) },
  regret: { title: "Cumulative regret", show: (value) => value.toFixed(0) },
  exploit: { title: "Exploit term of the chosen case", show: short },
  explore: { title: "Explore term of the chosen case", show: short },
};

/** Round numbers between two values, about `wanted` of them. */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const values = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-9; value += step) values.push(value);
  return values;
}

/** The range of y to show: what the curves do after the first twentieth, where a running rate still jumps about. */
function extent(series, last) {
  const shown = series.flatMap(({ x, mean, low, high }) =>
    x.flatMap((at, i) => (at >= last / 20 ? [mean[i], low?.[i], high?.[i]] : []))).filter(Number.isFinite);
  if (!shown.length) return [0, 1];
  const [bottom, top] = [Math.min(...shown), Math.max(...shown)];
  const margin = (top - bottom) * 0.06 || Math.abs(top) * 0.1 || 0.5;
  return [bottom >= 0 ? Math.max(0, bottom - margin) : bottom - margin, top + margin];
}

/** The curves of `settings` that have this measure: {method, name, unfinished, x, mean, low, high}. */
function seriesOf(settings, measure) {
  return settings.flatMap(({ method, curves }) => curves.filter((curve) => curve[measure]).map(({ x, unfinished, [measure]: lines }) => (
    { method, name: unfinished ? `${method} (unfinished)` : method, unfinished, x, ...lines })));
}

function chart(settings, measure, caption) {
  const series = seriesOf(settings, measure);
  const last = Math.max(1, ...series.map(({ x }) => x[x.length - 1]));
  const [bottom, top] = extent(series, last);
  const px = (x) => PLOT.left + (x / last) * (PLOT.width - PLOT.left - PLOT.right);
  const py = (y) => PLOT.height - PLOT.bottom - ((y - bottom) / (top - bottom)) * (PLOT.height - PLOT.top - PLOT.bottom);
  const clip = `clip${(chart.made = (chart.made ?? 0) + 1)}`;
  const area = { x: PLOT.left, y: PLOT.top, width: PLOT.width - PLOT.left - PLOT.right, height: PLOT.height - PLOT.top - PLOT.bottom };
  const { title, show } = MEASURES[measure];
  const cursor = svg("line", { class: "cursor", y1: PLOT.top, y2: PLOT.height - PLOT.bottom, visibility: "hidden" });
  const plot = svg("svg",
    { class: "plot", viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", tabindex: 0, "aria-label": describe(series, title, show) },
    svg("clipPath", { id: clip }, svg("rect", area)),
    ticks(bottom, top, 5).map((y) => [
      svg("line", { class: "grid", x1: PLOT.left, x2: PLOT.width - PLOT.right, y1: py(y), y2: py(y) }),
      svg("text", { x: PLOT.left - 6, y: py(y) + 4, "text-anchor": "end" }, measure === "rate" ? percent(y, 0) : short(y)),
    ]),
    ticks(0, last, 5).map((x) => svg("text", { x: px(x), y: PLOT.height - 8, "text-anchor": "middle" }, x ? count(x) : "")),
    svg("g", { "clip-path": `url(#${clip})` }, series.map((curve) => band(curve, last / 20, px, py)), series.map((curve) => line(curve, px, py))),
    cursor);
  const readout = el("div", { class: "readout", hidden: "" });
  addCursor(plot, readout, cursor, series, last, px, show);
  return el("figure", { class: "chart", "data-measure": measure }, el("figcaption", {}, caption ?? title), plot, readout);
}

const describe = (series, title, show) =>
  `${title}. At the end: ${series.map(({ name, mean }) => `${name} ${show(mean[mean.length - 1] ?? 0)}`).join(", ")}`;

function band({ method, x, low, high }, from, px, py) {
  if (!low) return null;
  const edge = (ends) => x.flatMap((at, i) => (at < from || ends[i] === null ? [] : [`${px(at).toFixed(1)},${py(ends[i]).toFixed(1)}`]));
  const [forth, back] = [edge(high), edge(low).reverse()];
  const shape = svg("polygon", { class: "band", points: [...forth, ...back].join(" ") });
  shape.style.fill = colour(method);
  return shape;
}

function line({ method, unfinished, x, mean }, px, py) {
  const points = x.flatMap((at, i) => (mean[i] === null ? [] : [`${px(at).toFixed(1)},${py(mean[i]).toFixed(1)}`])).join(" ");
  const shape = svg("polyline", { class: "line", points, "data-method": method, "stroke-dasharray": unfinished ? report.unfinished_dash : dashes(method) });
  shape.style.stroke = colour(method);
  return shape;
}

/** Let the mouse and the arrow keys move a cursor over the plot; the read-out lists the curves there, best first. */
function addCursor(plot, readout, cursor, series, last, px, show) {
  let at = last;
  const place = (step) => {
    at = Math.min(last, Math.max(1, step));
    const rows = series
      .map((curve) => ({ ...curve, i: curve.x.findIndex((x) => x >= at) }))
      .filter(({ i, mean }) => i >= 0 && mean[i] !== null)
      .map(({ method, name, mean, low, high, i }) => ({ method, name, value: mean[i], text: show(mean[i]) + range(low, high, i, show) }))
      .sort((a, b) => b.value - a.value);
    cursor.setAttribute("x1", px(at));
    cursor.setAttribute("x2", px(at));
    cursor.setAttribute("visibility", "visible");
    readout.replaceChildren(el("div", { class: "muted" }, `step ${count(at)}`),
      ...rows.map(({ method, name, text }) => el("div", {}, swatch(method), name, el("b", {}, text))));
    readout.hidden = false;
    const share = px(at) / PLOT.width;
    readout.style.left = share < 0.5 ? `calc(${100 * share}% + 10px)` : "auto";
    readout.style.right = share < 0.5 ? "auto" : `calc(${100 - 100 * share}% + 10px)`;
  };
  const hide = () => {
    readout.hidden = true;
    cursor.setAttribute("visibility", "hidden");
  };
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * PLOT.width;
    place(Math.round(((x - PLOT.left) / (PLOT.width - PLOT.left - PLOT.right)) * last));
  });
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    place(at + move * Math.max(1, Math.round(last / 40)));
  });
}

const range = (low, high, i, show) => (low && low[i] !== null && high[i] - low[i] > 1e-9 ? ` (${show(low[i])} to ${show(high[i])})` : "");
