// The switchboard: drawn once, then kept true once a second. Every text is set as text, never as HTML.
"use strict";

const EVERY_MS = 1000;
const byId = (id) => document.getElementById(id);
const rows = new Map(); // fault -> what of its row changes

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function fill(list, items, draw, nothing) {
  const drawn = items.map(draw);
  list.replaceChildren(...(drawn.length ? drawn : [make("li", "soft", nothing)]));
}

// Lists are drawn anew only where they changed, so that nothing moves under a finger.
const shown = new Map();
function fillOnce(id, items, draw, nothing) {
  const text = JSON.stringify(items);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  fill(byId(id), items, draw, nothing);
}

function complain(text) {
  byId("away").textContent = text;
  byId("away").hidden = !text;
}

async function send(body) {
  try {
    const answer = await fetch("/api/v1/faults", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const said = await answer.json();
    complain(answer.ok ? "" : said.detail);
  } catch {
    complain("The page lost its server; it tries again.");
  }
  await look();
}

const turn = (name, target, on) => send({ switch: name, target, on });

function drawFault(fault) {
  const row = make("article", "fault");
  row.id = `fault-${fault.name}`;
  const head = make("div", "fault-head");
  head.append(make("h3", "", fault.name));
  for (const each of fault.rows) {
    const badge = make("span", "row", each);
    badge.title = fault.about;
    head.append(badge);
  }
  const words = make("div", "fault-words");
  const told = make("span");
  const see = make("p", "see");
  see.append(make("b", "", "You should see "), told);
  words.append(make("p", "", fault.plays), see);

  const act = make("div", "fault-act");
  const choice = make("select");
  choice.setAttribute("aria-label", `target of ${fault.name}`);
  for (const target of fault.targets) choice.append(new Option(target, target));
  choice.hidden = fault.targets.length < 2;
  const lever = make("button", "lever");
  lever.type = "button";
  lever.setAttribute("role", "switch");
  lever.addEventListener("click", async () => {
    lever.disabled = true;
    await turn(fault.name, choice.value, lever.getAttribute("aria-checked") !== "true");
    lever.disabled = false;
  });
  choice.addEventListener("change", () => drawLever(fault.name));
  if (choice.hidden) act.append(make("span", "only", fault.targets[0]));
  act.append(choice, lever);
  row.append(head, words, act);
  rows.set(fault.name, { row, choice, lever, told, fault, on: [] });
  return row;
}

function drawLever(name) {
  const { row, choice, lever, told, fault, on } = rows.get(name);
  const isOn = on.includes(choice.value);
  lever.setAttribute("aria-checked", String(isOn));
  lever.setAttribute("aria-label", `${name} on ${choice.value}`);
  lever.textContent = isOn ? "on" : "off";
  const words = fault.see_on[choice.value] ?? fault.see;
  if (told.textContent !== words) told.textContent = words;
  row.classList.toggle("is-on", on.length > 0);
}

function drawBoard(board) {
  const groups = new Map();
  for (const fault of board.faults) {
    if (!groups.has(fault.group)) groups.set(fault.group, []);
    groups.get(fault.group).push(fault);
  }
  byId("title").textContent = board.simulation;
  byId("groups").replaceChildren(...[...groups].map(([title, faults]) => {
    const section = make("section", "group");
    section.append(make("h2", "", title), ...faults.map(drawFault));
    return section;
  }));
  fill(byId("rest"), board.not_played, (each) => {
    const item = make("li");
    item.append(make("span", "row", each.row), ` ${each.about}: `, make("span", "soft", each.reason));
    return item;
  }, "every row of the catalogue has a switch");
}

function drawOn({ name, target }) {
  const item = make("li");
  const end = make("button", "", "off");
  end.type = "button";
  end.setAttribute("aria-label", `${name} on ${target}: switch off`);
  end.addEventListener("click", () => turn(name, target, false));
  const link = make("a", "", name);
  link.href = `#fault-${name}`;
  const words = make("span");
  words.append(link, ` ${target}`);
  item.append(words, end);
  return item;
}

async function look() {
  let board;
  try {
    const answer = await fetch("/api/v1/faults");
    board = await answer.json();
    if (!answer.ok) {
      complain(board.detail);
      return;
    }
  } catch {
    complain("The page lost its server; it tries again.");
    return;
  }
  if (byId("away").textContent.startsWith("The page lost")) complain("");
  if (!rows.size) drawBoard(board);
  const on = [];
  for (const fault of board.faults) {
    rows.get(fault.name).on = fault.on;
    drawLever(fault.name);
    on.push(...fault.on.map((target) => ({ name: fault.name, target })));
  }
  byId("all-off").hidden = !on.length;
  const alarms = board.noticed.filter((each) => each.kind !== "fact").length;
  byId("summary").textContent = `${on.length} on · ${alarms} ${alarms === 1 ? "alarm" : "alarms"}`;
  fillOnce("on", on, drawOn, "nothing: all is well, as far as this board knows");
  fillOnce("noticed", board.noticed, (each) => make("li", each.kind, each.text), "nothing");
  fillOnce("news", [...board.news].reverse(), (each) => make("li", "", each), "nothing yet");
}

async function keepLooking() {
  await look();
  setTimeout(keepLooking, EVERY_MS);
}

byId("all-off").addEventListener("click", () => send({ all_off: true }));
keepLooking();
