"use strict";
// Everything that a model or a user has written goes into the page as text, never as markup.

const NAMES = { cases: "With cases", holdout: "Without cases (holdout)", shadow: "Without cases (shadow)" };
const PAGE = 50;
const state = { query: "", offset: 0 };

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") made.addEventListener("click", value);
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

const find = (id) => document.getElementById(id);
const percent = (value) => (100 * value).toFixed(1) + " %";
const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));

async function ask(path, options = {}) {
  const headers = {};
  const key = sessionStorage.getItem("key"), header = sessionStorage.getItem("header");
  if (key) headers.Authorization = "Bearer " + key;
  if (header) headers[header] = sessionStorage.getItem("tenant") || "";
  const response = await fetch(path, { ...options, headers });
  const body = await response.json().catch(() => ({}));
  if (response.status === 401 || (response.status === 400 && /header/.test(body.error?.message || ""))) find("access").hidden = false;
  if (!response.ok) throw new Error(body.error ? body.error.message : "status " + response.status);
  return body;
}

// -- success ----------------------------------------------------------------------------------------------------------

function bar([low, high], rate) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 100 10");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (const [x, width, fill, opacity] of [[0, 100, "var(--soft)", 1], [0, 100 * rate, "var(--accent)", 0.55],
    [100 * low, Math.max(0.4, 100 * (high - low)), "var(--accent)", 0.45]]) {
    const rect = document.createElementNS(space, "rect");
    for (const [name, value] of Object.entries({ x, y: 0, width, height: 10, fill, opacity })) rect.setAttribute(name, value);
    svg.append(rect);
  }
  return svg;
}

function showStats(stats) {
  const shown = [];
  for (const [name, group] of Object.entries(stats.groups)) {
    if (!group.requests) continue;
    const known = group.success_rate !== null;
    const figure = known
      ? `${percent(group.success_rate)}  [${percent(group.interval[0])}, ${percent(group.interval[1])}]`
      : "no feedback yet";
    shown.push(element("span", {}, NAMES[name]), known ? bar(group.interval, group.success_rate) : element("span"),
      element("span", { class: "figure" }, `${figure}  ·  ${group.feedback} of ${group.requests} with feedback`));
  }
  find("worth").replaceChildren(...(shown.length ? shown : [element("span", { class: "muted" }, "No request yet.")]));
  const gain = stats.gain;
  find("gain").textContent = gain
    ? `Cases change the success rate by ${(100 * gain.difference).toFixed(1)} points, 95 % interval ` +
      `[${gain.interval.map((end) => (100 * end).toFixed(1)).join(", ")}].`
    : "What the cases are worth shows once requests with and without them (--holdout) have feedback.";
  const waiting = stats.events - stats.learned;
  find("status").textContent = `${stats.requests} requests, ${stats.feedback} with feedback, ${stats.cases} cases` +
    (waiting ? `, ${waiting} waiting to be learned` : "") +
    (stats.learning_stopped ? `. Learning has stopped: ${stats.learning_stopped}` : "");
}

// -- the bank ---------------------------------------------------------------------------------------------------------

function caseRow(item) {
  const rate = item.with_feedback ? `${item.right} of ${item.with_feedback}` : "–";
  return element("tr", {},
    element("td", { class: "text" }, element("button", { type: "button", onclick: () => openCase(item) }, item.task)),
    element("td", { class: "text" }, text(item.answer)),
    element("td", { class: item.reward ? "right" : "wrong" }, item.reward ? "right" : "wrong"),
    element("td", { class: "number" }, String(item.shown)),
    element("td", { class: "number" }, rate),
    element("td", { class: "number" }, element("button", { type: "button", onclick: () => removeCase(item) }, "Remove")));
}

async function showCases(more = false) {
  state.offset = more ? state.offset + PAGE : 0;
  const query = new URLSearchParams({ limit: PAGE, offset: state.offset });
  if (state.query) query.set("q", state.query);
  const found = await ask("/v1/cases?" + query);
  const rows = found.cases.map(caseRow), body = find("bank").tBodies[0];
  if (more) body.append(...rows);
  else body.replaceChildren(...rows);
  find("bank-count").textContent = `${found.total} in the bank`;
  find("more").hidden = Boolean(state.query) || body.rows.length >= found.total;
}

async function removeCase(item) {
  if (!window.confirm("Take this case out of the bank?\n\n" + item.task.slice(0, 300))) return;
  await ask("/v1/cases/" + encodeURIComponent(item.key), { method: "DELETE" });
  await refresh();
}

// -- details ----------------------------------------------------------------------------------------------------------

function open_(...parts) {
  const shown = parts.filter(([, value]) => value !== null && value !== undefined && value !== "");
  find("detail-body").replaceChildren(...shown.flatMap(([name, value]) => [element("h2", {}, name), element("pre", {}, text(value))]));
  find("detail").showModal();
}

function openCase(item) {
  open_(["Task", item.task], ["Answer", item.answer], ["Output", item.output],
    ["Record", `key ${item.key}, learned from feedback ${item.step}, shown ${item.shown} times, right ${item.right} of ${item.with_feedback} times after it`]);
}

function requestRow(item) {
  const feedback = item.reward === null ? "–" : item.reward ? "right" : "wrong";
  const sent = item.group === "cases" ? `${item.cases.length} case${item.cases.length === 1 ? "" : "s"}` : `none (${item.group})`;
  return element("tr", {},
    element("td", {}, new Date(1000 * item.time).toLocaleTimeString()),
    element("td", { class: "text" }, element("button", { type: "button", onclick: () => openRequest(item) }, item.query)),
    element("td", { class: "text" }, item.output),
    element("td", {}, sent),
    element("td", { class: item.reward === null ? "muted" : item.reward ? "right" : "wrong" }, feedback));
}

function openRequest(item) {
  const cases = item.cases.map((each) => [item.group === "cases" ? "Case sent" : "Case that would have been sent", `${each.task}\n\n${text(each.answer)}`]);
  open_(["Query", item.query], ["Answer", item.output], ["Correction", item.answer], ...cases, ["Id", item.id]);
}

// -- all of it --------------------------------------------------------------------------------------------------------

async function refresh() {
  try {
    showStats(await ask("/v1/stats"));
    await showCases();
    const latest = await ask("/v1/requests?limit=" + PAGE);
    find("requests").tBodies[0].replaceChildren(...latest.requests.map(requestRow));
  } catch (error) {
    find("status").textContent = error.message;
  }
}

find("access").addEventListener("submit", (event) => {
  event.preventDefault();
  for (const [name, id] of [["key", "api-key"], ["header", "tenant-header"], ["tenant", "tenant"]]) sessionStorage.setItem(name, find(id).value);
  refresh();
});
find("search").addEventListener("submit", (event) => {
  event.preventDefault();
  state.query = find("query").value.trim();
  showCases().catch((error) => { find("status").textContent = error.message; });
});
find("more").addEventListener("click", () => showCases(true));
setInterval(() => {
  if (!document.hidden && !find("detail").open && state.offset === 0 && !state.query) refresh();
}, 5000);
refresh();
