// The connections that a Watch tells of.

import type { Connection } from "./types.ts";

interface Change {
  node?: string;
  added?: { connection: Connection };
  updated?: { connection: Connection };
  removed?: { namespace: string; id: string };
  joined?: { namespace: string; id: string; rooms?: string[] };
  left?: { namespace: string; id: string; rooms?: string[] };
  synced?: { node?: string };
  resync?: { node?: string };
}

export class Roster {
  synced = false;
  changes = 0;
  unreachable: string[] = [];
  private all = new Map<string, Connection>();
  private found?: { text: string; list: Connection[] }; // until something comes, goes or changes

  get size() {
    return this.all.size;
  }

  forget() {
    this.all.clear();
    this.found = undefined;
    this.synced = false;
    this.unreachable = [];
  }

  take(answer: { changes?: Change[]; unreachable?: string[] }) {
    this.unreachable = answer.unreachable ?? [];
    for (const change of answer.changes ?? []) this.apply(change);
  }

  private apply(c: Change) {
    const at = (x: { namespace: string; id: string }) => `${x.namespace}\n${x.id}`;
    this.changes++;
    this.found = undefined;
    if (c.added) this.all.set(at(c.added.connection), { ...c.added.connection, node: c.node });
    else if (c.updated) this.all.set(at(c.updated.connection), { ...c.updated.connection, node: c.node });
    else if (c.removed) this.all.delete(at(c.removed));
    else if (c.joined) this.change(at(c.joined), (x) => ({ ...x, rooms: [...new Set([...(x.rooms ?? []), ...(c.joined!.rooms ?? [])])] }));
    else if (c.left) this.change(at(c.left), (x) => ({ ...x, rooms: (x.rooms ?? []).filter((r) => !c.left!.rooms?.includes(r)) }));
    else if (c.resync) {
      for (const [key, x] of this.all) if (!c.resync.node || x.node === c.resync.node) this.all.delete(key);
    } else if (c.synced && !c.synced.node) this.synced = true;
  }

  private change(key: string, to: (x: Connection) => Connection) {
    const x = this.all.get(key);
    if (x) this.all.set(key, to(x));
  }

  /** The rows in which text stands, from one to another, and how many there are. */
  page(from: number, to: number, text: string): { rows: Connection[]; matching: number } {
    if (this.found?.text !== text) {
      const wanted = text.toLowerCase();
      const list = [...this.all.values()];
      this.found = { text, list: wanted === "" ? list : list.filter((x) => has(x, wanted)) };
    }
    return { rows: this.found!.list.slice(from, to), matching: this.found!.list.length };
  }
}

/** Whether text, in lower case, stands in what a connection is known by. */
export function has(x: Connection, text: string): boolean {
  return [x.id, x.userId, x.remoteAddress, ...(x.rooms ?? [])].some((s) => s?.toLowerCase().includes(text));
}
