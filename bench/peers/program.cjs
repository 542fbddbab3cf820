// A program for the npm socket.io server, by that or by @fanoutd/socket.io: what `compare -npm` measures.
//
//   node program.cjs PORT [CONTROL_ADDRESS]
//
// With the address of a daemon's control listener it is @fanoutd/socket.io's, and PORT is for the requests alone:
//
//   /connected            how many clients there are
//   /events               how many events came
//   /cpu                  how many microseconds of processor time this process has used
//   /broadcast?to=ROOM&n=N&burst=B&every=MS   sends N events, B at once every MS milliseconds
//   /write?by=net&port=PORT&n=N&size=S&every=MS  writes S bytes to one socket N times, once every MS milliseconds; by=http2: to a stream
//   /ask?clients=C&ms=MS  asks C clients, each again when it has answered, and says how many answers came
//
// Every client is in the room "all", the first 40 in "few". "e" is an event, which is answered if an answer is asked for.

const { once } = require("node:events");
const http = require("node:http");
const http2 = require("node:http2");
const net = require("node:net");

const [port, control] = process.argv.slice(2);
const sdk = "../../sdk/node";
const { Server } = control ? require(`${sdk}/socket.io`) : require(`${sdk}/node_modules/socket.io`);

let events = 0;
const actions = {
  connected: async () => io.of("/").sockets.size,
  events: async () => events,
  async cpu() {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
  async broadcast({ to, n, burst, every }) {
    const text = "x".repeat(100);
    let sent = 0;
    await new Promise((resolve) => {
      const timer = setInterval(() => {
        for (let i = 0; i < burst && sent < n; i++, sent++) io.to(to).emit("m", text);
        if (sent < n) return;
        clearInterval(timer);
        resolve();
      }, every);
    });
    return sent;
  },
  async write({ by, port, n, size, every }) {
    const session = by === "http2" ? http2.connect(`http://127.0.0.1:${port}`) : undefined;
    const to = session?.request({ ":method": "POST" }, { endStream: false }) ?? net.connect({ port, host: "127.0.0.1", noDelay: true });
    if (!session) await once(to, "connect");
    const bytes = Buffer.alloc(Number(size));
    let sent = 0;
    await new Promise((resolve) => {
      const timer = setInterval(() => {
        to.write(bytes);
        if (++sent < n) return;
        clearInterval(timer);
        resolve();
      }, every);
    });
    to.resume().end();
    session?.close(); // when the stream has ended
    return sent;
  },
  async ask({ clients, ms }) {
    const text = "x".repeat(100);
    const end = performance.now() + Number(ms);
    let answers = 0;
    const sockets = [...io.of("/").sockets.values()].slice(0, clients);
    await Promise.all(
      sockets.map(async (socket) => {
        for (; performance.now() < end; answers++) await socket.emitWithAck("ask", text);
      }),
    );
    return answers;
  },
};

const server = http.createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  response.end(String(await actions[pathname.slice(1)](Object.fromEntries(searchParams))));
});
const io = control ? new Server({ fanoutd: { address: control } }) : new Server(server, { serveClient: false });
let first = 40;
io.on("connection", (socket) => {
  socket.join("all");
  if (first-- > 0) socket.join("few");
  socket.on("e", (text, answer) => {
    events++;
    answer?.(text);
  });
});
server.listen(Number(port), "127.0.0.1");
process.on("SIGTERM", () => process.exit()); // so that a profile is written
