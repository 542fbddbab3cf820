// The worker that watches, for a page.

import { useEffect, useRef, useState } from "preact/hooks";
import { signedOut } from "./api.ts";
import { useVisible } from "./state.tsx";
import type { FromWatcher, ToWatcher, Watched } from "./watcher.ts";

const nothing: Watched = { rows: [], from: 0, matching: 0, total: 0, synced: false, changes: 0, unreachable: [], problem: "" };

// The policy of the pages takes an address of a program from here alone.
const worker = "watcher.js";
const address: string = (globalThis as any).trustedTypes?.createPolicy("fanoutd", { createScriptURL: () => worker }).createScriptURL("") ?? worker;

/** Watches while the page can be seen; show says which rows are wanted. */
export function useWatcher(request: object, text: string) {
  const [state, set] = useState(nothing);
  const seen = useVisible();
  const running = useRef<Worker | undefined>(undefined);
  const wanted = useRef({ from: 0, to: 50, text });
  const say = (what: ToWatcher) => running.current?.postMessage(what);
  const show = (from: number, to: number) => {
    wanted.current = { ...wanted.current, from, to };
    say({ say: "show", ...wanted.current });
  };
  useEffect(() => {
    wanted.current = { ...wanted.current, text };
    say({ say: "show", ...wanted.current });
  }, [text]);
  useEffect(() => {
    if (!seen) return;
    const w = (running.current = new Worker(address, { type: "module" }));
    w.onmessage = ({ data }: MessageEvent<FromWatcher>) => (data === "signed out" ? signedOut() : set(data));
    say({ say: "watch", request });
    say({ say: "show", ...wanted.current });
    return () => w.terminate();
  }, [JSON.stringify(request), seen]);
  return { ...state, show };
}
