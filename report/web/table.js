// Filters, the summary table and the charts of what they leave.
"use strict";

const byInterval = (key) => (setting) => setting[key]?.mean;
const COLUMNS = [
  { key: "stream", title: "Task", text: true, value: (s) => s.stream, cell: (s) => s.stream, when: (all) => differ(all, "stream") },
  { key: "llm", title: "LLM", text: true, value: (s) => s.llm, cell: (s) => s.llm, when: (all) => differ(all, "llm") },
  { key: "method", title: "Agent", text: true, value: (s) => s.method,
    cell: (s, shared) => [el("span", { class: "method" }, swatch(s.method), s.method), badges({ ...s, ...shared })] },
  { key: "rate", title: "Success rate, %", value: byInterval("rate"), best: 1, cell: (s) => plusMinus(s.rate) },
  { key: "difference", title: "To zero-shot, points", value: byInterval("difference"), best: 1, cell: (s) => interval(s.difference) },
  { key: "last", title: "Last quarter, %", value: byInterval("last"), best: 1, cell: (s) => plusMinus(s.last) },
  { key: "regret", title: "Regret", value: byInterval("regret"), best: -1, cell: (s) => plusMinus(s.regret, (value) => count(value)) },
  { key: "tokens", title: "Tokens a step", value: (s) => s.tokens[0], cell: (s) => sumOf(s.tokens, count) },
  { key: "cost", title: "Cost", value: (s) => s.cost, when: () => report.settings.some((s) => s.cost !== null),
    cell: (s) => (s.cost === null ? "–" : s.cost.toFixed(2)) },
  { key: "seconds", title: "Seconds a step", value: (s) => s.seconds[0] && total(s.seconds), cell: (s) => sumOf(s.seconds, (value) => value.toFixed(3)) },
  { key: "skipped", title: "Skipped", value: (s) => s.skipped, when: (all) => all.some((s) => s.skipped), cell: (s) => (s.skipped === null ? "–" : short(s.skipped)) },
  { key: "cut", title: "Cut, %", value: (s) => s.cut, when: (all) => all.some((s) => s.cut), cell: (s) => (s.cut === null ? "–" : percent(s.cut)) },
  { key: "seeds", title: "Seeds", value: (s) => s.seeds[0], cell: (s) => el("span", { title: s.progress }, s.seeds[0] === s.seeds[1] ? String(s.seeds[1]) : `${s.seeds[0]} of ${s.seeds[1]}`) },
  { key: "open", title: "", cell: (s) => openButton(s) },
];

const differ = (settings, key) => new Set(settings.map((setting) => setting[key])).size > 1;
const half = (x) => (x.high - x.low) / 2;
const plusMinus = (x, show = percent) => (x ? [show(x.mean), x.low === null ? "" : el("small", {}, ` ± ${show(half(x))}`)] : "–");
const total = (values) => values.reduce((sum, value) => sum + (value ?? 0), 0);
const sumOf = ([first, ...others], show) => (first === null ? "–"
  : [show(first), ...others.filter((value) => value !== null).map((value) => el("small", {}, ` + ${show(value)}`))]);
function interval(x) {
  if (!x) return "–";
  const clear = x.low > 0 ? "good" : x.high < 0 ? "bad" : "";
  const between = x.low === null ? "" : el("small", {}, ` ${signed(x.low)} to ${signed(x.high)}`);
  return [el("span", { class: clear }, signed(x.mean)), between];
}

function openButton(setting) {
  const run = setting.runs.find(({ place }) => place);
  if (!run) return "";
  const open = () => { chooseRun(run.id); $("steps").scrollIntoView(); };
  return el("button", { type: "button", onclick: open, "aria-label": `Steps of ${setting.method} on ${setting.stream}` }, "Steps");
}

function showSummary() {
  const [key, direction] = state.sort.split(":");
  const settings = chosen();
  const columns = COLUMNS.filter(({ when }) => !when || when(settings));
  const { sample, reader } = common(settings); // said once, above, where it is true of every row
  const of = [...groupBy(settings, ({ stream, llm }) => `${stream}, ${llm}`).keys()];
  $("h-summary").replaceChildren(of.length === 1 ? `Summary: ${of[0]}` : "Summary", ...badges({ sample, reader }));
  const inRows = { ...(sample ? { sample: false } : {}), ...(reader ? { reader: false } : {}) };
  const column = COLUMNS.find((candidate) => candidate.key === key);
  if (column) settings.sort((a, b) => compare(column.value(a), column.value(b), direction === "up" ? 1 : -1));
  const best = bestValues(settings);
  const heads = columns.map((c) => el("th", { scope: "col", class: c.text && "text", "aria-sort": c.key === key ? (direction === "up" ? "ascending" : "descending") : null },
    c.title ? el("button", { type: "button", onclick: () => sortBy(c) }, c.title) : el("span", {}, "\u00a0")));
  const rows = settings.map((setting) => el("tr", { "data-method": setting.method, "data-stream": setting.stream },
    columns.map((c) => el("td", { class: c.text ? "text" : isBest(best, setting, c) && "best" }, c.cell(setting, inRows)))));
  const none = el("tr", {}, el("td", { class: "text", colspan: columns.length }, "No run matches the filters."));
  $("summary").replaceChildren(el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows.length ? rows : none));
}

/** Missing values go last whichever way the rest is sorted. */
function compare(a, b, direction) {
  const [noA, noB] = [a, b].map((value) => value === undefined || value === null || Number.isNaN(value));
  if (noA || noB) return noA - noB;
  return direction * (typeof a === "string" ? a.localeCompare(b) : a - b);
}

/** The best value of each column for each task and LLM, which stand bold. */
function bestValues(settings) {
  const best = {};
  for (const setting of settings) {
    for (const { key, value, best: sign } of COLUMNS.filter((candidate) => candidate.best)) {
      const name = [setting.stream, setting.llm, key].join("\n");
      const worth = sign * value(setting);
      if (Number.isFinite(worth) && !(best[name] >= worth)) best[name] = worth;
    }
  }
  return best;
}

const isBest = (best, setting, { key, value, best: sign }) =>
  Boolean(sign) && best[[setting.stream, setting.llm, key].join("\n")] === sign * value(setting);

function sortBy({ key, text }) {
  const first = text ? "up" : "down";
  state.sort = state.sort === `${key}:${first}` ? `${key}:${text ? "down" : "up"}` : `${key}:${first}`;
  writeAddress();
  showSummary();
}

// -- charts ------------------------------------------------------------------------------------------------------------

/** One task and LLM: all measures. Several: one small chart each of the measure chosen. */
function showCharts() {
  const panels = groupBy(chosen(), panelName);
  const single = panels.size === 1;
  $("measure-label").hidden = single;
  const figures = [...panels.values()].flatMap((settings) => {
    const measures = single ? Object.keys(MEASURES) : [state.measure];
    return measures.filter((measure) => seriesOf(settings, measure).length).map((measure) =>
      chart(settings, measure, [single ? MEASURES[measure].title : panelName(settings[0]), ...badges(common(settings))]));
  });
  $("charts").classList.toggle("single", single);
  $("charts").replaceChildren(...(figures.length ? figures : [el("p", { class: "muted" }, "No curve matches the filters.")]));
}

const panelName = ({ stream, llm }) => (unique("llm").length > 1 ? `${stream}, ${llm}` : stream);

function groupBy(items, key) {
  const groups = new Map();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}

// -- filters -----------------------------------------------------------------------------------------------------------

function options(select, values, all) {
  select.replaceChildren(...(all ? [el("option", { value: "" }, all)] : []), ...values.map(([value, text]) => el("option", { value }, text)));
}

function showMethods() {
  const present = new Set(report.settings.filter((s) => (!state.task || s.stream === state.task) && (!state.llm || s.llm === state.llm)).map((s) => s.method));
  $("methods").replaceChildren(...methods.filter((method) => present.has(method)).map((method) =>
    el("button", { type: "button", class: "chip", "aria-pressed": String(!isOff(method)), onclick: () => toggle(method) }, swatch(method), method)));
}

function toggle(method) {
  const off = new Set(hidden());
  if (!off.delete(method)) off.add(method);
  state.off = [...off].join("|");
  const label = document.activeElement?.textContent;
  update();
  [...$("methods").children].find((chip) => chip.textContent === label)?.focus();
}

/** Show everything anew after a filter has changed. */
function update() {
  writeAddress();
  for (const key of ["task", "llm", "measure"]) $(key).value = state[key];
  for (const table of $("extra").children) table.hidden = Boolean(state.task) && table.dataset.stream !== state.task; // of all tasks, or of one
  showMethods();
  showSummary();
  showCharts();
  showRuns();
}
