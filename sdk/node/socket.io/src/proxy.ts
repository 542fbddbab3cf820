import http, { type IncomingMessage, type Server as HttpServer, type ServerResponse } from "node:http";
import https from "node:https";
import type { Duplex } from "node:stream";

import type { Engine } from "./engine.js";
import { hostOf } from "./request.js";
import type { ServerOptions } from "./options.js";

/** What socket.io makes of its option `cors`. */
export type CorsMiddleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

// What does not go on from one connection to the next.
const hopByHop = new Set(["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"]);

/**
 * Forwards the requests of browsers at `path` of a program's own server to the daemon. It is for development: each browser
 * that comes this way loses its connection with the process.
 */
export function proxy(srv: HttpServer, engine: Engine, path: string, opts: Partial<ServerOptions>, cors: () => CorsMiddleware | undefined): void {
  const ours = (request: IncomingMessage) => request.url?.startsWith(`${path}/`) || request.url?.startsWith(`${path}?`) || request.url === path;
  const target = () => browsersAt(engine, opts.fanoutd?.proxy, path);

  const others = srv.listeners("request").slice();
  srv.removeAllListeners("request");
  srv.on("request", (request: IncomingMessage, response: ServerResponse) => {
    if (!ours(request)) {
      for (const listener of others) listener.call(srv, request, response);
      return;
    }
    if (request.method !== "OPTIONS" && !new URL(request.url!, "http://x").searchParams.has("transport")) return refuse(response, 400, 0, "Transport unknown");
    allowed(request, opts, (allow, message) => {
      if (!allow) return refuse(response, 403, 4, message);
      const pass: CorsMiddleware = cors() ?? ((_request, _response, next) => next());
      pass(request, response, () => {
        target().then(
          (url) => forward(request, response, url),
          () => refuse(response, 502, 3, "fanoutd does not answer"),
        );
      });
    });
  });
  srv.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (!ours(request)) {
      // With a listener for upgrades Node.js leaves them all to it; that of the program has its own.
      if (srv.listenerCount("upgrade") === 1) socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", () => socket.destroy());
      return;
    }
    socket.on("error", () => {});
    allowed(request, opts, (allow) => {
      if (!allow) return socket.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n");
      target().then(
        (url) => forwardUpgrade(request, socket, head, url),
        () => socket.end("HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n"),
      );
    });
  });
}

function allowed(request: IncomingMessage, { allowRequest }: Partial<ServerOptions>, done: (allow: boolean, message: string) => void): void {
  if (!allowRequest) return done(true, "");
  // As Engine.IO does, only who asks for a session is asked about.
  if (new URL(request.url!, "http://x").searchParams.has("sid")) return done(true, "");
  allowRequest(request, (message, allow) => done(allow, message || "Forbidden"));
}

function refuse(response: ServerResponse, status: number, code: number, message: string): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ code, message }));
}

async function browsersAt(engine: Engine, proxied: boolean | string | undefined, path: string): Promise<URL> {
  await engine.joined;
  if (typeof proxied === "string") return new URL(`${path}/`, proxied);
  const { listeners = [] } = await engine.info();
  const address = listeners.find(({ name }) => name === "browsers")?.address ?? "";
  if (address.startsWith("unix:") || address === "") throw new Error("the daemon's listener for browsers has no port; name its URL as fanoutd.proxy");
  const port = address.slice(address.lastIndexOf(":") + 1);
  const host = hostOf(address);
  // A listener at every interface is on the same machine as the control listener.
  const anywhere = host === "" || host === "::" || host === "0.0.0.0";
  return new URL(`http://${anywhere ? bracketed(hostOf(engine.daemon.current.name)) : bracketed(host)}:${port}${path}/`);
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function requestOf(request: IncomingMessage, url: URL, headers: http.OutgoingHttpHeaders): http.ClientRequest {
  const { search } = new URL(request.url!, "http://x");
  const client = url.protocol === "https:" ? https : http;
  return client.request({ host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port, path: url.pathname + search, method: request.method, headers, agent: false });
}

function headersOf(request: IncomingMessage): http.OutgoingHttpHeaders {
  const headers: http.OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(request.headers)) if (!hopByHop.has(name)) headers[name] = value;
  return headers;
}

function forward(request: IncomingMessage, response: ServerResponse, url: URL): void {
  const onward = requestOf(request, url, headersOf(request));
  onward.on("response", (answer) => {
    const headers = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !hopByHop.has(name)));
    response.writeHead(answer.statusCode!, headers);
    answer.on("error", () => response.destroy());
    answer.pipe(response);
  });
  onward.on("error", () => (response.headersSent ? response.destroy() : refuse(response, 502, 3, "fanoutd does not answer")));
  response.on("close", () => onward.destroy());
  request.pipe(onward);
}

function forwardUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, url: URL): void {
  const onward = requestOf(request, url, { ...headersOf(request), connection: "Upgrade", upgrade: request.headers.upgrade });
  onward.on("upgrade", (answer, far: Duplex, farHead: Buffer) => {
    const lines = [`HTTP/1.1 101 ${answer.statusMessage}`];
    for (let i = 0; i < answer.rawHeaders.length; i += 2) lines.push(`${answer.rawHeaders[i]}: ${answer.rawHeaders[i + 1]}`);
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    socket.write(farHead);
    far.write(head);
    far.on("error", () => socket.destroy()).on("close", () => socket.destroy());
    socket.on("error", () => far.destroy()).on("close", () => far.destroy());
    socket.pipe(far).pipe(socket);
  });
  onward.on("response", (answer) => {
    socket.write(`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\nConnection: close\r\n\r\n`);
    answer.pipe(socket);
  });
  onward.on("error", () => socket.destroy());
  socket.on("close", () => onward.destroy());
  onward.end();
}
