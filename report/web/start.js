// Put the report on the page and listen.
"use strict";

function start() {
  document.querySelector("h1").textContent = report.title;
  $("about").textContent = report.about;
  $("notes").replaceChildren(...report.notes.map((note) => el("li", {}, note)));
  const present = Object.keys(BADGES).filter((kind) => report.settings.some((setting) => setting[kind]));
  $("origins").replaceChildren(...present.map(badge));
  const several = report.streams.length > 1;
  const widest = report.tables.filter(({ summary }) => summary).sort((a, b) => b.rows.length - a.rows.length)[0];
  $("tables").replaceChildren(...report.tables.map((table) => extraTable(table, table === widest && table.rows.length > 1)), linkList(report.links) ?? "");
  $("small").hidden = !several;
  if (!several) $("groups").after($("overview")); // a lone task comes first
  for (const [id, key] of [["task", "stream"], ["llm", "llm"]]) options($(id), unique(key).map((value) => [value, value]), "all");
  listen();
  listenForTips();
  open();
}

/** Show what the address says. */
function open() {
  readAddress();
  const known = (key, setting) => report.settings.some((candidate) => candidate[setting] === state[key]);
  if (!known("task", "stream")) state.task = "";
  if (!known("llm", "llm")) state.llm = "";
  state.views = state.views.split("|").filter((view) => view in MEASURES).join("|");
  [$("reward").value, $("search").value] = [state.reward, state.search];
  update();
}

function listen() {
  for (const key of ["task", "llm"]) {
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
  $("small").addEventListener("toggle", drawSmall);
  $("made").addEventListener("toggle", () => showRunMade(runs.get(state.run)));
  let wide = document.documentElement.clientWidth; // a phone's bars come and go, which changes the height alone
  addEventListener("resize", () => {
    drawList();
    if (wide !== (wide = document.documentElement.clientWidth)) redrawCharts();
  });
  addEventListener("pointerdown", (event) => { if (!event.target.closest?.(".plot")) hideCursor(); });
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
