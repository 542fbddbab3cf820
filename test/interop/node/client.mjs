// The npm client of any release: client.mjs PACKAGE [PARSER] URL TRANSPORT TOKEN

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const words = process.argv.slice(2);
const [url, transport, token] = words.splice(-3);
const [library, parser] = words.map((name) => require(name));
const v2 = words[0].endsWith("-2");

const socket = (library.io ?? library)(url, {
  transports: transport === "upgrade" ? ["polling", "websocket"] : [transport],
  reconnectionDelay: 50,
  reconnectionDelayMax: 500,
  ...(v2 ? { query: { token } } : { auth: { token } }),
  ...(parser && { parser }),
});

socket.on("echo", (...args) => socket.emit("echoed", ...args));
socket.on("call me", (...args) => socket.emit("question", ...args, (...answer) => socket.emit("answer", ...answer)));
socket.on("ask", (...args) => args.pop()(...args));
socket.on("bye", () => socket.disconnect());
socket.on(v2 ? "error" : "connect_error", (err) => console.log("refused:", err.message ?? JSON.stringify(err)));
