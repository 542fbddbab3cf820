// The grpcurl lines that target one tab. A line is a list of parts, so that
// the page can mark those that name this tab; joined they are what is copied.

const service = {
  emit: "fanout.v1.EmitterService/Emit",
  list: "fanout.v1.RegistryService/ListConnections",
  join: "fanout.v1.RegistryService/Join",
  leave: "fanout.v1.RegistryService/Leave",
  disconnect: "fanout.v1.RegistryService/Disconnect",
};

// The groups of commands for a tab: {title, commands: [{name, title, note,
// parts: [{text, mark}]}]}. control is the address to dial, key whether it
// wants a bearer key, id the tab's socket id.
export function commandGroups({ control, key, id, room, event }) {
  const me = { ids: [mark(id)] };
  const here = { rooms: [mark(room)] };
  const everyone = { all: true };
  const line = (method, body) => [
    { text: `grpcurl -plaintext ${key ? '-H "authorization: Bearer $FANOUTD_CONTROL_KEY" ' : ""}-d '` },
    ...parts(body),
    { text: `' ${address(control)} ${method}` },
  ];
  const emit = (to, msg) => line(service.emit, { to, event, args: [{ msg }] });

  return [
    {
      title: "Emit",
      commands: [
        { name: "emit-id", title: "to this tab", parts: emit(me, "hello, tab") },
        { name: "emit-room", title: "to the room", note: "Reaches this tab once it has joined.", parts: emit(here, "hello, room") },
        { name: "emit-all", title: "to everyone", parts: emit(everyone, "hello, all") },
        {
          name: "emit-bytes",
          title: "bytes to this tab",
          note: "A placeholder in the JSON stands where the attachment goes.",
          parts: line(service.emit, {
            to: me,
            event,
            args: [{ _placeholder: true, num: 0 }],
            attachments: ["aGVsbG8="],
          }),
        },
      ],
    },
    {
      title: "Rooms",
      commands: [
        { name: "join", title: "join this tab to the room", parts: line(service.join, { to: me, rooms: [mark(room)] }) },
        { name: "leave", title: "take it out again", parts: line(service.leave, { to: me, rooms: [mark(room)] }) },
      ],
    },
    {
      title: "Look",
      commands: [
        { name: "list", title: "at every connection, its rooms and its transport", parts: line(service.list, { to: everyone }) },
      ],
    },
    {
      title: "Disconnect this tab",
      commands: [
        {
          name: "disconnect-transport",
          title: "mode TRANSPORT: it comes back",
          note: "The connection under it closes without a goodbye, which a client takes for a network fault: it reconnects by itself, with a new id and without its rooms.",
          parts: line(service.disconnect, { to: me, mode: "TRANSPORT" }),
        },
        {
          name: "disconnect-namespace",
          title: "mode NAMESPACE: it stays away",
          note: "The client is told that the server has disconnected it, and does not try again until somebody presses “Connect again”.",
          parts: line(service.disconnect, { to: me, mode: "NAMESPACE" }),
        },
      ],
    },
  ];
}

export function lineOf(parts) {
  return parts.map((part) => part.text).join("");
}

class Mark {
  constructor(value) {
    this.value = value;
  }
}

function mark(value) {
  return new Mark(value);
}

// The JSON of a request, cut into parts where a mark stands. A quote mark
// would end the shell's quoting, so it is written as JSON can also write it.
function parts(value) {
  const out = [];
  const add = (text, marked) => {
    const last = out.at(-1);
    if (last && last.mark === marked) last.text += text;
    else out.push({ text, mark: marked });
  };
  const walk = (item) => {
    if (item instanceof Mark) {
      add('"', false);
      add(quoteless(item.value), true);
      add('"', false);
    } else if (Array.isArray(item)) {
      add("[", false);
      item.forEach((inner, i) => {
        if (i > 0) add(",", false);
        walk(inner);
      });
      add("]", false);
    } else if (typeof item === "object") {
      add("{", false);
      Object.entries(item).forEach(([key, inner], i) => {
        add(`${i > 0 ? "," : ""}"${key}":`, false);
        walk(inner);
      });
      add("}", false);
    } else {
      add(shellSafe(JSON.stringify(item)), false);
    }
  };
  walk(value);
  return out;
}

function quoteless(text) {
  return shellSafe(JSON.stringify(text)).slice(1, -1);
}

function shellSafe(json) {
  return json.replaceAll("'", "\\u0027");
}

// grpcurl dials a unix socket by a flag.
function address(control) {
  return control.startsWith("unix:") ? `-unix ${control.slice("unix:".length)}` : control;
}
