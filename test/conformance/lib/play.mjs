// Plays a script to a server and notes what it answers.

import WebSocket from "ws";

// How long a server may be silent before its answer counts as complete.
const quietMs = 400;

// play returns the frames that come after the open packet, ids replaced, and
// whether the server ended the connection.
export function play(address, script) {
  return new Promise((resolve, reject) => {
    const answer = [];
    const ws = new WebSocket(`ws://${address}/socket.io/?EIO=4&transport=websocket`);
    let quiet;
    const done = (how) => {
      clearTimeout(quiet);
      ws.terminate();
      resolve([...answer, how]);
    };
    const wait = () => {
      clearTimeout(quiet);
      quiet = setTimeout(done, quietMs, "stays open");
    };
    ws.on("error", reject);
    ws.on("close", () => done("closed"));
    ws.on("message", (data, binary) => {
      wait();
      const text = String(data);
      if (!binary && text.startsWith("0{")) {
        next(0);
        return;
      }
      answer.push(binary ? `binary ${data.toString("hex")}` : text.replace(/"sid":"[^"]*"/, '"sid":"…"'));
    });
    // One frame after the other: what is pipelined behind a CONNECT is treated
    // differently on purpose.
    const next = (i) => {
      if (i === script.length || ws.readyState !== WebSocket.OPEN) return;
      ws.send(script[i]);
      setTimeout(next, 40, i + 1);
      wait();
    };
  });
}
