// A part for each task, folded: its table, its curves, what the methods cost, how the runs were made, its files.
"use strict";

const unfolded = new Map(); // a stream's title -> whether its part is open; the first is, until somebody folds it
const ofStream = (settings, title) => settings.filter(({ stream }) => stream === title);

/** The parts of the streams that the filters leave. */
function showGroups() {
  const settings = chosen();
  const streams = report.streams.filter(({ title }) => ofStream(settings, title).length);
  const alone = streams.length === 1;
  $("groups").replaceChildren(...streams.map((stream, i) => {
    const open = alone || (unfolded.get(stream.title) ?? i === 0);
    const group = el("details", { class: "group", "data-stream": stream.title, open: open && "" }, groupHead(stream, ofStream(settings, stream.title)));
    group.addEventListener("toggle", () => {
      if (!alone) unfolded.set(stream.title, group.open);
      fillGroup(group, stream);
    });
    return group;
  }));
  if (!streams.length) $("groups").replaceChildren(el("p", { class: "muted" }, "No run matches the filters."));
  for (const group of $("groups").querySelectorAll("details.group")) fillGroup(group, report.streams.find(({ title }) => title === group.dataset.stream));
}

function groupHead({ title }, settings) {
  const best = [...groupBy(settings, ({ llm }) => llm)].map(([llm, members]) => {
    const first = members.filter(({ rate }) => rate).sort((a, b) => b.rate.mean - a.rate.mean)[0];
    return first && `${first.method} ${percent(first.rate.mean)} (${llm})`;
  }).filter(Boolean);
  return el("summary", {}, el("h2", {}, title), badges(common(settings)),
    el("span", { class: "muted small" }, best.length && best.length < 4 ? `highest rate: ${best.join(", ")}` : `${plural(settings.length, "setting")}`));
}

/** Put the part's content where it is open and has none yet, so that only what is looked at is made. */
function fillGroup(group, stream) {
  if (!group.open) return;
  const settings = ofStream(chosen(), stream.title);
  if (group.children.length === 1) fill(group, {}, [
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": stream.title }, settingsTable(settings)),
    stream.notes.map((note) => el("p", { class: "muted small" }, note)),
    el("div", { class: "views", role: "group", "aria-label": "Curves" }, viewButtons(stream, settings)),
    el("div", { class: "charts" }),
    stream.tables.map((table) => extraTable(table)), runList(stream, settings), linkList(stream.links)]);
  if (!group.querySelector(".chart")) drawCharts(group, stream);
}

function redrawCharts() {
  for (const group of $("groups").querySelectorAll("details.group[open]")) drawCharts(group, report.streams.find(({ title }) => title === group.dataset.stream));
  drawSmall();
}

// -- curves ------------------------------------------------------------------------------------------------------------

/** The measures that are shown of a stream: those that were chosen; else the window's two, or of a short stream the running ones. */
function viewsOf(stream, settings) {
  const offered = Object.keys(MEASURES).filter((measure) => seriesOf(settings, measure).length);
  const preferred = state.views ? state.views.split("|") : stream.rows >= 3 * stream.window ? ["window", "difference"] : ["rate", "regret"];
  const shown = offered.filter((measure) => preferred.includes(measure));
  return { offered, shown: shown.length ? shown : offered.slice(0, 1) };
}

function viewButtons(stream, settings) {
  const { offered, shown } = viewsOf(stream, settings);
  return offered.map((measure) => el("button", {
    type: "button", class: "view", "data-view": measure, "aria-pressed": String(shown.includes(measure)), onclick: () => toggleView(measure, stream, shown),
  }, MEASURES[measure].word));
}

function toggleView(measure, stream, shown) {
  const views = shown.includes(measure) ? shown.filter((other) => other !== measure) : [...shown, measure];
  state.views = views.join("|");
  writeAddress();
  for (const group of $("groups").querySelectorAll("details.group")) {
    const own = report.streams.find(({ title }) => title === group.dataset.stream);
    group.querySelector(".views")?.replaceChildren(...viewButtons(own, ofStream(chosen(), own.title)));
  }
  redrawCharts();
  [...$("groups").querySelectorAll("details.group")].find((group) => group.dataset.stream === stream.title)?.querySelector(`[data-view=${measure}]`)?.focus();
}

/** A row of charts for each LLM, as many beside each other as have room. */
function drawCharts(group, stream) {
  const place = group.querySelector(".charts");
  if (!place?.clientWidth) return; // not laid out yet
  const settings = ofStream(chosen(), stream.title);
  const { shown } = viewsOf(stream, settings);
  const llms = groupBy(settings, ({ llm }) => llm);
  const beside = Math.max(1, Math.min(shown.length, Math.floor(place.clientWidth / 440)));
  const width = Math.floor((place.clientWidth - 20 * (beside - 1)) / beside);
  place.style.gridTemplateColumns = `repeat(${beside}, minmax(0, 1fr))`;
  const charts = [...llms].flatMap(([llm, members]) => shown.filter((measure) => seriesOf(members, measure).length).map((measure) =>
    chart(members, measure, stream, width, llms.size < 2 ? undefined : `${llm}: ${lowered(MEASURES[measure].title(count(stream.window)))}`)));
  place.replaceChildren(...charts);
}

/** One small chart of each task and LLM, of the first measure that is shown. */
function drawSmall() {
  const place = $("small");
  if (!place.open || !place.clientWidth) return;
  const all = place.querySelector(".charts");
  const beside = Math.max(1, Math.floor(all.clientWidth / 340));
  const width = Math.floor((all.clientWidth - 20 * (beside - 1)) / beside);
  all.style.gridTemplateColumns = `repeat(${beside}, minmax(0, 1fr))`;
  all.replaceChildren(...[...groupBy(chosen(), panelName)].flatMap(([name, settings]) => {
    const stream = report.streams.find(({ title }) => title === settings[0].stream);
    const { shown: [measure] } = viewsOf(stream, settings);
    const of = measure && el("span", { class: "muted" }, lowered(MEASURES[measure].title(count(stream.window))));
    return measure ? [chart(settings, measure, stream, width, [name, ...badges(common(settings)), of])] : [];
  }));
}

const panelName = ({ stream, llm }) => (unique("llm").length > 1 ? `${stream}, ${llm}` : stream);

// -- tables, runs and files --------------------------------------------------------------------------------------------

function extraTable({ title, columns, rows, notes }, open) {
  const head = el("tr", {}, columns.map((name, i) => el("th", { scope: "col", class: i === 0 && "text" }, name)));
  const body = rows.map((row) => el("tr", {}, row.map((value, i) => el("td", { class: (i === 0 || value.length > 40) && "text" }, value ?? ""))));
  return el("details", { class: "extra", open: open && "" }, el("summary", {}, title),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, el("table", {}, el("thead", {}, head), el("tbody", {}, body))),
    notes.map((note) => el("p", { class: "muted small" }, note)));
}

function linkList(links) {
  if (!links.length) return null;
  const rows = links.map(({ title, files }) => el("li", {}, `${title}: `, files.map(([kind, path], i) => [i ? ", " : "", el("a", { href: encodeURI(path) }, kind)])));
  return el("details", { class: "extra files" }, el("summary", {}, `Files: tables and plots (${links.length})`), el("ul", {}, rows));
}

/** Every run of these settings; opened, it says how it was made. */
function runList(stream, settings) {
  const all = settings.flatMap((setting) => setting.runs.map((run) => ({ ...run, setting })));
  const one = (run) => {
    const place = el("div", { class: "made" });
    const progress = run.finished ? plural(run.steps, "step") : `unfinished: ${count(run.steps)} of ${plural(run.rows, "step")}`;
    return onOpen(el("details", { "data-run": run.id }, el("summary", {}, `${runName(run)}, ${run.setting.llm}: ${progress}`), place), () => showMade(place, stream, run));
  };
  const list = el("div", {});
  return onOpen(el("details", { class: "extra runs" }, el("summary", {}, `Runs: how each was made (${all.length})`), list), () => list.replaceChildren(...all.map(one)));
}

/** `details` that calls `fill` when it is opened first. */
function onOpen(details, fill) {
  let filled = false;
  details.addEventListener("toggle", () => { if (details.open && !filled) { filled = true; fill(); } });
  return details;
}

async function showMade(place, stream, run) {
  const { facts, settings } = (await unpack(stream.made))[run.id];
  const set = settings.filter(([, , standard]) => !standard);
  const others = settings.filter(([, , standard]) => standard);
  const pairs = (rows) => factList(rows.map(([name, value]) => [name, value]));
  place.replaceChildren(factList([["run", run.id], ...facts], "long"),
    el("h3", {}, "Settings off their default"), set.length ? pairs(set) : el("p", { class: "muted small" }, "none"),
    el("details", {}, el("summary", {}, `Settings at their default (${others.length})`), pairs(others)));
}
