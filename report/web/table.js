// The table of a task's settings, and the filters.
"use strict";

const byInterval = (key) => (setting) => setting[key]?.mean;
const COLUMNS = [
  { key: "method", title: "Agent", text: true, value: (s) => s.method,
    cell: (s) => [el("span", { class: "method" }, swatch(s.method), s.method), badges({ unfinished: s.unfinished })] },
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
  { key: "seeds", title: "Seeds", value: (s) => s.seeds[0], cell: (s) => el("span", s.seeds[0] === s.seeds[1] ? {} : says(s.progress), s.seeds[0] === s.seeds[1] ? String(s.seeds[1]) : `${s.seeds[0]} of ${s.seeds[1]}`) },
  { key: "open", title: "", cell: (s) => openButton(s) },
];

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

/** The settings of a stream, those of each LLM together. */
function settingsTable(settings) {
  const [key, direction] = state.sort.split(":");
  const columns = COLUMNS.filter(({ when }) => !when || when(settings));
  const column = COLUMNS.find((candidate) => candidate.key === key);
  const best = bestValues(settings);
  const heads = columns.map((c) => el("th", { scope: "col", class: c.text && "text", "aria-sort": c.key === key ? (direction === "up" ? "ascending" : "descending") : null },
    c.title ? el("button", { type: "button", onclick: () => sortBy(c) }, c.title) : el("span", {}, "\u00a0")));
  const row = (setting) => el("tr", { "data-method": setting.method, "data-stream": setting.stream },
    columns.map((c) => el("td", { class: c.text ? "text" : isBest(best, setting, c) && "best" }, c.cell(setting))));
  const llms = groupBy(settings, ({ llm }) => llm);
  const bodies = [...llms].map(([llm, members]) => {
    if (column?.value) members.sort((a, b) => compare(column.value(a), column.value(b), direction === "up" ? 1 : -1));
    const own = llms.size > 1 ? badges({ reader: common(members).reader }) : ""; // of a lone LLM it stands above
    const head = el("tr", { class: "llm" }, el("th", { colspan: columns.length, scope: "rowgroup", class: "text" }, llm, own));
    return el("tbody", {}, head, members.map(row));
  });
  return el("table", { class: "settings" }, el("thead", {}, el("tr", {}, heads)), bodies);
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
  for (const scroll of $("groups").querySelectorAll(".scroll:has(> table.settings)")) {
    scroll.replaceChildren(settingsTable(ofStream(chosen(), scroll.closest("details.group").dataset.stream)));
  }
}

// -- filters -----------------------------------------------------------------------------------------------------------

function options(select, values, all) {
  select.replaceChildren(...(all ? [el("option", { value: "" }, all)] : []), ...values.map(([value, text]) => el("option", { value }, text)));
}

function showMethods() {
  const shown = present();
  $("methods").replaceChildren(...shown.map((method) => el("button", {
    type: "button", class: "chip", "aria-pressed": String(!isOff(method)), onclick: () => choose(method),
  }, swatch(method), method)), ...(shown.some(isOff) ? [el("button", { type: "button", class: "all", onclick: () => choose("") }, "all")] : []));
}

/** The methods that the task and LLM leave. */
function present() {
  const found = new Set(report.settings.filter((s) => (!state.task || s.stream === state.task) && (!state.llm || s.llm === state.llm)).map((s) => s.method));
  return methods.filter((method) => found.has(method));
}

/**
 * One click on a method shows it alone, and a second brings all back. While some are hidden, a click on a hidden one
 * adds it, to compare a few; "" shows all.
 */
function choose(method) {
  const all = present();
  const on = all.filter((one) => !isOff(one));
  const next = !method ? all : on.length === all.length ? [method] : on.includes(method) ? on.filter((one) => one !== method) : [...on, method];
  const off = next.length ? all.filter((one) => !next.includes(one)) : [];
  state.off = off.join("|");
  update();
  [...$("methods").children].find((chip) => chip.textContent === (method || "all"))?.focus();
}

/** Show everything anew after a filter has changed. */
function update() {
  writeAddress();
  for (const key of ["task", "llm"]) $(key).value = state[key];
  $("overview").hidden = Boolean(state.task) && report.streams.length > 1; // it is of all tasks
  showMethods();
  showGroups();
  drawSmall();
  showRuns();
}
