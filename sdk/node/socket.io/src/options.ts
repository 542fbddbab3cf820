import type { AddressOptions } from "@fanoutd/client";
import type { ServerOptions as SocketIoOptions, Socket } from "socket.io";

/** Where the daemon is, and what this program is to it. */
export interface FanoutdOptions extends AddressOptions {
  /**
   * The group of this program: its processes share the browsers, and each browser's events go to one of them. Unset:
   * "socket.io". Two different programs need two groups.
   */
  group?: string;
  /** Names this process for good, so that it takes over from itself at once. Unset: one is made up. */
  consumerId?: string;
  /** The namespaces, or patterns of them such as "/tenant-*", that this program serves. Unset: all that the daemon has. */
  namespaces?: string[];
  /** In development: forward the browsers that come to this program's own port to the daemon. True, or the URL of its listener for browsers. */
  proxy?: boolean | string;
  /** The user that a socket belongs to, for `to: {users}` and what else the daemon does by user. It is asked after the middlewares. */
  user?: (socket: Socket) => string | undefined;
}

/** The options of socket.io, with where fanoutd is. */
export interface ServerOptions extends SocketIoOptions {
  fanoutd: FanoutdOptions;
}

/** What each option of Engine.IO is called as a setting of the daemon, with its value as the flag has it. */
const settings: { [option in keyof SocketIoOptions]?: (value: never) => Record<string, string> } = {
  pingInterval: (ms: number) => ({ "ping-interval": `${ms}ms` }),
  pingTimeout: (ms: number) => ({ "ping-timeout": `${ms}ms` }),
  connectTimeout: (ms: number) => ({ "connect-timeout": `${ms}ms` }),
  upgradeTimeout: (ms: number) => ({ "upgrade-timeout": `${ms}ms` }),
  maxHttpBufferSize: (bytes: number) => ({ "max-payload": String(bytes) }),
  path: (path: string) => ({ path }),
  allowEIO3: (allow: boolean) => ({ "allow-eio3": String(allow) }),
  transports: (transports: string[]) => ({ transports: transports.join() }),
  perMessageDeflate: (on: unknown) => ({ "per-message-deflate": String(Boolean(on)) }),
  httpCompression: (on: unknown) => ({ "http-compression": String(Boolean(on)) }),
  cors: (cors: { origin?: unknown }) => flag("origins", originsOf(cors.origin)),
  connectionStateRecovery: ({ maxDisconnectionDuration = 120_000 }: { maxDisconnectionDuration?: number }) => ({ "recovery-window": `${maxDisconnectionDuration}ms` }),
  cookie: (cookie: boolean | { name?: string }) => flag("cookie", cookie ? (typeof cookie === "object" && cookie.name) || "io" : undefined),
};

/** The daemon's flags for options that are up to the daemon here, as {"ping-interval": "25000ms"}. */
export function daemonFlags(options: Partial<SocketIoOptions>): Record<string, string> {
  const flags: Record<string, string> = { namespaces: "*", "expose-auth": "true" };
  for (const [option, value] of Object.entries(options)) {
    const setting = settings[option as keyof SocketIoOptions] as ((value: unknown) => Record<string, string>) | undefined;
    if (setting && value !== undefined && value !== null) Object.assign(flags, setting(value));
  }
  return flags;
}

function flag(name: string, value: string | undefined): Record<string, string> {
  return value === undefined ? {} : { [name]: value };
}

function originsOf(origin: unknown): string | undefined {
  if (origin === true || origin === "*") return "*";
  if (typeof origin === "string") return origin;
  if (Array.isArray(origin) && origin.every((one) => typeof one === "string")) return origin.join();
  return undefined;
}

/** Refuses options that would have no effect, each with a sentence. */
export function checkOptions(options: Partial<ServerOptions>): void {
  if (options.allowRequest && !options.fanoutd?.proxy) {
    throw new Error("allowRequest: browsers connect to fanoutd, which does not ask this process about a handshake; decide in io.use(), whose sockets have the handshake's headers");
  }
  const { wsEngine, destroyUpgrade, destroyUpgradeTimeout } = options;
  if (wsEngine !== undefined || destroyUpgrade !== undefined || destroyUpgradeTimeout !== undefined) {
    throw new Error("wsEngine, destroyUpgrade and destroyUpgradeTimeout: this process accepts no WebSockets, fanoutd does");
  }
}

/** Refuses a parser whose packets the daemon does not read. */
export function checkParser(parser: unknown): void {
  if (parser && !speaksMessagePack(parser)) {
    throw new Error("parser: fanoutd reads JSON and MessagePack (socket.io-msgpack-parser), each client's own, and no other encoding");
  }
}

function speaksMessagePack(parser: unknown): boolean {
  try {
    const { Encoder } = parser as { Encoder: new () => { encode(packet: object): unknown[] } };
    const [bytes] = new Encoder().encode({ type: 2, nsp: "/", data: ["a"] });
    return ArrayBuffer.isView(bytes) && ((bytes as Uint8Array)[0]! & 0xf0) === 0x80; // a map of few entries
  } catch {
    return false;
  }
}
