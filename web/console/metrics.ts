// What this node counts, of the last 15 minutes: samples of its metrics, taken while the page
// can be seen.

import { metricsText } from "./api.ts";

export type Samples = Map<string, { labels: Record<string, string>; value: number }[]>;

/** The text format of Prometheus, by names. */
export function parse(text: string): Samples {
  const all: Samples = new Map();
  for (const line of text.split("\n")) {
    if (line === "" || line[0] === "#") continue;
    const end = line.lastIndexOf(" ");
    const brace = line.indexOf("{");
    const name = line.slice(0, brace < 0 ? end : brace);
    const labels: Record<string, string> = {};
    if (brace >= 0) {
      for (const [, label, value] of line.slice(brace, end).matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
        labels[label!] = value!.replaceAll(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
      }
    }
    const list = all.get(name) ?? [];
    list.push({ labels, value: Number(line.slice(end + 1)) });
    all.set(name, list);
  }
  return all;
}

export const sum = (of: Samples, name: string) => (of.get(name) ?? []).reduce((n, s) => n + s.value, 0);
export const by = (of: Samples, name: string, label: string) => Object.fromEntries((of.get(name) ?? []).map((s) => [s.labels[label] ?? "", s.value]));

export interface Point {
  at: number; // seconds
  connections: number;
  rooms: number;
  queued: number; // bytes
  received: number; // events, since the start, as those below
  sent: number;
  fanouts: number;
  fanoutSeconds: number;
}

export interface Figures {
  now: Samples;
  history: Point[]; // oldest first
}

export const everyMs = 5_000;
const keptSeconds = 15 * 60;
const storeName = "fanoutd-figures";

let history: Point[] = restore();

// Kept in the tab, so that a reload does not begin anew.
function restore(): Point[] {
  try {
    return (JSON.parse(sessionStorage.getItem(storeName) ?? "[]") as Point[]).filter((p) => p.at > Date.now() / 1000 - keptSeconds);
  } catch {
    return [];
  }
}

/** Takes a sample. */
export async function look(signal?: AbortSignal): Promise<Figures> {
  const now = parse(await metricsText(signal));
  const at = Date.now() / 1000;
  const point: Point = {
    at,
    connections: sum(now, "fanoutd_connections"),
    rooms: sum(now, "fanoutd_rooms"),
    queued: sum(now, "fanoutd_queue_bytes"),
    received: sum(now, "fanoutd_events_received_total"),
    sent: sum(now, "fanoutd_events_sent_total"),
    fanouts: sum(now, "fanoutd_fanout_duration_seconds_count"),
    fanoutSeconds: sum(now, "fanoutd_fanout_duration_seconds_sum"),
  };
  if (history.length > 0 && point.received < history.at(-1)!.received) history = []; // it has restarted
  history = [...history.filter((p) => p.at > at - keptSeconds), point];
  try {
    sessionStorage.setItem(storeName, JSON.stringify(history));
  } catch {
    // no room: a reload begins anew
  }
  return { now, history };
}

/** What a counter grew by, a second, before each point but the first. */
export function rates(of: Point[], what: (p: Point) => number): (number | null)[] {
  return of.map((p, i) => {
    const before = of[i - 1];
    return before && p.at > before.at ? Math.max(0, (what(p) - what(before)) / (p.at - before.at)) : null;
  });
}

/** How long an emit took before each point, in seconds; null: there was none. */
export function fanoutTimes(of: Point[]): (number | null)[] {
  return of.map((p, i) => {
    const before = of[i - 1];
    return before && p.fanouts > before.fanouts ? (p.fanoutSeconds - before.fanoutSeconds) / (p.fanouts - before.fanouts) : null;
  });
}
