"use strict";
// The page of the service. Data from the service is inserted as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";
const SIDE_BY_SIDE = 7, MOST_SHARES = 8, MOST_DOTS = 40; // items per strategy, bars per explanation, events with a dot
const MEANING = {
  interest: "what the model expects next",
  similar: "like the last items, by the model's vectors",
  content: "like the last items, by their texts",
  together: "what often follows the last items",
  popular: "what many chose lately",
  popularity: "what many chose lately",
  new: "items with few events so far",
  mix: "the mix of the rules",
};
const $ = (id) => document.getElementById(id);
const state = { info: null, key: "", history: [], shown: [], open: new Set(), strategies: [], turn: 0, search: 0 };

function make(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const node = document.createElement(name);
  node.className = classes.join(" ");
  return finish(node, attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return finish(document.createElementNS(SVG, tag), attributes, children);
}

function finish(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

const named = (item) => item.title || item.item;
const signed = (value, digits) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
const times = (number) => (number === 1 ? "once" : `${number.toLocaleString("en")} times`);
const percent = (share) => `${signed(100 * share, 0)}\u00a0%`;

// --- the service -----------------------------------------------------------------------------------------------------

async function ask(path, body) {
  const headers = { ...(body && { "Content-Type": "application/json" }),
    ...(state.key && { Authorization: `Bearer ${state.key}` }) };
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  const content = await answer.json().catch(() => null);
  if (answer.ok && content) return content;
  const said = content?.detail ?? `The service answered ${answer.status}.`;
  throw Object.assign(new Error(said), { status: answer.status });
}

// Runs some work and shows its errors. A missing or rejected key opens the dialog.
async function guarded(work) {
  try {
    $("problem").hidden = true;
    return await work();
  } catch (error) {
    if (error.status === 401 || (error.status === 403 && !state.info)) {
      if (state.key) $("key-said").textContent = error.message;
      if (!$("key-dialog").open) $("key-dialog").showModal();
    } else {
      $("problem").textContent = error instanceof TypeError ? "The service cannot be reached." : error.message;
      $("problem").hidden = false;
    }
    return null;
  }
}

// Converts the history for the service, oldest first. Events of a stored user keep their times.
function sent() {
  const { history, info } = state, now = Date.now(), gap = 1000 * Number($("gap").value);
  const timed = info.dates || history.every((event) => typeof event.time === "number");
  return history.map((event, place) => {
    const time = event.time ?? new Date(now - (history.length - 1 - place) * gap).toISOString();
    const known = { item: event.item, rating: event.rating, behavior: event.behavior, time: timed ? time : null };
    return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== null));
  });
}

// --- search ----------------------------------------------------------------------------------------------------------

function picks(list, items, more = () => "") {
  list.replaceChildren(...items.map((item) => make("li", {}, make(`button.pick${more(item) && ".both"}`, {
    type: "button", click: () => add(item), "aria-label": `Add ${named(item)}${more(item)}`,
  }, make("span.title", {}, named(item))))));
}

async function find() {
  const query = $("query").value.trim(), search = ++state.search;
  const by = $("meaning").checked ? "text" : "title";
  const found = await guarded(() => query ? ask(`v1/items?${new URLSearchParams({ query, by, k: 30 })}`)
    : ask("v1/recommendations", { events: [], k: 30 }));
  if (!found || search !== state.search) return;
  picks($("found"), found.items);
  $("found-title").textContent = query ? (found.items.length ? "Found" : "Nothing found") : "Popular";
  if (query) $("status").textContent = `${found.items.length} items found`;
}

async function findLike(item) {
  state.search += 1;
  const found = await guarded(() => ask(`v1/items/${encodeURIComponent(item.item)}/similar?k=20`));
  if (!found) return;
  picks($("found"), found.items);
  $("found-title").textContent = `Like ${named(item)}`;
  $("found").querySelector("button")?.focus();
}

function move(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") $("query").focus();
  if (!step) return;
  const stops = [$("query"), ...$("found").querySelectorAll("button")];
  stops[stops.indexOf(document.activeElement) + step]?.focus();
  event.preventDefault();
}

// --- the history -----------------------------------------------------------------------------------------------------

function add(item) {
  state.history.push({ item: item.item, title: item.title, rating: null, behavior: null, time: null });
  changed(`Added ${named(item)}.`);
}

function changed(said) {
  drawHistory();
  refresh(said);
}

function remove(place) {
  const [event] = state.history.splice(place, 1);
  changed(`Removed ${named(event)}.`);
  const left = $("history").querySelectorAll(".icon"); // newest first
  (left[Math.min(state.history.length - place, left.length - 1)] ?? $("query")).focus();
}

function choice(event, member, known, title) {
  const given = event[member], values = given === null || known.includes(given) ? known : [...known, given];
  const select = make("select", { "aria-label": `${title} of ${named(event)}`, change: () => {
    event[member] = select.value === "" ? null : values[select.value];
    refresh();
  } }, make("option", { value: "" }, `no ${title.toLowerCase()}`),
  ...values.map((value, place) =>
    make("option", { value: place, selected: value === given }, String(value))));
  return select;
}

function drawHistory() {
  const { ratings, behaviors } = state.info;
  const rows = state.history.map((event, place) => make("li", {},
    make("span.title", {}, named(event)),
    make("div.controls", {},
      ratings ? choice(event, "rating", ratings.values, "Rating") : null,
      behaviors.length ? choice(event, "behavior", behaviors, "Behaviour") : null,
      event.date ? make("span.muted", {}, event.date) : null),
    make("button.quiet.icon", {
      type: "button", "aria-label": `Remove ${named(event)}`, click: () => remove(place) }, "×")));
  $("history").replaceChildren(...rows.reverse());
  $("history-empty").hidden = rows.length > 0;
  $("clear").hidden = !rows.length;
  $("gap-label").hidden = !(state.info.times && state.info.dates && rows.length > 1);
}

async function load(event) {
  event.preventDefault();
  const user = $("user").value;
  try {
    const found = await ask(`v1/users/${encodeURIComponent(user)}`);
    state.history = found.last.reverse().map((last) => ({ ...last }));
    const said = `The last ${state.history.length} of ${found.events} events of ${user}.`;
    $("stored-said").textContent = said;
    changed(said);
  } catch (error) {
    $("stored-said").textContent = error.message;
  }
}

// --- recommendations -------------------------------------------------------------------------------------------------

async function refresh(said = "") {
  const turn = ++state.turn, events = sent(), strategy = $("strategy").value;
  const current = () => turn === state.turn, main = document.querySelector("main");
  main.setAttribute("aria-busy", "true");
  await guarded(async () => {
    const found = await ask("v1/recommendations", { events, k: 10, ...(strategy && { strategy }) });
    if (!current()) return;
    drawItems(found, new Map());
    $("status").textContent = `${said} ${found.items.length} recommendations.`;
    const asked = state.strategies.filter((each) => each.available);
    const [why, interest, ...lists] = await Promise.all([
      events.length && found.items.length && found.events
        ? ask("v1/explanations", { events, items: found.items.map((item) => item.item) }) : null,
      events.length && found.events ? ask("v1/interest", { events }) : null,
      ...asked.map((each) => ask("v1/recommendations", { events, k: SIDE_BY_SIDE, strategy: each.name })),
    ]);
    if (!current()) return;
    drawItems(found, new Map(why?.explanations.map((each) => [each.item, each])));
    state.shown = found.items.map((item) => item.item);
    state.interest = interest;
    drawInterest();
    drawStrategies(asked.map((each, place) => [each.name, lists[place].items]));
  });
  if (current()) main.setAttribute("aria-busy", "false");
}

function drawItems(found, reasons) {
  const stops = "button, summary, select", before = [...$("items").querySelectorAll(stops)];
  const focused = before.indexOf(document.activeElement);
  const mixed = new Set(found.items.map((item) => item.strategy)).size > 1;
  $("items").replaceChildren(...found.items.map((item, place) => row(item, place, reasons.get(item.item), mixed)));
  if (focused >= 0) [...$("items").querySelectorAll(stops)][focused]?.focus();
  const number = found.events === 1 ? "one event" : `${found.events} events`;
  const unknown = found.unknown ? ` (${found.unknown} more on items that the model does not know)` : "";
  const when = found.events || found.unknown ? `After ${number}${unknown}` : "Before the first event";
  $("basis").textContent = found.problem ?? `${when}: ${MEANING[found.basis] ?? found.basis}.`;
}

function row(item, place, why, mixed) {
  const before = state.shown.indexOf(item.item), up = before - place, steps = Math.abs(up);
  let moved = null;
  if (state.shown.length && before < 0) moved = make("span.moved.up", {}, "new");
  else if (before >= 0 && up) {
    const said = { role: "img", "aria-label": `${up > 0 ? "up" : "down"} ${steps}` };
    moved = make(`span.moved${up > 0 ? ".up" : ""}`, said, `${up > 0 ? "↑" : "↓"} ${steps}`);
  }
  const notes = [why?.categories.join(", "), mixed && item.strategy].filter(Boolean);
  return make("li", {},
    make("span.rank", {}, String(place + 1), moved),
    make("div", {},
      make("div.line", {}, make("span.title", {}, named(item)), make("span.muted", {}, notes.join(" · "))),
      why ? reason(item, why) : state.history.length ? make("p.notice", { "aria-hidden": "true" }, "…") : null),
    make("button.icon", {
      type: "button", "aria-label": `Add ${named(item)} to the history`, click: () => add(item) }, "+"));
}

function reason(item, why) {
  const strongest = [...why.events].sort((a, b) => Math.abs(b.share) - Math.abs(a.share)).slice(0, MOST_SHARES);
  const leading = strongest.filter((event) => event.share >= 0.005).slice(0, 2);
  const causes = leading.map((event) => `${named(event)} ${percent(event.share)}`).join(", ");
  const before = strongest.filter((event) => event.followed).map((event) => `${named(event)} ${times(event.followed)}`);
  const details = make("details", { open: state.open.has(item.item), toggle: () => {
    state.open[details.open ? "add" : "delete"](item.item);
  } },
  make("summary", {}, causes ? `because of ${causes}` : "despite the history"),
  make("div.why", {},
    make("h4", {}, `Contribution of events to the model's score of ${why.score.toFixed(2)}`),
    ...bars(strongest.map((event) => [named(event), event.share])),
    before.length ? make("p.muted", {}, `In the training data it came soon after ${before.join(", ")}.`) : null,
    make("h4", {}, "Contribution of their id, text and other values"),
    ...bars(Object.entries(why.sources))),
  make("button", { type: "button", click: () => findLike(item) }, "Items like this"));
  return details;
}

function bars(shares) {
  const widest = Math.max(...shares.map(([, share]) => Math.abs(share))) || 1;
  return shares.flatMap(([name, share]) => {
    const bar = make(`div.bar${share < 0 ? ".against" : ""}`, { "aria-hidden": "true" });
    bar.style.setProperty("--part", (100 * Math.abs(share)) / widest);
    return [make("span.cut", { title: name }, name), bar, make("span.share", {}, percent(share))];
  });
}

function drawStrategies(lists) {
  $("strategies").replaceChildren(...lists.map(([name, items]) => {
    const list = make("ol");
    picks(list, items, (item) => (state.shown.includes(item.item) ? ", among the recommendations" : ""));
    const none = state.history.length ? "Nothing for this history." : "Nothing before the first event.";
    return make("div", {}, make("h3", {}, name), make("p.muted", {}, MEANING[name] ?? ""),
      items.length ? list : make("p.notice", {}, none));
  }));
}

// --- interest over time ----------------------------------------------------------------------------------------------

function drawInterest() {
  const found = state.interest, empty = !found || !found.series.length;
  $("interest-table").hidden = empty;
  $("interest-said").textContent = empty ? "Shown from the first event on." : found.of === "categories"
    ? "How much the items of a category score above the average item, after each event."
    : "Score of the items that are recommended first, after each event.";
  $("chart").replaceChildren(...(empty ? [] : [chart(found)]));
  if (empty) return;
  const heads = ["Event", ...found.series.map((line) => line.name)].map((name) => make("th", { scope: "col" }, name));
  const rows = found.events.map((event, place) => make("tr", {}, make("th", { scope: "row" }, named(event)),
    ...found.series.map((line) => make("td", {}, signed(line.values[place], 2)))));
  $("values").replaceChildren(make("tr", {}, ...heads), ...rows);
}

function chart({ events, series, of }) {
  const width = Math.max(260, $("chart").clientWidth), height = 260, left = 6, top = 12, bottom = height - 24;
  const right = width - Math.min(130, width * 0.36), last = events.length - 1;
  const all = series.flatMap((line) => line.values), low = Math.min(0, ...all), high = Math.max(0, ...all);
  const x = (place) => (last ? left + ((right - left) * place) / last : right);
  const y = (value) => bottom - ((bottom - top) * (value - low)) / (high - low || 1);
  const ends = series.map((line) => `${line.name} ${signed(line.values[last], 2)}`).join(", ");
  const label = `Interest after each of ${events.length} events; at the end ${ends}`;
  const image = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label },
    draw("path", { class: "zero", d: `M${left} ${y(0)}H${right}` }));
  const zero = of === "categories" ? [y(0)] : [];
  const heights = apart([...series.map((line) => y(line.values[last])), ...zero], 16, top, bottom);
  series.forEach((line, place) => {
    const points = line.values.map((value, event) => [x(event), y(value)]);
    const path = points.map((point) => point.map((part) => part.toFixed(1)).join(" ")).join("L");
    const name = line.name.length > 18 ? `${line.name.slice(0, 17)}…` : line.name;
    const group = draw("g", { class: `colour-${place % 5}` },
      draw("path", { d: `M${path}`, "stroke-width": 2 + 3 * hiding(series, place, high - low) }),
      draw("text", { x: right + 10, y: heights[place] + 4 }, name));
    points.forEach(([cx, cy], event) => {
      if (events.length > MOST_DOTS && event < last) return;
      group.append(draw("circle", { cx, cy, r: event === last ? 3.5 : 2.5 },
        draw("title", {}, `${named(events[event])}: ${line.name} ${signed(line.values[event], 2)}`)));
    });
    image.append(group);
  });
  if (zero.length) image.append(draw("text", { x: right + 10, y: heights[series.length] + 4 }, "average item"));
  image.append(draw("text", { x: left, y: height - 4 }, last ? events[0].date || "first event" : ""),
    draw("text", { x: right, y: height - 4, "text-anchor": "end" }, events[last].date || "last event"));
  return image;
}

// Counts the later lines that cover a line, which is drawn wider to stay visible.
function hiding(series, place, span) {
  const own = series[place].values, near = (value, event) => Math.abs(value - own[event]) < span / 100;
  return series.slice(place + 1).filter((line) => line.values.filter(near).length * 2 >= own.length).length;
}

// Moves label positions apart to a minimum distance, without changing their order.
function apart(heights, distance, top, bottom) {
  const order = heights.map((_, place) => place).sort((a, b) => heights[a] - heights[b]);
  const out = [...heights];
  order.forEach((place, rank) => {
    out[place] = Math.max(out[place], rank ? out[order[rank - 1]] + distance : top);
  });
  order.reverse().forEach((place, rank) => {
    out[place] = Math.min(out[place], rank ? out[order[rank - 1]] - distance : bottom);
  });
  return out;
}

// --- the start -------------------------------------------------------------------------------------------------------

async function start() {
  const [info, listed] = await guarded(() => Promise.all([ask("v1/model"), ask("v1/strategies")])) ?? [];
  if (!info) return;
  state.info = info;
  state.strategies = listed.strategies;
  const { items, texts, ratings, behaviors, times, rules } = info;
  const reads = { texts, ratings, behaviours: behaviors.length, times };
  const read = ["what was chosen", ...Object.keys(reads).filter((name) => reads[name])];
  $("about").textContent = `${items.toLocaleString("en")} items · reads ${read.join(", ")}`;
  $("meaning-label").hidden = !texts;
  const names = state.strategies.filter((each) => each.available).map((each) => each.name);
  $("strategy").replaceChildren(make("option", { value: "" }, "the service's choice"),
    ...[...names, ...(rules ? ["mix"] : [])].map((name) => make("option", { value: name }, name)));
  $("missing").replaceChildren(...state.strategies.filter((each) => !each.available)
    .map((each) => make("li", {}, `No ${each.name}: ${each.problem}`)));
  drawHistory();
  await Promise.all([find(), refresh()]);
}

function theme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
}

let waiting = 0, drawn = 0;
$("query").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(find, 150); });
$("query").addEventListener("keydown", move);
$("found").addEventListener("keydown", move);
$("meaning").addEventListener("change", find);
$("gap").addEventListener("change", () => refresh());
$("strategy").addEventListener("change", () => refresh());
$("clear").addEventListener("click", () => {
  state.history = [];
  changed("The history is empty.");
  $("query").focus();
});
$("stored").addEventListener("submit", load);
$("change-key").addEventListener("click", () => $("key-dialog").showModal());
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  state.key = $("key").value.trim();
  $("key").value = "";
  $("key-dialog").close();
  $("change-key").hidden = false;
  start();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.matches("input, select")) return;
  event.preventDefault();
  $("query").focus();
});
for (const input of document.getElementsByName("theme")) input.addEventListener("change", () => theme(input.value));
new ResizeObserver(([{ contentRect }]) => {
  if (state.interest && contentRect.width !== drawn) { drawn = contentRect.width; drawInterest(); }
}).observe($("chart"));
start();
