import { IncomingMessage } from "node:http";

import type { Handshake } from "@fanoutd/client";

/** What stands for the request of a handshake, as far as the daemon shows it: headers, url, query and address. */
export interface HandshakeRequest extends IncomingMessage {
  _query: Record<string, string>;
}

export function handshakeRequest(handshake: Handshake = {}): HandshakeRequest {
  const request = Object.create(IncomingMessage.prototype) as HandshakeRequest;
  const remoteAddress = hostOf(handshake.address ?? "");
  const socket = { encrypted: Boolean(handshake.secure), remoteAddress };
  const own = {
    method: "GET",
    url: handshake.url || "/socket.io/",
    httpVersion: "1.1",
    httpVersionMajor: 1,
    httpVersionMinor: 1,
    headers: { ...handshake.headers },
    socket,
    _query: { ...handshake.query },
    complete: true,
  };
  for (const [key, value] of Object.entries({ ...own, connection: socket })) {
    Object.defineProperty(request, key, { value, writable: true, configurable: true, enumerable: true });
  }
  return request;
}

/** The host of host:port. */
export function hostOf(address: string): string {
  const colon = address.lastIndexOf(":");
  const host = colon > 0 ? address.slice(0, colon) : address;
  return host.startsWith("[") ? host.slice(1, -1) : host;
}
