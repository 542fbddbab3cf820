// A program for the npm socket.io server, on @fanoutd/socket.io, whose handlers throw, and which goes on all the same, as many
// programs do. Its argument is the daemon's control address.

const { Server } = require("../../sdk/node/socket.io");

const io = new Server({ fanoutd: { address: process.argv[2] } });

process.on("uncaughtException", (err) => console.log(`uncaught: ${err.message};`));

io.on("connection", (socket) => {
  const { throws } = socket.handshake.auth;
  socket.on("ask", (done) => done());
  socket.on("echo", (value, done) => done(...value.flat(Infinity)));
  socket.on("ask all", () => {
    io.timeout(10_000).emit("question", () => {
      throw new Error("acks");
    });
  });
  socket.on("disconnect", () => {
    if (throws) throw new Error("disconnect");
  });
  if (throws) throw new Error("connection");
});

io.on("tell", () => {
  throw new Error("tell");
});
