// One user: all connections, and what may be the reason that events do not arrive.

import { ActionButton } from "../action.tsx";
import { block, emitTo, targetActions } from "../actions.ts";
import { ago, bytes, plural } from "../format.ts";
import { everyNamespace, href, type Route, useCall, useSession, whyNot } from "../state.tsx";
import type { Block, Connection, DeadLetter, Page } from "../types.ts";
import { Title, Trouble, Unreachable } from "../ui.tsx";
import { Connected } from "./connections.tsx";

// From how many bytes on a connection that does not take what it is sent is taken for slow.
const slowBytes = 64 << 10;

interface Finding {
  bad: boolean;
  text: string;
  link?: [string, string];
}

export function UserPage({ route }: { route: Route }) {
  const session = useSession();
  const user = route.path[1] ?? "";
  const to = { namespace: everyNamespace(session), users: [user] };
  const list = useCall<Page & { connections?: Connection[] }>("RegistryService/ListConnections", { to, pageSize: 1000 }, 3_000);
  const blocks = useCall<{ blocks?: Block[] }>("RegistryService/ListBlocks", { userPrefix: user, pageSize: 1000 }, 3_000);
  const admin = !whyNot(session, "AdminService/ListDeadLetters");
  const dead = useCall<{ deadLetters?: DeadLetter[] }>(admin ? "AdminService/ListDeadLetters" : "RegistryService/ListBlocks", admin ? { pageSize: 1000 } : { pageSize: 1 }, 10_000);
  const blocked = blocks.data?.blocks?.find((b) => b.userId === user);
  const connections = list.data && (list.data.connections ?? []);
  const findings = connections && find(user, connections, blocked, dead.data?.deadLetters ?? []);
  const who = `all connections of the user ${user}`;
  const emit = { ...emitTo(to, "Ask for an answer"), method: "EmitterService/EmitWithAck", stream: true, warning: undefined,
    request: (v: Record<string, string>) => ({ emit: { to, event: v.event, ...(v.args?.trim() ? { argsJson: v.args } : {}) }, timeout: "10s" }),
    says: (a: any) => (a.summary ? `${a.summary.acked ?? 0} of ${a.summary.expected ?? 0} answered; ${a.summary.timedOut ?? 0} did not in 10 s, ${a.summary.disconnected ?? 0} went away.` : "Waiting for answers…") };
  return (
    <>
      <Title text="User"><p class="id"><b>{user}</b></p></Title>
      <Trouble error={list.error} />
      <Unreachable nodes={list.data?.unreachable} />
      <div class="buttons">
        {targetActions(to, who).map((a) => <ActionButton key={a.label} action={{ ...a, done: list.refresh }} />)}
        <ActionButton action={emit} />
        <ActionButton action={{ ...block({ user }), done: () => { blocks.refresh(); list.refresh(); } }} />
        {blocked && <ActionButton action={{ label: "Lift the block", method: "RegistryService/Unblock", warning: `The user ${user} is let in again.`, request: () => ({ users: [user] }), says: () => "Lifted.", done: blocks.refresh }} />}
      </div>
      <h2>Whether events arrive</h2>
      <ul class="findings" aria-live="polite">
        {findings?.map((f) => <li key={f.text} class={f.bad ? "trouble" : "good"}>{f.text} {f.link && <a href={f.link[1]}>{f.link[0]}</a>}</li>)}
      </ul>
      <h2>Connections</h2>
      <Connected list={connections} />
    </>
  );
}

/** What is known of why a user gets no events. */
export function find(user: string, connections: Connection[], blocked: Block | undefined, dead: DeadLetter[]): Finding[] {
  const all: Finding[] = [];
  if (blocked) all.push({ bad: true, text: `The user is blocked${blocked.reason ? `: ${blocked.reason}` : ""}. It cannot connect until the block ends or is lifted.`, link: ["Blocks", href(["blocks"])] });
  if (connections.length === 0 && !blocked) all.push({ bad: true, text: "The user has no connection: nothing can arrive. Names are exact; a page that is not let in, or is let in without this name, is not this user.", link: ["Users", href(["users"])] });
  for (const c of connections) {
    if ((c.queuedBytes ?? 0) > slowBytes) all.push({ bad: true, text: `${c.id} is slow: ${bytes(c.queuedBytes!)} wait to be sent to it. Events arrive late, until its queue is full and it is closed.`, link: ["Connection", href(["connection", c.id], { namespace: c.namespace })] });
    if (c.volatileDropped) all.push({ bad: true, text: `${c.id} has missed ${plural(c.volatileDropped, "volatile event")}: it could not take them.` });
  }
  const mine = dead.filter((d) => d.event?.userId === user);
  if (mine.length > 0) all.push({ bad: true, text: `${plural(mine.length, "event")} of the user's became dead letters: the backend did not handle them.`, link: ["Dead letters", href(["dead-letters"])] });
  if (connections.length > 0 && all.length === 0) {
    const places = [...new Set(connections.map((c) => c.namespace))].join(", ");
    const rooms = [...new Set(connections.flatMap((c) => (c.rooms ?? []).filter((r) => r !== c.id)))];
    all.push({ bad: false, text: `${plural(connections.length, "connection")} in ${places}, none of them behind. It gets what is emitted to ${rooms.length > 0 ? `the rooms ${rooms.slice(0, 20).join(", ")}${rooms.length > 20 ? " and more" : ""}, ` : "no room, since it is in none; "}to its ids, its user, or to all of ${places}: an emit to another namespace or room does not reach it. The oldest connection is ${ago(connections.map((c) => c.connectedAt ?? "").sort()[0])} old.` });
  }
  return all;
}
