// Plain HTTP and WebSocket requests, for what no stock client would send.

import http from "node:http";

import WebSocket from "ws";

import { within } from "./until.mjs";

// Sends one request and resolves with {status, headers, text, json}.
export async function request(daemon, method, path, { headers = {}, body } = {}) {
  const answer = await within(
    new Promise((resolve, reject) => {
      const req = http.request(daemon.url + path, { method, headers, agent: false }, (res) => {
        const chunks = [];
        res.on("data", (chunk) => chunks.push(chunk)).on("error", reject);
        res.on("end", () => resolve({ status: res.statusCode, headers: res.headers, text: Buffer.concat(chunks).toString() }));
      });
      // A server that answers before it has read all of a body may reset the
      // connection under it; the answer is what counts.
      req.on("error", (err) => (err.code === "EPIPE" ? undefined : reject(err)));
      req.end(body);
    }),
    `an answer to ${method} ${path}`,
  );
  try {
    answer.json = JSON.parse(answer.text);
  } catch {
    answer.json = null;
  }
  return answer;
}

// Opens a polling session and resolves with its open packet.
export async function handshake(daemon, query = "EIO=4&transport=polling", options) {
  const answer = await request(daemon, "GET", `/socket.io/?${query}`, options);
  if (answer.status !== 200 || answer.text[0] !== "0") throw new Error(`no handshake: ${answer.status} ${answer.text}`);
  return JSON.parse(answer.text.slice(1));
}

// Opens a WebSocket. Resolves with {socket} once it is open, or with
// {status, headers, text} if the server answers otherwise.
export function webSocket(daemon, path, options = {}) {
  const socket = new WebSocket(daemon.url.replace("http", "ws") + path, options);
  return within(
    new Promise((resolve, reject) => {
      socket.on("open", () => resolve({ socket }));
      socket.on("unexpected-response", (_, res) => {
        const chunks = [];
        res.on("data", (chunk) => chunks.push(chunk));
        res.on("end", () => resolve({ status: res.statusCode, headers: res.headers, text: Buffer.concat(chunks).toString() }));
      });
      socket.on("error", reject);
    }),
    `an answer to a WebSocket on ${path}`,
  );
}
