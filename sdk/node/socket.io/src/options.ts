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

/** A setting of the daemon that takes the place of an option. */
interface Setting {
  name: string;
  /** Its value as the flag has it; undefined: the option's cannot be said so. */
  value: (option: never) => string | undefined;
  /** What the option is still for in this process. Unset: nothing. */
  here?: string;
}

const ofFiles = "is for the client's files that this process serves";
const ms = (n: number): string => `${n}ms`;

const settings: { [option in keyof SocketIoOptions]?: Setting } = {
  pingInterval: { name: "ping-interval", value: ms },
  pingTimeout: { name: "ping-timeout", value: ms },
  connectTimeout: { name: "connect-timeout", value: ms, here: "bounds how long middlewares take" },
  upgradeTimeout: { name: "upgrade-timeout", value: ms },
  maxHttpBufferSize: { name: "max-payload", value: String },
  path: { name: "path", value: String, here: ofFiles },
  allowEIO3: { name: "allow-eio3", value: String },
  transports: { name: "transports", value: (transports: string[]) => transports.join() },
  perMessageDeflate: { name: "per-message-deflate", value: (on: unknown) => String(Boolean(on)) },
  httpCompression: { name: "http-compression", value: (on: unknown) => String(Boolean(on)) },
  cors: { name: "origins", value: ({ origin }: { origin?: unknown }) => originsOf(origin), here: ofFiles },
  connectionStateRecovery: {
    name: "recovery-window",
    value: ({ maxDisconnectionDuration = 120_000 }: { maxDisconnectionDuration?: number }) => ms(maxDisconnectionDuration),
    here: "skips the middlewares for who comes back",
  },
  cookie: { name: "cookie", value: (cookie: boolean | { name?: string }) => (cookie ? (typeof cookie === "object" && cookie.name) || "io" : undefined) },
};

// The options among these that are settings of the daemon, with the setting and its value.
function* settingsOf(options: Partial<SocketIoOptions>): Generator<[option: string, setting: Setting, value: string | undefined]> {
  for (const [option, given] of Object.entries(options)) {
    const setting = settings[option as keyof SocketIoOptions];
    if (setting && given !== undefined && given !== null) yield [option, setting, (setting.value as (option: unknown) => string | undefined)(given)];
  }
}

/** The daemon's flags for options that are up to the daemon here, as {"ping-interval": "25000ms"}. */
export function daemonFlags(options: Partial<SocketIoOptions>): Record<string, string> {
  const flags: Record<string, string> = { namespaces: "*", "expose-auth": "true" };
  for (const [, { name }, value] of settingsOf(options)) if (value !== undefined) flags[name] = value;
  return flags;
}

// What counts in this process too where it forwards browsers to the daemon.
const ofProxy = new Set(["path", "cors"]);

/** Warns of options that are up to the daemon, each with the setting that counts. */
export function warnOfSettings(options: Partial<ServerOptions>): void {
  for (const [option, { name, here = "is for nothing" }, value] of settingsOf(options)) {
    if (options.fanoutd?.proxy && ofProxy.has(option)) continue;
    if (option === "path" && value === defaultPath) continue; // socket.io says so itself
    const flag = value === undefined ? `--${name}` : `--${name}=${value}`;
    process.emitWarning(`${option}: browsers connect to fanoutd, whose setting ${name} counts; here the option ${here}. Start fanoutd with ${flag}`, "FanoutdWarning");
  }
}

const defaultPath = "/socket.io";

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
