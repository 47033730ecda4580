// The steps of one run: a list that draws only what is in view, and one step in full.
"use strict";

const ROW = 46; // pixels, as in the style sheet
const runs = new Map(report.settings.flatMap((setting) => setting.runs.map((run) => [run.id, { ...run, setting }])));
let steps = []; // of the run that is open
let found = []; // those that pass the filters
let opened = ""; // the run that `steps` belongs to

const unpacked = new Map(); // place -> the value that is coming
/** What the page keeps packed: base64 of gzip of JSON, unpacked when it is first looked at. */
function unpack(place) {
  if (!unpacked.has(place)) unpacked.set(place, unpackNow(place));
  return unpacked.get(place);
}

async function unpackNow(place) {
  const packed = Uint8Array.from(atob($(place).textContent), (character) => character.charCodeAt(0));
  const plain = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(plain).json();
}

const runName = ({ setting, seed }) => `${setting.method}, seed ${seed}`;

/** Fill the menu of runs with those the filters leave and open one of them. */
function showRuns() {
  const settings = chosen().filter((setting) => setting.runs.some(({ place }) => place));
  $("run").replaceChildren(...[...groupBy(settings, panelName)].map(([label, members]) =>
    el("optgroup", { label }, members.flatMap((setting) => setting.runs.filter(({ place }) => place).map((run) =>
      el("option", { value: run.id }, runName({ ...run, setting }) + (run.finished ? "" : " (unfinished)")))))));
  const offered = [...$("run").querySelectorAll("option")].map(({ value }) => value);
  if (!offered.includes(state.run)) [state.run, state.step] = [offered[0] ?? "", state.run ? "" : state.step];
  $("run").value = state.run;
  return openRun();
}

function chooseRun(id, step = "") {
  [state.run, state.step] = [id, step];
  $("run").value = id;
  return openRun();
}

async function openRun() {
  writeAddress();
  const run = runs.get(state.run);
  $("step").replaceChildren();
  if (!run) {
    [steps, opened] = [[], ""];
    showRunMade(null);
    $("run-note").textContent = report.steps_note;
    return filterSteps();
  }
  if (typeof DecompressionStream === "undefined") {
    $("run-note").textContent = "This browser is too old to unpack the steps.";
    return;
  }
  if (opened !== run.id) {
    const own = await unpackNow(run.place); // not kept: the steps of many runs would fill the memory
    if (state.run !== run.id) return; // another run was chosen meanwhile
    [steps, opened] = [own, run.id];
  }
  const progress = run.finished ? `${count(run.steps)} steps` : `unfinished: ${count(run.steps)} of ${count(run.rows)} steps`;
  $("run-note").replaceChildren(...[...badges({ ...run.setting, unfinished: !run.finished }), ` ${run.id}: ${progress}. ${report.steps_note}`]);
  showRunMade(run);
  filterSteps();
  showStep(Number(state.step) || found[0]?.step);
}

/** How the run that is open was made, where the reader wants to see it. */
function showRunMade(run) {
  $("made").hidden = !run;
  if (run && $("made").open) showMade($("made").lastElementChild, report.streams.find(({ title }) => title === run.setting.stream), run);
}

function filterSteps() {
  const plain = (text) => text.toLowerCase().replace(/\s+/g, " ");
  const wanted = plain(state.search).trim();
  const text = (step) => plain(`${step.step} ${step.task} ${step.output} ${asText(step.answer)}`);
  found = steps.filter((step) => (state.reward === "" || String(step.reward) === state.reward) && (!wanted || text(step).includes(wanted)));
  $("count").textContent = found.length === steps.length ? `${count(steps.length)} steps` : `${count(found.length)} of ${count(steps.length)} steps`;
  $("list").firstElementChild.style.height = `${found.length * ROW}px`;
  drawList();
}

function drawList() {
  const list = $("list");
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
  const rows = found.slice(first, first + Math.ceil(list.clientHeight / ROW) + 8).map((step, i) => option(step, first + i));
  list.firstElementChild.replaceChildren(...(found.length ? rows : [el("p", { class: "empty" }, "No step matches.")]));
  list.setAttribute("aria-activedescendant", `step-${state.step}`);
}

function option(step, place) {
  const row = el("div", {
    class: "option", role: "option", id: `step-${step.step}`, "aria-selected": String(String(step.step) === state.step),
    "aria-setsize": found.length, "aria-posinset": place + 1, onclick: () => showStep(step.step),
  }, el("span", { class: "number" }, mark(step), ` ${step.step}`), el("span", {}, step.task),
  el("span", { class: "muted" }, step.answer === null ? "no answer" : asText(step.answer)));
  row.style.top = `${place * ROW}px`;
  return row;
}

/** Of a step or a case: its class, its sign, its word; a step that was skipped has no reward. */
const VERDICTS = { 1: ["good", "\u2713", "right"], 0: ["bad", "\u2717", "wrong"], null: ["muted", "\u2013", "skipped"] };

function mark({ reward }) {
  const [kind, sign, word] = VERDICTS[reward];
  return el("span", { class: kind, title: word }, sign);
}

/** Open the step `number`, wherever it stands in the list. */
function showStep(number) {
  const step = steps[number - 1];
  if (!step) return;
  state.step = String(number);
  writeAddress();
  const place = found.indexOf(step);
  const list = $("list");
  if (place >= 0 && (place * ROW < list.scrollTop || (place + 1) * ROW > list.scrollTop + list.clientHeight)) {
    list.scrollTop = place * ROW - list.clientHeight / 3;
  }
  drawList();
  $("step").replaceChildren(...details(step));
}

/** Go `by` steps along the list; from a step that the filters hide, to the nearest one after or before it. */
function move(by) {
  const place = found.findIndex(({ step }) => step >= Number(state.step));
  const here = place < 0 ? found.length : place;
  const between = found[here]?.step !== Number(state.step);
  const next = found[between && by > 0 ? here + by - 1 : here + by];
  if (next) showStep(next.step);
}

// -- one step ----------------------------------------------------------------------------------------------------------

function details(step) {
  const run = runs.get(state.run);
  const usage = step.usage;
  const [kind, sign, word] = VERDICTS[step.reward];
  const facts = [
    ["tokens", `${count(usage.prompt_tokens)} prompt, ${count(usage.completion_tokens)} completion`],
    ["LLM", `${step.llm_seconds.toFixed(3)} s${step.cached ? ", from the cache" : ""}`],
    ...(step.env_seconds === undefined ? [] : [["task", `${step.env_seconds.toFixed(3)} s`]]),
    ["agent", `${step.agent_seconds.toFixed(3)} s`],
    ...(step.finish_reason ? [["finished", step.finish_reason === "length" ? "cut at the token limit" : step.finish_reason]] : []),
  ];
  return [
    el("div", { class: "bar" },
      el("h2", {}, `Step ${count(step.step)} `, el("span", { class: "muted" }, `of ${count(run.rows)}`)),
      el("span", { id: "verdict", class: kind }, `${sign} ${word}: ${step.reward === null ? step.skipped : `reward ${step.reward}`}`),
      el("button", { type: "button", onclick: () => move(-1), "aria-label": "Previous step" }, "\u2190"),
      el("button", { type: "button", onclick: () => move(1), "aria-label": "Next step" }, "\u2192"),
      el("span", { class: "muted small" }, runName(run))),
    el("h3", {}, "Query"), el("div", { class: "query", "data-part": "query" }, step.task),
    el("h3", {}, step.cases.length ? `Retrieved cases (${step.cases.length})` : "Retrieved cases: none"), ...step.cases.map(caseBox),
    part("Prompt", "prompt", step.prompt ?? null, step.prompt_note ? `The prompt cannot be shown: ${step.prompt_note}.` : run.no_prompt, step.prompt_note),
    ...(step.turns ? [el("h3", {}, `Turns (${step.turns.length})`), ...step.turns.map(turnBox)] : []),
    part("Output", "output", step.output), el("h3", {}, "Parsed answer"),
    step.answer === null ? el("p", { class: "muted", "data-part": "answer" }, "none in the required form")
      : asText(step.answer) === step.output.trim() && step.turns ? el("p", { class: "muted", "data-part": "answer" }, "the whole output")
      : el("pre", { "data-part": "answer" }, asText(step.answer)),
    ...(step.truth !== undefined && step.reward === 0 ? [el("h3", {}, "Right would have been"), el("pre", { "data-part": "truth" }, asText(step.truth))] : []),
    el("h3", {}, "Usage"), factList(facts),
    ...(Object.keys(step.metrics).length ? [el("h3", {}, "Policy"), factList(Object.entries(step.metrics).map(([name, value]) => [name, short(value)]))] : []),
  ];
}

/** A text under its title with a `note` on it, or, where there is none, `why`. */
function part(title, name, text, why = "", note = "") {
  const body = text === null ? el("p", { class: "muted", "data-part": name }, why) : el("pre", { "data-part": name }, text);
  return el("details", { open: "" }, el("summary", {}, title), text !== null && note ? el("p", { class: "muted small", "data-part": `${name}-note` }, note) : "", body);
}

/** A case that the prompt showed: it links to the step that retained it. */
function caseBox([id, score]) {
  const source = steps[id - 1];
  if (!source) return el("div", { class: "case", "data-case": id }, `case ${id} is of no step of this log`);
  const kept = source.kept ?? { task: source.task, answer: source.answer, reward: source.reward };
  const [kind, , word] = VERDICTS[kept.reward];
  const ranked = score === null ? "not ranked" : `score ${short(score)}`;
  return el("div", { class: "case", "data-case": id },
    el("div", { class: "head" }, el("button", { type: "button", onclick: () => showStep(id) }, `case ${id}`), el("span", { "data-part": "score", ...(score === null ? {} : says(String(score))) }, ranked),
      el("span", { class: kind }, source.prompt === undefined ? `its step was ${word}` : `kept as ${word}`)),
    el("div", { class: "prose", "data-part": "case-task" }, kept.task), el("pre", { "data-part": "case-answer" }, kept.answer === null ? "no answer" : asText(kept.answer)));
}

/** One turn of a dialogue, its fields as the task logs them. */
function turnBox(turn, number) {
  const refused = turn.legal === false || turn.ok === false || Boolean(turn.error);
  const fields = Object.entries(turn).filter(([, value]) => value !== null && value !== "" && typeof value !== "boolean");
  const brief = (text) => text.length <= 120 && !text.includes("\n");
  return el("div", { class: refused ? "turn refused" : "turn" },
    el("div", { class: "number" }, el("span", { class: "muted" }, `${number + 1}`), refused ? el("div", { class: "bad" }, "failed") : ""),
    el("div", {}, fields.map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]).map(([name, text]) => brief(text)
      ? el("div", { class: "field" }, el("span", { class: "muted" }, name), el("code", {}, text))
      : [el("div", { class: "muted small" }, name), el("pre", {}, text)])));
}

function factList(facts, kind = "") {
  return el("dl", { class: `facts ${kind}` }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}
