// The list of what arrived, newest first. It keeps the newest rows only and
// draws at most once a frame, so that ten thousand events in a second cost as
// much as two hundred.

import { count, inspect } from "./inspect.js";

const maxRows = 200;

// Characters that a line of an argument holds on a phone held upright.
const phoneWidth = 36;
const phone = matchMedia("(max-width: 480px)");

export class EventLog {
  // elements: {list, empty, tally, switchCount, announce, clear}
  constructor(elements) {
    this.el = elements;
    this.waiting = []; // rows to draw, oldest first, maxRows at most
    this.received = 0; // events since the last clear
    this.drawing = false;
    this.lastSaid = 0;
    elements.clear.addEventListener("click", () => this.clear());
  }

  // An event of the socket: its name, its arguments, whether the sender asked
  // for an acknowledgement.
  event(name, args, ackRequested) {
    this.received++;
    this.lastName = String(name);
    this.push({ at: new Date(), name: this.lastName, args, ackRequested });
  }

  // A change of the connection itself.
  note(text, tone = "plain") {
    this.push({ at: new Date(), note: text, tone });
  }

  clear() {
    this.waiting = [];
    this.received = 0;
    this.el.list.replaceChildren();
    this.summarise();
  }

  push(row) {
    this.waiting.push(row);
    if (this.waiting.length > maxRows) this.waiting.shift();
    if (this.drawing) return;
    this.drawing = true;
    // A hidden tab has no frames.
    if (document.hidden) setTimeout(() => this.draw(), 250);
    else requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.drawing = false;
    const { list } = this.el;
    const rows = this.waiting.reverse().map(drawRow);
    this.waiting = [];
    list.prepend(...rows);
    while (list.childElementCount > maxRows) list.lastElementChild.remove();
    this.summarise();
  }

  summarise() {
    const { list, empty, tally, switchCount, announce } = this.el;
    empty.hidden = this.received > 0;
    const bound = list.childElementCount >= maxRows ? `, the newest ${maxRows} rows shown` : "";
    tally.textContent = this.received === 0 ? "none yet" : `${count(this.received, "event")} received${bound}`;
    switchCount.textContent = this.received > 999 ? "999+" : String(this.received);
    // Said aloud, but not each of a thousand.
    const now = Date.now();
    if (this.received > 0 && now - this.lastSaid > 2000) {
      this.lastSaid = now;
      announce.textContent = `${count(this.received, "event")}, last ${this.lastName.slice(0, 80)}`;
    }
  }
}

function drawRow(row) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.dateTime = row.at.toISOString();
  time.textContent = clock(row.at);
  if (row.note !== undefined) {
    item.className = `note ${row.tone}`;
    item.append(time, element("span", "note-text", row.note));
    return item;
  }
  item.className = "event fresh";
  // Taken off again, or a list that is hidden and shown would light up anew.
  item.addEventListener("animationend", () => item.classList.remove("fresh"), { once: true });
  const head = element("div", "event-head", "");
  head.append(time, element("strong", "event-name", row.name.slice(0, 200)));
  if (row.ackRequested) head.append(element("span", "badge", "ack requested"));
  item.append(head);
  if (row.args.length === 0) {
    item.append(element("p", "no-args", "no arguments"));
  }
  for (const arg of row.args.slice(0, 20)) {
    const pre = element("pre", "arg", "");
    for (const { kind, text } of inspect(arg, phone.matches ? phoneWidth : undefined)) pre.append(element("span", `t-${kind}`, text));
    item.append(pre);
  }
  if (row.args.length > 20) item.append(element("p", "no-args", `and ${row.args.length - 20} more arguments`));
  return item;
}

// Everything shown passes here: textContent, never markup.
function element(tag, className, text) {
  const el = document.createElement(tag);
  el.className = className;
  el.textContent = text;
  return el;
}

function clock(date) {
  const two = (n) => String(n).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}
