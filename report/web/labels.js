// Names at the ends of lines: moved apart as little as can be, those of equal lines together.
"use strict";

const NAME = { height: 14, letter: 6.9, most: 0.38 }; // pixels, pixels, share of a chart's width

/** Places for `values`, in ascending order, at least `gap` apart and between `low` and `high`: nearest by least squares. */
function spread(values, gap, low, high) {
  const blocks = []; // of neighbours that touch: pool adjacent violators
  values.forEach((value, i) => {
    blocks.push({ sum: value - i * gap, size: 1 });
    for (let n = blocks.length; n > 1 && mean(blocks[n - 2]) > mean(blocks[n - 1]); n = blocks.length) {
      const last = blocks.pop();
      blocks[n - 2].sum += last.sum;
      blocks[n - 2].size += last.size;
    }
  });
  const highest = Math.max(low, high - (values.length - 1) * gap);
  const within = (value) => Math.min(highest, Math.max(low, value));
  return blocks.flatMap((block) => Array(block.size).fill(within(mean(block)))).map((value, i) => value + i * gap);
}

const mean = ({ sum, size }) => sum / size;

/** Series that run alike, each group in the order that they are drawn in. */
const alike = (series) => [...groupBy(series, ({ x, mean: line }) => JSON.stringify([x, line])).values()];

/** The names of `series`: of equal ones "A = B". */
const namesOf = (series) => alike(series).map((group) => ({
  text: group.map(({ name }) => name).join(" = "),
  method: group[0].method,
  end: group[0].mean.findLast((value) => value !== null),
}));

const roomFor = (names, width) =>
  Math.min(NAME.most * width, 24 + NAME.letter * Math.max(...names.map(({ text }) => text.length), 0));

/** The names beside a plot that ends at x = `from`, with a line from each curve's end to its name. */
function endNames(names, from, room, py, top, bottom) {
  const ordered = names.map((name) => ({ ...name, at: Math.min(bottom, Math.max(top, py(name.end))) })).sort((a, b) => a.at - b.at);
  const places = spread(ordered.map(({ at }) => at), NAME.height, top, bottom);
  return ordered.map(({ text, method, at }, i) => {
    const letters = Math.floor((room - 20) / NAME.letter);
    const short = text.length > letters ? `${text.slice(0, letters - 1)}\u2026` : text;
    const lead = svg("line", { class: "lead", x1: from + 1, x2: from + 14, y1: at, y2: places[i] });
    const label = svg("text", { class: "name", x: from + 17, y: places[i] + 4, ...(short === text ? {} : says(text)) }, short);
    lead.style.stroke = label.style.fill = colour(method);
    return [lead, label];
  });
}
