// Wires the demo page together.

import { Chat } from "./chat.js";
import { commandGroups, lineOf } from "./commands.js";
import { connect } from "./connection.js";
import { copyButton } from "./copy.js";
import { EventLog } from "./log.js";
import { pollRooms } from "./rooms.js";

const $ = (id) => document.getElementById(id);

const log = new EventLog({
  list: $("log"),
  empty: $("empty"),
  tally: $("tally"),
  switchCount: $("switch-count"),
  announce: $("announce"),
  clear: $("clear"),
});

let config = { control: "localhost:8081", key: false, version: "", client: "", path: "/socket.io/" };
let id = null; // this tab's socket id while it is connected

const view = {
  state(name, text, hint = "") {
    $("state").dataset.state = name;
    $("state-text").textContent = text;
    $("state-hint").textContent = hint;
    $("state-hint").hidden = hint === "";
    $("reconnect").hidden = name !== "away" || !socket;
    retitle(name);
  },
  id(now) {
    id = now;
    if (id) {
      $("socket-id").textContent = id;
      drawCommands();
    } else {
      drawRooms([]);
    }
    document.body.classList.toggle("offline", !id);
    $("copy-id").disabled = !id;
  },
  transport(name, upgraded) {
    const dd = $("transport");
    dd.replaceChildren();
    if (upgraded) dd.append(span("was", "polling"), span("arrow", "→"));
    dd.append(span("is", name ?? "none"));
  },
  note: (text, tone) => log.note(text, tone),
  event: (name, args, ackRequested) => log.event(name, args, ackRequested),
};

copyButton($("copy-id"), () => id ?? "");
for (const field of [$("room"), $("event")]) field.addEventListener("input", drawCommands);
$("fields").addEventListener("submit", (e) => e.preventDefault());

let chosen = false; // a part, by the reader
for (const button of document.querySelectorAll(".switch button")) {
  button.addEventListener("click", () => {
    chosen = true;
    showPart(button.dataset.part);
  });
}
showPart("events");

let socket = null;
await loadConfig();
socket = await connect(view, config.path);

// On a narrow screen the chat comes to the front once somebody is behind it,
// unless the reader has chosen already.
const chat =
  socket &&
  new Chat(
    socket,
    {
      panel: $("chat"),
      status: $("chat-status"),
      hint: $("chat-hint"),
      talk: $("talk"),
      form: $("chat-form"),
      name: $("chat-name"),
      to: $("chat-to"),
      message: $("chat-message"),
      send: $("chat-send"),
      roomForm: $("room-form"),
      room: $("chat-room"),
      rooms: $("chat-rooms"),
    },
    () => {
      if (!chosen) showPart("chat");
    },
  );

$("reconnect").addEventListener("click", () => {
  view.state("connecting", "connecting");
  socket.connect();
});
pollRooms(() => id, drawRooms);

// On a narrow screen one part shows at a time.
function showPart(part) {
  document.body.dataset.part = part;
  for (const button of document.querySelectorAll(".switch button")) {
    button.setAttribute("aria-pressed", String(button.dataset.part === part));
  }
}

async function loadConfig() {
  try {
    const answer = await fetch("/demo/config", { cache: "no-store" });
    if (answer.ok) config = await answer.json();
  } catch {
    // The daemon went away between the page and this; the defaults will do.
  }
  $("versions").textContent = [config.version && `fanoutd ${config.version}`, config.client && `socket.io-client ${config.client}`]
    .filter(Boolean)
    .join(" · ");
  if (!["localhost", "127.0.0.1", "[::1]"].includes(location.hostname)) {
    $("commands-hint").append(" Run it on the machine the daemon runs on.");
  }
  drawCommands();
}

function drawCommands() {
  const groups = commandGroups({
    ...config,
    id: id ?? $("socket-id").textContent,
    room: $("room").value || "some room",
    event: $("event").value || "new message",
  });
  $("command-list").replaceChildren(...groups.map(drawGroup));
}

function drawGroup({ title, commands }) {
  const group = document.createElement("section");
  group.className = "group";
  const head = document.createElement("h3");
  head.textContent = title;
  group.append(head, ...commands.map(drawCommand));
  return group;
}

function drawCommand({ name, title, note, parts }) {
  const item = document.createElement("article");
  item.className = "command";
  item.dataset.command = name;
  const head = document.createElement("div");
  head.className = "command-head";
  const label = document.createElement("h4");
  label.textContent = title;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy the line: ${title}`);
  copyButton(button, () => lineOf(parts));
  head.append(label, button);
  const code = document.createElement("code");
  code.className = "line";
  for (const part of parts) {
    if (part.mark) {
      const mark = document.createElement("mark");
      mark.textContent = part.text;
      code.append(mark);
    } else {
      code.append(part.text);
    }
  }
  item.append(head, code);
  if (note) {
    const p = document.createElement("p");
    p.className = "hint";
    p.textContent = note;
    item.append(p);
  }
  return item;
}

// The room of the tab's own id comes first and is drawn apart: every
// connection has it.
function drawRooms(rooms) {
  const list = $("rooms");
  if (rooms === null) {
    list.replaceChildren(li("unknown", "not known right now"));
    return;
  }
  const others = rooms.filter((room) => room !== id);
  chat?.setRooms(others);
  const items = others.slice(0, 50).map((room) => li("room", room));
  if (others.length > 50) items.push(li("unknown", `and ${others.length - 50} more`));
  if (rooms.includes(id)) items.push(li("room own", "its own id"));
  if (items.length === 0) items.push(li("unknown", "none"));
  list.replaceChildren(...items);
}

function retitle(state) {
  const dot = { connected: "●", away: "○" }[state] ?? "◌";
  document.title = id ? `${dot} ${id.slice(0, 6)} · fanoutd demo` : `${dot} fanoutd demo`;
}

function li(className, text) {
  const item = document.createElement("li");
  item.className = className;
  item.textContent = text;
  return item;
}

function span(className, text) {
  const el = document.createElement("span");
  el.className = className;
  el.textContent = text;
  return el;
}
