// A Socket.IO application in the manner of the Node.js server, but as a backend
// on Consume: for tests that compare the two.

export class App {
  // Joins a group and handles its events until the test ends. Register
  // everything before.
  constructor(api, group) {
    this.api = api;
    this.group = group;
    this.middlewares = new Map(); // by namespace
    this.connects = new Map();
    this.handlers = new Map(); // by namespace and event
    this.sockets = new Map(); // by connection id
    this.queues = new Map(); // the last promise of each connection
    this.errors = [];
  }

  // check(handshake, namespace) returns or throws; what it throws is the client's
  // connect_error: its message, and its data. The namespace "*" is every other one.
  use(namespace, check) {
    this.middlewares.set(namespace, check);
  }

  onConnection(namespace, handler) {
    this.connects.set(namespace, handler);
  }

  // handler(socket, ...args, reply): reply is undefined unless the client waits.
  on(namespace, event, handler) {
    this.handlers.set(`${namespace} ${event}`, handler);
  }

  async run(t) {
    const stream = this.api.consume();
    this.stream = stream;
    const ended = new Promise((resolve) => stream.on("error", resolve).on("end", resolve));
    await new Promise((resolve, reject) => {
      ended.then(reject);
      stream.on("data", (message) => this.take(message, resolve));
      stream.write({ open: { group: this.group, lifecycle: true, authorize: true } });
    });
    t.after(async () => {
      stream.end();
      await ended;
    });
  }

  take({ ready, events, rejected }, onReady) {
    if (ready) onReady();
    if (rejected) this.errors.push(new Error(`rejected: ${rejected.status.message}`));
    for (const event of events?.events ?? []) this.queue(event);
  }

  queue(event) {
    const id = event.connection_id;
    const before = this.queues.get(id) ?? Promise.resolve();
    this.queues.set(
      id,
      before.then(() => this.handle(event)).catch((err) => this.errors.push(err)),
    );
  }

  async handle(event) {
    const { delivery_id, namespace, connection_id: id } = event;
    const ack = () => this.stream.write({ ack: { delivery_ids: [delivery_id] } });
    switch (event.kind) {
      case "CONNECTING": {
        const socket = new Socket(this.api, event);
        this.sockets.set(id, socket);
        try {
          await (this.middlewares.get(namespace) ?? this.middlewares.get("*"))?.(socket.handshake, namespace);
          this.stream.write({ verdict: { delivery_id, allow: {} } });
        } catch (err) {
          this.stream.write({ verdict: { delivery_id, refuse: { message: err.message, data_json: err.data && JSON.stringify(err.data) } } });
        }
        return;
      }
      case "CONNECTED":
        await this.connects.get(namespace)?.(this.sockets.get(id));
        return ack();
      case "MESSAGE": {
        const reply = (...args) => this.stream.write({ reply: { delivery_id, ...encode(args) } });
        const args = decode(event);
        let replied = false;
        if (event.reply_expected) args.push((...answer) => ((replied = true), reply(...answer)));
        await this.handlers.get(`${namespace} ${event.event}`)?.(this.sockets.get(id), ...args);
        return replied || ack();
      }
      default:
        this.sockets.delete(id);
        this.queues.delete(id);
        return ack();
    }
  }
}

class Socket {
  constructor(api, { namespace, connection_id, connection, args_json, received_at }) {
    this.api = api;
    this.id = connection_id;
    this.namespace = namespace;
    this.state = {}; // for handlers
    const [auth = {}] = JSON.parse(args_json);
    this.handshake = {
      auth,
      query: connection.handshake.query,
      headers: connection.handshake.headers,
      address: connection.handshake.address,
      issued: Number(received_at.seconds) * 1000,
      time: String(new Date(Number(received_at.seconds) * 1000)),
    };
  }

  emit(event, ...args) {
    return this.api.emit({ to: { namespace: this.namespace, ids: [this.id] }, event, ...encode(args) });
  }

  // Resolves with the arguments of the client's ack callback.
  async call(event, ...args) {
    return decode(await this.api.call({ id: this.id, namespace: this.namespace, event, ...encode(args), timeout: { seconds: 10 } }));
  }
}

// What is binary goes beside the JSON; everything else is JSON's business, a
// Date too.
export function encode(args) {
  const attachments = [];
  const walk = (value) => {
    if (Buffer.isBuffer(value)) return { _placeholder: true, num: attachments.push(value) - 1 };
    if (Array.isArray(value)) return value.map(walk);
    if (value && Object.getPrototypeOf(value) === Object.prototype) {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, walk(inner)]));
    }
    return value;
  };
  return { args_json: JSON.stringify(args.map(walk)), attachments };
}

export function decode({ args_json, attachments }) {
  return JSON.parse(args_json, (_, value) => (value?._placeholder === true ? Buffer.from(attachments[value.num]) : value));
}
