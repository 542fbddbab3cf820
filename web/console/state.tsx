// What all pages share: who is signed in, where the reader is, and how things are asked for.

import { createContext } from "preact";
import { useCallback, useContext, useEffect, useRef, useState } from "preact/hooks";
import { call, type Session, scopeOf, stream } from "./api.ts";

export const SessionContext = createContext<Session>({ signedIn: false, open: false });
export const useSession = () => useContext(SessionContext);

/** Why the one who is signed in may not call a method; empty: he may. */
export function whyNot(session: Session, method: string): string {
  const scope = scopeOf(method);
  const name = method.split("/")[1]!;
  if (!session.scopes?.includes(scope)) return `The key “${session.name}” lacks the scope ${scope}.`;
  if (session.mode === "view" && !/^(List|Get|Count)/.test(name) && name !== "Watch" && name !== "Tail") return "You have signed in to look only. Sign out, and sign in to act.";
  return "";
}

/** All namespaces that the key may name, as a target or a tail names them. */
export const everyNamespace = (session: Session) => (session.namespaces?.length ? session.namespaces[0]! : "*");

export interface Route {
  path: string[]; // "#/connections/x" is ["connections", "x"]
  query: URLSearchParams;
}

export function readRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { path: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** A link to a page, with what it is told. */
export function href(path: string[], query: Record<string, string | undefined> = {}): string {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) q.set(name, value);
  const text = q.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text && `?${text}`}`;
}

export const connectionHref = (namespace: string | undefined, id: string) => href(["connection", id], { namespace });
export const userHref = (user: string) => href(["user", user]);

const visible = () => document.visibilityState === "visible";

/** Whether the page can be seen: one that cannot asks for nothing. */
export function useVisible(): boolean {
  const [is, set] = useState(visible);
  useEffect(() => {
    const look = () => set(visible());
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, []);
  return is;
}

export interface Asked<T> {
  data?: T;
  error?: Error;
  refresh: () => void;
}

/** Asks now, whenever one of on changes, and every so many milliseconds, while the page can be seen. */
export function useAsked<T>(ask: (signal: AbortSignal) => Promise<T>, on: unknown[], every = 0): Asked<T> {
  const [answer, setAnswer] = useState<{ data?: T; error?: Error; on?: string }>({});
  const [turn, setTurn] = useState(0);
  const seen = useVisible();
  const key = JSON.stringify(on);
  useEffect(() => {
    if (!seen) return;
    const ended = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const go = async () => {
      try {
        const data = await ask(ended.signal);
        if (!ended.signal.aborted) setAnswer({ data, on: key });
      } catch (error) {
        if (!ended.signal.aborted) setAnswer((before) => ({ data: before.on === key ? before.data : undefined, error: error as Error, on: key }));
      }
      if (!ended.signal.aborted && every > 0) timer = setTimeout(go, every);
    };
    void go();
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [key, every, seen, turn]);
  const refresh = useCallback(() => setTurn((n) => n + 1), []);
  return answer.on === key || answer.data !== undefined ? { ...answer, refresh } : { refresh };
}

/** useAsked of one call. */
export function useCall<T>(method: string, request: object, every = 0): Asked<T> {
  return useAsked<T>((signal) => call<T>(method, request, signal), [method, request], every);
}

const againMs = 2_000;

/** Hears a method of many answers while the page can be seen and on; when it breaks, anew. */
export function useStream<T>(method: string, request: object, on: boolean, take: (answer: T) => void): { error?: Error; live: boolean } {
  const [state, setState] = useState<{ error?: Error; live: boolean }>({ live: false });
  const seen = useVisible();
  const taker = useRef(take);
  taker.current = take;
  useEffect(() => {
    if (!on || !seen) {
      setState({ live: false });
      return;
    }
    const ended = new AbortController();
    const go = async () => {
      while (!ended.signal.aborted) {
        try {
          setState({ live: true });
          for await (const answer of stream<T>(method, request, ended.signal)) taker.current(answer);
        } catch (error) {
          if (ended.signal.aborted) return;
          setState({ error: error as Error, live: false });
        }
        await new Promise((resolve) => setTimeout(resolve, againMs));
      }
    };
    void go();
    return () => ended.abort();
  }, [method, JSON.stringify(request), on, seen]);
  return state;
}
