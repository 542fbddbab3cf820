// The chat panel: what a page says to one of the backends in examples/chat, and
// what it hears from it. Without a backend it says so and looks for one.

const answerMs = 4000; // how long a backend may take
const lookAgainMs = 5000;
const maxRows = 200;

export class Chat {
  // socket: the page's client. elements: {panel, status, hint, talk, form, name,
  // to, message, send, roomForm, room, rooms}. found() is called when a backend
  // answers for the first time.
  constructor(socket, elements, found) {
    this.socket = socket;
    this.el = elements;
    this.found = found;
    this.wanted = new Set(); // rooms to be in again after a reconnect
    this.shownRooms = "";
    elements.name.value = `guest ${Math.floor(100 + Math.random() * 900)}`;

    socket.on("connect", () => {
      for (const room of this.wanted) socket.emit("join room", room);
      this.show("looking");
      this.look();
    });
    socket.on("disconnect", () => this.show("offline"));
    socket.on("users count", (n) => this.show("there", n));
    socket.on("new message", (m) => this.heard(m));
    document.addEventListener("visibilitychange", () => this.look());

    elements.form.addEventListener("submit", (e) => {
      e.preventDefault();
      this.say();
    });
    elements.roomForm.addEventListener("submit", (e) => {
      e.preventDefault();
      const room = elements.room.value.trim();
      if (room) this.join(room);
    });
    this.show("offline");
  }

  // Asks whether a backend is there, until one is.
  look() {
    clearTimeout(this.timer);
    if (!this.socket.connected || document.hidden || this.state === "there") return;
    const { id } = this.socket;
    this.socket.timeout(answerMs).emit("users count", (err, n) => {
      if (id !== this.socket.id || this.state === "there") return;
      if (!err) return this.show("there", n);
      this.show("absent");
      this.timer = setTimeout(() => this.look(), lookAgainMs);
    });
  }

  show(state, count) {
    const { panel, status, hint, send } = this.el;
    if (state === "there" && !this.wasFound) {
      this.wasFound = true;
      this.found();
    }
    this.state = state;
    panel.dataset.backend = state;
    hint.hidden = state !== "absent";
    send.disabled = state !== "there";
    status.textContent = {
      offline: "not connected",
      looking: "looking for a backend",
      absent: "no backend",
      there: count === 1 ? "1 person here" : `${count} people here`,
    }[state];
  }

  say() {
    const { message, name, to } = this.el;
    const text = message.value.trim();
    if (!text || this.state !== "there") return;
    message.value = "";
    this.ask("send message", [text, { name: name.value.trim(), room: to.value }], (why) => {
      if (message.value === "") message.value = text; // to try again
      this.row({ className: "trouble", text: `not sent: ${why}` });
    });
  }

  join(room) {
    this.ask(
      "join room",
      [room],
      (why) => this.row({ className: "trouble", text: `not joined: ${why}` }),
      () => {
        this.wanted.add(room);
        this.el.room.value = "";
      },
    );
  }

  leave(room) {
    this.wanted.delete(room);
    this.ask("leave room", [room], (why) => this.row({ className: "trouble", text: `not left: ${why}` }));
  }

  // Emits and waits for the backend's {ok} or {error}.
  ask(event, args, failed, done = () => {}) {
    this.socket.timeout(answerMs).emit(event, ...args, (err, answer) => {
      if (err) {
        failed("no backend answered");
        this.show(this.socket.connected ? "absent" : "offline");
        this.look();
      } else if (answer?.error) failed(answer.error);
      else done();
    });
  }

  // What comes may come from anyone who may emit: it is text, and bounded.
  heard(m) {
    if (typeof m?.msg !== "string") return;
    this.row({ name: short(m.name) || "somebody", room: short(m.room), text: m.msg.slice(0, 2000) });
  }

  row({ className = "", name, room, text }) {
    const { talk } = this.el;
    const follow = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 40;
    const item = element("li", className, "");
    if (name) item.append(element("strong", "who", name));
    if (room) item.append(element("span", "where", room));
    item.append(element("p", "what", text));
    talk.append(item);
    while (talk.childElementCount > maxRows) talk.firstElementChild.remove();
    if (follow) talk.scrollTop = talk.scrollHeight;
  }

  // rooms: those the daemon says this tab is in, but for its own id's.
  setRooms(rooms) {
    const key = JSON.stringify(rooms);
    if (key === this.shownRooms) return; // a list that is drawn anew loses the focus
    this.shownRooms = key;
    const { to, rooms: list } = this.el;
    const chosen = to.value;
    to.replaceChildren(option("", "everyone"), ...rooms.slice(0, 50).map((room) => option(room, `room: ${room}`)));
    to.value = rooms.includes(chosen) ? chosen : "";
    list.replaceChildren(
      ...rooms.slice(0, 50).map((room) => {
        const button = element("button", "quiet", "Leave");
        button.type = "button";
        button.setAttribute("aria-label", `Leave the room ${room}`);
        button.addEventListener("click", () => this.leave(room));
        const item = element("li", "", "");
        item.append(element("span", "where", room), button);
        return item;
      }),
    );
  }
}

function short(value) {
  return typeof value === "string" ? value.slice(0, 100) : "";
}

function option(value, text) {
  const el = element("option", "", text);
  el.value = value;
  return el;
}

function element(tag, className, text) {
  const el = document.createElement(tag);
  el.className = className;
  el.textContent = text;
  return el;
}
