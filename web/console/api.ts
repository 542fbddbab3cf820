// The control API, as the console's pages call it: below api/ of where they are, under the
// session's cookie.

/** What the API refused, or why it was not reached. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export interface Session {
  signedIn: boolean;
  open: boolean;
  version?: string;
  node?: string;
  name?: string;
  mode?: "view" | "act";
  scopes?: string[];
  namespaces?: string[];
  rooms?: string[];
  control?: string;
  controlTls?: boolean;
}

/** What a node keeps of its metrics. */
export interface Kept {
  connections: number;
  rooms: number;
  queued: number; // bytes
  received: number; // events, since the start, as those below
  sent: number;
  fanouts: number;
  fanoutSeconds: number;
}

const base = new URL("./", location.href); // of the page, or of the worker beside it
const headers = { "content-type": "application/json", "fanoutd-console": "1" };

let onSignedOut = () => {};
/** Has f called when a request finds nobody signed in. */
export function whenSignedOut(f: () => void) {
  onSignedOut = f;
}
/** Says that a request of this page's worker found nobody signed in. */
export const signedOut = () => onSignedOut();

async function send(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(new URL(path, base), { ...init, headers });
  } catch (err) {
    if (init.signal?.aborted) throw err;
    throw new ApiError("unreachable", "The daemon does not answer. It may be restarting, or the network is down.");
  }
  if (response.ok) return response;
  const text = await response.text();
  let answer: { code?: string; message?: string } = {};
  try {
    answer = JSON.parse(text);
  } catch {
    answer = { message: text.trim() };
  }
  if (response.status === 401 && path !== "session") onSignedOut();
  throw new ApiError(answer.code ?? String(response.status), answer.message || response.statusText);
}

export const session = async (): Promise<Session> => (await send("session", {})).json();
export const signIn = async (key: string, mode: string): Promise<Session> =>
  (await send("session", { method: "POST", body: JSON.stringify({ key, mode }) })).json();
export const signOut = async (): Promise<Session> => (await send("session", { method: "DELETE" })).json();
/** What the node was like in the last 15 minutes, oldest first; age is in seconds. */
export const historyOf = async (signal?: AbortSignal) => ((await (await send("api/history", { signal })).json()) as { figures: (Kept & { age: number })[] }).figures;
export const metricsText = async (signal?: AbortSignal) => (await send("api/metrics", { signal })).text();

/** Calls a method, such as "RegistryService/Join". */
export async function call<T>(method: string, request: object, signal?: AbortSignal): Promise<T> {
  const response = await send(`api/fanout.v1.${method}`, { method: "POST", body: JSON.stringify(request), signal });
  return response.json();
}

/** Calls a method of many answers, until it ends or signal does. */
export async function* stream<T>(method: string, request: object, signal: AbortSignal): AsyncGenerator<T> {
  const response = await send(`api/fanout.v1.${method}`, { method: "POST", body: JSON.stringify(request), signal });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        if (line === "") continue;
        const answer = JSON.parse(line);
        if (answer.error) throw new ApiError(answer.error.code ?? "unknown", answer.error.message ?? "the stream has ended");
        yield answer;
      }
    }
  } finally {
    void reader.cancel().catch(() => {}); // who stops reading ends the call
  }
}

/** The scope that a method needs; AdminService needs admin. */
export function scopeOf(method: string): string {
  const [service, name] = method.split("/");
  if (service === "AdminService") return "admin";
  if (service === "EmitterService") return "emit";
  if (name === "Tail") return "tail";
  if (["Disconnect", "Block", "Unblock"].includes(name!)) return "disconnect";
  if (["Join", "Leave", "UpdateConnection", "UpdateConnections"].includes(name!)) return "write";
  return "read";
}
