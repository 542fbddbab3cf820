// A worker: it watches connections, keeps what it is told, and hands out the few rows that a
// page shows. So a page has as much to do with 10,000 connections as with 50.

import { stream, whenSignedOut } from "./api.ts";
import { Roster } from "./roster.ts";
import type { Connection } from "./types.ts";

/** What the page says. */
export type ToWatcher =
  | { say: "watch"; request: object }
  | { say: "show"; from: number; to: number; text: string };

/** What it is told: how things stand, or that nobody is signed in any more. */
export type FromWatcher = Watched | "signed out";

export interface Watched {
  rows: Connection[]; // from the first that is shown on
  from: number;
  matching: number;
  total: number;
  synced: boolean;
  changes: number; // so far
  unreachable: string[];
  problem: string;
}

const againMs = 2_000;
const tellMs = 250; // at most four times a second

const roster = new Roster();
let shown = { from: 0, to: 50, text: "" };
let problem = "";
let waits = false;

function tell() {
  if (waits) return;
  waits = true;
  setTimeout(() => {
    waits = false;
    const found = roster.page(shown.from, shown.to, shown.text);
    postMessage({ ...found, from: shown.from, total: roster.size, synced: roster.synced, changes: roster.changes, unreachable: roster.unreachable, problem } satisfies Watched);
  }, tellMs);
}

async function watch(request: object) {
  for (;;) {
    roster.forget();
    try {
      for await (const answer of stream<any>("RegistryService/Watch", request, new AbortController().signal)) {
        problem = "";
        roster.take(answer);
        tell();
      }
      problem = "The watch has ended.";
    } catch (err) {
      problem = (err as Error).message;
    }
    tell();
    await new Promise((resolve) => setTimeout(resolve, againMs));
  }
}

whenSignedOut(() => postMessage("signed out" satisfies FromWatcher));

addEventListener("message", ({ data }: MessageEvent<ToWatcher>) => {
  if (data.say === "watch") {
    void watch(data.request);
    return;
  }
  shown = data;
  tell();
});
