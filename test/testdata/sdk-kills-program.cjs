// A program on @fanoutd/socket.io that is killed and replaced under traffic. Its argument is the daemon's control
// addresses, separated by commas; its parent asks it over the channel of fork() which sockets it has.

const { Server } = require("../../sdk/node/socket.io");

const io = new Server({ fanoutd: { address: process.argv[2] } });

io.on("connection", (socket) => {
  socket.on("enter", (name, room, done) => {
    socket.data.name = name;
    socket.join(room);
    done();
  });
  socket.on("say", (n, done) => {
    socket.emit("heard", n);
    io.to([...socket.rooms].find((room) => room !== socket.id)).emit("told", socket.data.name, n);
    done(n);
  });
});

const warnings = [];
process.on("warning", ({ message }) => warnings.push(message));

const rooms = (socket) => [...socket.rooms].filter((room) => room !== socket.id).sort();

process.on("message", async (question) => {
  if (question === "sockets") {
    const all = await io.fetchSockets();
    process.send({
      own: [...io.sockets.sockets.values()].map((socket) => [socket.id, socket.data.name, rooms(socket)]),
      all: all.map(({ id, data, rooms }) => [id, data.name, [...rooms].filter((room) => room !== id).sort()]),
      warnings,
    });
  }
});

process.on("SIGTERM", () => io.close().then(() => process.exit(0)));
process.on("disconnect", () => process.exit(1)); // its parent has gone
