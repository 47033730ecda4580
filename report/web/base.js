// What the other scripts share: the report's data, elements, numbers, badges.
// Every text of the report enters the page as textContent, never as HTML.
"use strict";

const report = JSON.parse(document.getElementById("report").textContent);
const $ = (id) => document.getElementById(id);

/** An element with attributes (on... are listeners, false and null are left out) and children. */
function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const percent = (value, digits = 1) => (100 * value).toFixed(digits);
const signed = (value) => {
  const size = percent(Math.abs(value));
  return Number(size) ? (value < 0 ? "\u2212" : "+") + size : size;
};
const count = (value) => Math.round(value).toLocaleString("en-US");
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
const short = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value));

/** An answer or another value of a record as text: strings as they are, the rest as JSON. */
const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));

const unique = (key) => [...new Set(report.settings.map((setting) => setting[key]))];
const methods = unique("method");
const colour = (method) => `var(--c${report.styles[method][0]})`;
const dashes = (method) => report.styles[method][1] || null;

function swatch(method) {
  const line = { x1: 0, x2: 18, y1: 4, y2: 4, "stroke-width": 3, "stroke-dasharray": dashes(method) };
  const mark = svg("line", line);
  mark.style.stroke = colour(method);
  return svg("svg", { class: "swatch", viewBox: "0 0 18 8", "aria-hidden": "true" }, mark);
}

const BADGES = {
  sample: ["SAMPLE", "Invented rows that ship with the project: these figures are not the benchmark's"],
  reader: ["not a language model", "Answered by the embedded reader: these figures are not the paper's"],
  unfinished: ["UNFINISHED", "Not all of its runs are done; the figures are of those that are"],
};

const badge = (kind) => el("span", { class: `badge ${kind}`, ...says(BADGES[kind][1]) }, BADGES[kind][0]);
const badges = (setting) => Object.keys(BADGES).filter((kind) => setting[kind]).map((kind) => badge(kind));

/** What is to be said of all these settings at once: of every one of them, or of any for UNFINISHED. */
const common = (settings) => Object.fromEntries(Object.keys(BADGES).map((kind) =>
  [kind, kind === "unfinished" ? settings.some((s) => s[kind]) : settings.length > 0 && settings.every((s) => s[kind])]));

// -- what is chosen, kept in the address so that it can be linked to ------------------------------------------------

const state = { task: "", llm: "", off: "", views: "", sort: "", run: "", step: "", reward: "", search: "" };

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const key of Object.keys(state)) state[key] = given.get(key) ?? "";
}

function writeAddress() {
  const given = new URLSearchParams(Object.entries(state).filter(([, value]) => value));
  history.replaceState(null, "", `#${given}`);
}

const hidden = () => state.off.split("|").filter(Boolean);
const isOff = (method) => hidden().includes(method);
const matches = (setting) =>
  (!state.task || setting.stream === state.task) && (!state.llm || setting.llm === state.llm) && !isOff(setting.method);
const chosen = () => report.settings.filter(matches);

function groupBy(items, key) {
  const groups = new Map();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}
