// A program for the npm socket.io server, on @fanoutd/socket.io. Its argument is the daemon's control address.

const { Server } = require("../../sdk/node/socket.io");

const io = new Server({ fanoutd: { address: process.argv[2] } });

io.use((socket, next) => next(socket.handshake.auth.name ? undefined : new Error("who are you?")));

io.on("connection", (socket) => {
  socket.emit("welcome", process.pid, socket.recovered);
  socket.on("join", (room, done) => {
    socket.join(room);
    socket.data.room = room;
    done();
  });
  socket.on("say", (n, done) => {
    io.to(socket.data.room).emit("said", n);
    done?.(process.pid);
  });
  socket.on("rooms", (done) => done([...socket.rooms].filter((room) => room !== socket.id), socket.data));
  socket.on("room list", (done) => done([...socket.rooms]));
  socket.on("everybody", async (done) => done((await io.fetchSockets()).map(({ id, data, handshake }) => [id, data.room, handshake.auth.name])));
  socket.on("local", () => io.local.emit("hello", process.pid));
  socket.on("processes", async (done) => done(await io.serverSideEmitWithAck("pid"), process.pid));
  socket.on("disconnect", () => io.emit("left", socket.handshake.auth.name));
});

io.on("pid", (answer) => answer(process.pid));
io.on("tell", (text) => io.local.emit("told", text, process.pid));

process.on("SIGTERM", () => io.close().then(() => process.exit(0)));
