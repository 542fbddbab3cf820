// Pages: which origins may connect, by which transport, and what they are told. The
// reference is set up to refuse others, as its documentation has it done.

import { connect, open, polling, polling3, request, send, sentinel, sentinel3, websocket, websocket3 } from "../steps.mjs";

// pages are the origins that may connect, besides those of the same one.
export const pages = ["https://app.example.com", "http://localhost:3000", "capacitor://localhost", "ionic://localhost", "tauri://localhost", "chrome-extension://abcdefgh", "file://", "null"];

const own = ["http://conformance", "https://conformance", "ws://conformance", "wss://conformance"];

const foreign = [
  "http://app.example.com", "https://example.com", "https://app.example.com:8443", "https://app.example.com.evil.example", "https://evil.app.example.com", "http://localhost", "http://localhost:3001", "https://localhost:3000",
  "capacitor://elsewhere", "app://localhost", "tauri://", "chrome-extension://other", "moz-extension://abcdefgh", "http://conformance.example", "http://conformance:81", "https://conformance:80", "ftp://conformance", "undefined", "*", "about:blank", "http://", "//conformance", "conformance",
];

// Written otherwise than browsers do.
const odd = ["HTTPS://APP.EXAMPLE.COM", "https://app.example.com:443", "https://app.example.com/", "https://app.example.com/page", "https://app.example.com.", "http://conformance:80", "https://conformance:443", "wss://conformance:443", "ws://conformance:80", "http://CONFORMANCE", "http://conformance/", "Null", "NULL", "CAPACITOR://localhost", "capacitor://LOCALHOST", "wss://app.example.com", "https://user@app.example.com"];

const scriptsOf = (origin) => {
  const headers = { Origin: origin };
  const preflight = { ...headers, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type" };
  return [
    [open(polling, { headers })],
    [request("GET", polling3, { headers })],
    [request("POST", `${polling}&sid=unknown`, { headers, body: "3" })],
    [request("OPTIONS", polling, { headers: preflight })],
    [connect(websocket, headers), send("40"), send('42["message",1]'), send(sentinel)],
    [connect(websocket3, headers), send(sentinel3)],
    [connect(`${websocket}&sid=unknown`, headers)],
  ];
};

export const scripts = [...pages, ...own, ...foreign, ...odd, undefined].flatMap((origin) => scriptsOf(origin).map((steps) => ({ kind: "origins", pair: "origins", steps })));
