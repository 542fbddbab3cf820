// What may be done to connections, as actions.

import type { Action, ActionField } from "./action.tsx";
import { asDuration, jsonProblem, list, plural } from "./format.ts";
import type { Affected, Target } from "./types.ts";

const affected = (what: string) => (answer: Affected) => `${what}: ${plural(answer.affected ?? 0, "connection")}.`;

export const eventField: ActionField = { name: "event", label: "Event", required: true, placeholder: "news" };
export const argsField: ActionField = { name: "args", label: "Arguments, a JSON array", kind: "area", placeholder: '["hello", {"n": 1}]', check: (v) => jsonProblem(v, "array") };
export const timeoutField: ActionField = { name: "timeout", label: "Wait for", initial: "10s", required: true, check: (v) => (asDuration(v) ? "" : "Write a time, such as 10s or 2m.") };
const roomsField: ActionField = { name: "rooms", label: "Rooms, divided by commas", required: true };
const reasonField: ActionField = { name: "reason", label: "Reason, for the log", placeholder: "spam" };

/** Arguments as requests have them: text, so that numbers keep their digits; nothing without any. */
export const args = (text: string | undefined) => (text?.trim() ? { argsJson: text } : {});

export const emitTo = (to: Target, label = "Emit"): Action => ({
  label, method: "EmitterService/Emit", fields: [eventField, argsField],
  request: (v) => ({ to, event: v.event, ...args(v.args), wait: "APPLIED" }),
  says: (a: { matched?: number }) => `Sent to ${plural(a.matched ?? 0, "connection")}.`,
});

export const disconnect = (to: Target, who: string): Action => ({
  label: "Disconnect", method: "RegistryService/Disconnect",
  warning: `This ends ${who}.`,
  fields: [
    { name: "mode", label: "How", initial: "NAMESPACE", options: [["NAMESPACE", "in this namespace: the client stays away until its page connects again"], ["TRANSPORT", "cut the transport: the client comes back by itself"], ["SESSION", "in every namespace: the client stays away until its page connects again"]] },
    reasonField,
  ],
  request: (v) => ({ to, mode: v.mode, reason: v.reason || undefined }),
  says: affected("Disconnected"),
});

/** What may be done to all connections of a target. */
export function targetActions(to: Target, who: string): Action[] {
  return [
    emitTo(to),
    { label: "Join", method: "RegistryService/Join", fields: [roomsField], request: (v) => ({ to, rooms: list(v.rooms!) }), says: affected("Joined") },
    { label: "Leave", method: "RegistryService/Leave", fields: [roomsField], request: (v) => ({ to, rooms: list(v.rooms!) }), says: affected("Left") },
    disconnect(to, who),
  ];
}

/** Keeps somebody out, and ends what is there of him. */
export function block(who: { user?: string; address?: string }): Action {
  return {
    label: who.user ? "Block the user" : "Block the address", method: "RegistryService/Block",
    warning: who.user ? `The user ${who.user} is disconnected everywhere, and not let in any more.` : `Whoever comes from ${who.address} is disconnected, and not let in any more: that may be many behind one proxy.`,
    fields: [
      { name: "for", label: "For how long; empty: until it is lifted", placeholder: "24h", check: (v) => (asDuration(v) ? "" : "Write a time, such as 30m or 24h.") },
      reasonField,
    ],
    request: (v) => ({
      ...(who.user ? { users: [who.user] } : { addresses: [who.address] }), reason: v.reason || undefined,
      until: v.for && asDuration(v.for) ? new Date(Math.ceil(Date.now() / 1000 + Number.parseFloat(asDuration(v.for)!)) * 1000).toISOString() : undefined,
    }),
    says: (a: Affected) => `Blocked; ${plural(a.affected ?? 0, "connection")} ended.`,
  };
}

/** What may be done to one connection besides. */
export function connectionActions(namespace: string, id: string, data: string): Action[] {
  return [
    {
      label: "Call", method: "EmitterService/Call", fields: [eventField, argsField, timeoutField],
      request: (v) => ({ namespace, id, event: v.event, ...args(v.args), timeout: asDuration(v.timeout!) }),
    },
    {
      label: "Update", method: "RegistryService/UpdateConnection",
      fields: [
        { name: "data", label: "Data, a JSON object", kind: "area", initial: data, check: (v) => jsonProblem(v, "object") },
        { name: "replace", label: "in place of what is stored, rather than merged into it", kind: "check" },
        { name: "user", label: "User; empty: unchanged" },
      ],
      request: (v) => ({ namespace, id, dataJson: v.data?.trim() || undefined, replace: v.replace === "yes" || undefined, userId: v.user || undefined }),
      says: () => "Updated.",
    },
  ];
}

/** An address without its port, which is not known of who comes by a proxy: an IPv6 address has more than one colon then. */
export function host(address: string): string {
  return /^\[(.*)\](:\d+)?$/.exec(address)?.[1] ?? /^([^:]*):\d+$/.exec(address)?.[1] ?? address;
}
