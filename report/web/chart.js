// Line charts as inline SVG, drawn at the width that they are shown at: bands, names at the lines' ends, a cursor.
"use strict";

const PLOT = { height: 260, left: 52, top: 12, bottom: 40 };
const LINE = { width: 1.7, wider: 2.6 }; // pixels; a line that others lie on is wider, so that each can be seen
const points = (value) => `${value < 0 ? "\u2212" : value > 0 ? "+" : ""}${percent(Math.abs(value))}`;
const MEASURES = {
  window: { word: "sliding window", title: (w) => `Success rate of the last ${w} steps, %`, show: (value) => percent(value), tick: (y) => percent(y, 0), axis: "success rate, %", bounds: [0, 1] },
  difference: { word: "to zero-shot", title: (w) => `Difference to zero-shot, last ${w} steps, points`, show: points, tick: (y) => percent(y, 0).replace("-", "\u2212"), axis: "difference, points", zero: true },
  rate: { word: "running rate", title: () => "Running success rate, %", show: (value) => percent(value), tick: (y) => percent(y, 0), axis: "success rate, %", bounds: [0, 1] },
  regret: { word: "regret", title: () => "Cumulative regret", show: (value) => value.toFixed(0), tick: count, axis: "failures so far" },
  exploit: { word: "exploit term", title: () => "Exploit term of the chosen case", show: short, tick: short, axis: "exploit term" },
  explore: { word: "explore term", title: () => "Explore term of the chosen case", show: short, tick: short, axis: "explore term" },
};

/** Round numbers between two values, about `wanted` of them. */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const values = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-9; value += step) values.push(Number(value.toPrecision(12)));
  return values;
}

/** The range of y to show: what the curves do after the first twentieth, where a running rate still jumps about. */
function extent(series, last, { bounds, zero }) {
  const shown = series.flatMap(({ x, mean: line, low, high }) =>
    x.flatMap((at, i) => (at >= last / 20 ? [line[i], low?.[i], high?.[i]] : []))).filter(Number.isFinite);
  if (!shown.length) return [0, 1];
  if (zero) shown.push(0);
  const [bottom, top] = [Math.min(...shown), Math.max(...shown)];
  const margin = (top - bottom) * 0.06 || Math.abs(top) * 0.1 || 0.5;
  const [least, most] = bounds ?? [bottom >= 0 && !zero ? 0 : -Infinity, Infinity];
  return [Math.max(least, bottom - margin), Math.min(most, top + margin)];
}

/** The curves of `settings` that have this measure: {method, name, unfinished, x, mean, low, high}. */
function seriesOf(settings, measure) {
  return settings.flatMap(({ method, curves }) => curves
    .filter((curve) => curve[measure]?.mean.some((value) => value !== null))
    .map(({ x, unfinished, [measure]: lines }) => ({ method, name: unfinished ? `${method} (unfinished)` : method, unfinished, x, ...lines })));
}

/** A chart `width` pixels wide of what a stream's `settings` did; `caption` stands above it, else the measure's title. */
function chart(settings, measure, stream, width, caption) {
  const series = seriesOf(settings, measure);
  const kind = MEASURES[measure];
  const title = kind.title(count(stream.window));
  const names = namesOf(series);
  const room = roomFor(names, width);
  const height = Math.max(PLOT.height, names.length * NAME.height + PLOT.top + PLOT.bottom);
  const [right, floor] = [width - room, height - PLOT.bottom];
  const last = Math.max(1, ...series.map(({ x }) => x[x.length - 1]));
  const [low, high] = extent(series, last, kind);
  const px = (x) => PLOT.left + (x / last) * (right - PLOT.left);
  const py = (y) => floor - ((y - low) / (high - low)) * (floor - PLOT.top);
  const clip = `clip${(chart.made = (chart.made ?? 0) + 1)}`;
  const cursor = svg("line", { class: "cursor", y1: PLOT.top, y2: floor, visibility: "hidden" });
  const across = (y, name) => svg("line", { class: name, x1: PLOT.left, x2: right, y1: py(y), y2: py(y) });
  const plot = svg("svg",
    { class: "plot", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", tabindex: 0, "aria-label": describe(series, title, kind.show) },
    svg("clipPath", { id: clip }, svg("rect", { x: PLOT.left, y: PLOT.top, width: right - PLOT.left, height: floor - PLOT.top })),
    ticks(low, high, 5).map((y) => [across(y, "grid"), svg("text", { x: PLOT.left - 6, y: py(y) + 4, "text-anchor": "end" }, kind.tick(y))]),
    kind.zero ? across(0, "zero") : null,
    ticks(0, last, Math.max(2, Math.min(5, (right - PLOT.left) / 60))).map((x) => svg("text", { x: px(x), y: floor + 15, "text-anchor": "middle" }, count(x))),
    svg("text", { class: "axis", x: (PLOT.left + right) / 2, y: height - 6, "text-anchor": "middle" }, "step"),
    svg("text", { class: "axis", transform: `translate(11 ${(PLOT.top + floor) / 2}) rotate(-90)`, "text-anchor": "middle" }, kind.axis),
    svg("g", { "clip-path": `url(#${clip})` }, series.map((curve) => band(curve, last / 20, px, py)), alike(series).flatMap((group) =>
      group.map((curve, i) => line(curve, px, py, LINE.width + LINE.wider * (group.length - 1 - i))))),
    endNames(names, right, room, py, PLOT.top + 4, floor - 2),
    cursor);
  const readout = el("div", { class: "readout", hidden: "" });
  addCursor({ plot, readout, cursor, series, last, px, show: kind.show, right, width });
  return el("figure", { class: "chart", "data-measure": measure }, el("figcaption", {}, caption ?? title), plot, readout);
}

/** A title within a sentence. */
const lowered = (title) => title[0].toLowerCase() + title.slice(1);

const describe = (series, title, show) =>
  `${title}. At the end: ${series.map(({ name, mean: line }) => `${name} ${show(line.findLast((value) => value !== null))}`).join(", ")}`;

function band({ method, x, low, high }, from, px, py) {
  if (!low) return null;
  const edge = (ends) => x.flatMap((at, i) => (at < from || ends[i] === null ? [] : [`${px(at).toFixed(1)},${py(ends[i]).toFixed(1)}`]));
  const [forth, back] = [edge(high), edge(low).reverse()];
  const shape = svg("polygon", { class: "band", points: [...forth, ...back].join(" ") });
  shape.style.fill = colour(method);
  return shape;
}

function line({ method, unfinished, x, mean: values }, px, py, width) {
  const points = x.flatMap((at, i) => (values[i] === null ? [] : [`${px(at).toFixed(1)},${py(values[i]).toFixed(1)}`])).join(" ");
  const shape = svg("polyline", { class: "line", points, "stroke-width": width, "data-method": method, "stroke-dasharray": unfinished ? report.unfinished_dash : dashes(method) });
  shape.style.stroke = colour(method);
  return shape;
}

let hideCursor = () => {}; // of the chart that shows one

/** Let the mouse, a tap and the arrow keys move a cursor over the plot; the read-out lists the curves there, best first. */
function addCursor({ plot, readout, cursor, series, last, px, show, right, width }) {
  let at = last;
  const place = (step) => {
    at = Math.min(last, Math.max(1, step));
    hideCursor = hide;
    const rows = series
      .map((curve) => ({ ...curve, i: curve.x.findIndex((x) => x >= at) }))
      .filter(({ i, mean: line }) => i >= 0 && line[i] !== null)
      .map(({ method, name, mean: line, low, high, i }) => ({ method, name, value: line[i], text: show(line[i]) + range(low, high, i, show) }))
      .sort((a, b) => b.value - a.value);
    cursor.setAttribute("x1", px(at));
    cursor.setAttribute("x2", px(at));
    cursor.setAttribute("visibility", "visible");
    readout.replaceChildren(el("div", { class: "muted" }, `step ${count(at)}`),
      ...rows.map(({ method, name, text }) => el("div", {}, swatch(method), el("span", { class: "of" }, name), el("b", {}, text))));
    readout.hidden = false;
    const wide = readout.offsetWidth; // beside the cursor, on the side that has the room, never outside the chart
    const left = px(at) < width / 2 ? px(at) + 10 : px(at) - wide - 10;
    readout.style.left = `${Math.max(0, Math.min(left, width - wide))}px`;
  };
  const hide = () => {
    readout.hidden = true;
    cursor.setAttribute("visibility", "hidden");
  };
  const follow = (event) => {
    const x = event.clientX - plot.getBoundingClientRect().left;
    place(Math.round(((x - PLOT.left) / (right - PLOT.left)) * last));
  };
  plot.addEventListener("pointerdown", follow); // a tap moves nothing
  plot.addEventListener("pointermove", follow);
  plot.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hide();
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    place(at + move * Math.max(1, Math.round(last / 40)));
  });
}

const range = (low, high, i, show) => (low && low[i] !== null && high[i] - low[i] > 1e-9 ? ` (${show(low[i])} to ${show(high[i])})` : "");
