// Put the report on the page and listen.
"use strict";

function extraTable({ title, columns, rows, note, stream }) {
  const head = el("tr", {}, columns.map((name, i) => el("th", { scope: "col", class: i === 0 && "text" }, name)));
  const body = rows.map((row) => el("tr", {}, row.map((value, i) => el("td", { class: i === 0 && "text" }, value ?? ""))));
  return el("details", { class: "extra", "data-stream": stream, open: unique("stream").length > 1 !== Boolean(stream) && "" }, el("summary", {}, title), el("div", { class: "scroll" }, el("table", {}, el("thead", {}, head), el("tbody", {}, body))),
    note ? el("p", { class: "muted small" }, note) : "");
}

function start() {
  document.querySelector("h1").textContent = report.title;
  $("about").textContent = report.about;
  $("legend").textContent = report.legend;
  const present = Object.keys(BADGES).filter((kind) => report.settings.some((setting) => setting[kind]));
  $("origins").replaceChildren(...present.map((kind) => badge(kind)));
  $("extra").replaceChildren(...report.tables.map(extraTable));
  for (const [id, key] of [["task", "stream"], ["llm", "llm"]]) options($(id), unique(key).map((value) => [value, value]), "all");
  options($("measure"), Object.entries(MEASURES).map(([key, { title }]) => [key, title]));
  listen();
  open();
}

/** Show what the address says. */
function open() {
  readAddress();
  const known = (key, setting) => report.settings.some((candidate) => candidate[setting] === state[key]);
  if (!known("task", "stream")) state.task = "";
  if (!known("llm", "llm")) state.llm = "";
  if (!(state.measure in MEASURES)) state.measure = "rate";
  [$("reward").value, $("search").value] = [state.reward, state.search];
  update();
}

function listen() {
  for (const key of ["task", "llm", "measure"]) {
    $(key).addEventListener("change", (event) => { state[key] = event.target.value; update(); });
  }
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("run").addEventListener("change", (event) => chooseRun(event.target.value));
  for (const key of ["reward", "search"]) {
    $(key).addEventListener("input", (event) => {
      state[key] = event.target.value;
      $("list").scrollTop = 0;
      writeAddress();
      filterSteps();
    });
  }
  $("list").addEventListener("scroll", drawList);
  addEventListener("resize", drawList);
  addEventListener("hashchange", open);
  addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea") || event.ctrlKey || event.altKey || event.metaKey;
    const inList = event.target.closest("#list");
    const by = { ArrowRight: 1, ArrowLeft: -1, ...(inList ? { ArrowDown: 1, ArrowUp: -1 } : {}) }[event.key];
    if (typing || !by || event.target.closest(".plot, .scroll")) return;
    event.preventDefault();
    move(by);
  });
}

start();
