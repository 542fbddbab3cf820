// What this node counts, of the last 15 minutes: what it has kept itself, and then samples of
// its metrics, taken while the page can be seen.

import { historyOf, type Kept, metricsText } from "./api.ts";

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

export interface Point extends Kept {
  at: number; // seconds
}

export interface Figures {
  now: Samples;
  history: Point[]; // oldest first
}

export const everyMs = 5_000;
const keptSeconds = 15 * 60;
const gapSeconds = 3 * (everyMs / 1000); // that the page has not looked for, after which it asks what there was

let history: Point[] = [];

// What the node has kept.
async function past(signal?: AbortSignal): Promise<Point[]> {
  const kept = await historyOf(signal);
  return kept.map(({ age, ...figures }) => ({ at: Date.now() / 1000 - age, ...figures }));
}

/** Takes a sample. */
export async function look(signal?: AbortSignal): Promise<Figures> {
  const now = parse(await metricsText(signal));
  if (Date.now() / 1000 - (history.at(-1)?.at ?? 0) > gapSeconds || sum(now, "fanoutd_events_received_total") < history.at(-1)!.received) history = await past(signal); // or it has restarted
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
  history = [...history.filter((p) => p.at > at - keptSeconds && p.received <= point.received), point];
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
