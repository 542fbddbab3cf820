// Groups of consumers, and what they gave up.

import { useState } from "preact/hooks";
import { ActionButton } from "../action.tsx";
import { ago, bytes, clipped, clock, count, duration, plural, seconds } from "../format.ts";
import { href, useAsked, useCall } from "../state.tsx";
import type { Affected, Consumer, DeadLetter, Group, Page } from "../types.ts";
import { argsText } from "../format.ts";
import { Facts, Field, Id, Pager, Table, Title, Trouble, Unreachable, User, useTokens } from "../ui.tsx";
import { allGroups } from "./overview.tsx";

export function Consumers() {
  const list = useAsked(allGroups, ["groups"], 2_000);
  return (
    <>
      <Title text="Consumers" />
      <Trouble error={list.error} />
      <Unreachable nodes={list.data?.unreachable} />
      {list.data?.groups?.length === 0 && <p class="empty">There is no group: nobody hears what browsers do.</p>}
      {list.data?.groups?.map((g) => <GroupCard key={g.name} group={g} changed={list.refresh} />)}
    </>
  );
}

function GroupCard({ group: g, changed }: { group: Group; changed: () => void }) {
  return (
    <section class="card" aria-label={`Group ${g.name}`}>
      <h2>{g.name}</h2>
      {g.warning && <p class="trouble">{g.warning}</p>}
      <Facts of={[
        ["Members", count(g.consumers?.length)],
        ["Lag", `${plural(g.pendingEvents ?? 0, "event")}, ${bytes(Number(g.pendingBytes ?? 0))}`],
        ["Oldest", g.oldestPendingAge ? duration(seconds(g.oldestPendingAge)) : "–"],
        ["In flight", count(g.inFlight)],
        ["Delivered", `${count(g.delivered)}, of which ${count(g.redelivered)} again`],
        ["Dropped or lost", `${count(Number(g.dropped ?? 0) + Number(g.lostEvents ?? 0))}`],
        ["Dead letters", <a href={href(["dead-letters"], { group: g.name })}>{count(g.deadLetters)}</a>],
        ["Authorises", g.authorizedNamespaces?.join(", ") || "nothing"],
      ]} />
      <Table<Consumer> caption={`Members of ${g.name}`} rows={g.consumers ?? []} keyOf={(c) => c.consumerId} empty="Nobody is there."
        columns={[
          { title: "Consumer", mono: true, of: (c) => <>{c.consumerId}{c.leaving && <span class="soft"> leaving</span>}</> },
          { title: "Node", wide: true, of: (c) => c.node },
          { title: "Hears", wide: true, of: (c) => [c.namespaces?.join(", ") || "all namespaces", c.events?.join(", ") || "all events", c.authorize && "authorises", c.lifecycle && "lifecycle", c.topics?.length && `topics ${c.topics.join(", ")}`].filter(Boolean).join("; ") },
          { title: "In flight", number: true, of: (c) => `${count(c.inFlight)} of ${count(c.maxInFlight)}` },
          { title: "Queue", number: true, of: (c) => bytes(c.queuedBytes ?? 0) },
          { title: "Connections", number: true, of: (c) => count(c.connections) },
          { title: "Active", number: true, wide: true, of: (c) => `${ago(c.lastActive)} ago` },
          { title: "Action", of: (c) => <ActionButton small action={{ label: "End", method: "AdminService/DisconnectConsumer", warning: `The stream of ${c.consumerId} ends; what is in flight to it goes to others. It may come back.`, request: () => ({ group: g.name, consumerId: c.consumerId }), says: () => "Ended.", done: changed }} /> },
        ]} />
      <div class="buttons">
        <ActionButton action={{ label: "Delete the group", method: "AdminService/DeleteGroup", warning: `What waits for ${g.name} and its dead letters go, its members' streams end, and it authorises nothing any more.`, request: () => ({ group: g.name }), says: (a: Affected) => `Deleted; ${plural(a.affected ?? 0, "consumer")} ended.`, done: changed }} />
      </div>
    </section>
  );
}

const why: Record<string, string> = { NACKED: "given back too often", CRASHED: "too many workers ended while they had it", ACK_WAIT: "not settled in time, too often", TOO_LARGE: "too large for its worker" };

export function DeadLetters({ route }: { route: { query: URLSearchParams } }) {
  const [group, setGroup] = useState(route.query.get("group") ?? "");
  const at = useTokens([group]);
  const list = useCall<Page & { deadLetters?: DeadLetter[] }>("AdminService/ListDeadLetters", { group, pageSize: 50, pageToken: at.token }, 3_000);
  const letters = list.data?.deadLetters ?? [];
  const replay = (of: { group: string; ids?: string[]; all?: true }, label: string, says: string) => ({ label, method: "AdminService/ReplayDeadLetters", request: () => of, says: (a: Affected) => `${plural(a.affected ?? 0, says)} on the way again.`, done: list.refresh });
  const remove = (of: { group: string; ids?: string[]; all?: true }, label: string, what: string) => ({ label, method: "AdminService/DeleteDeadLetters", warning: `${what} cannot be brought back.`, request: () => of, says: (a: Affected) => `${plural(a.affected ?? 0, "dead letter")} deleted.`, done: list.refresh });
  return (
    <>
      <Title text="Dead letters" />
      <form class="search" role="search" aria-label="Search dead letters" onSubmit={(e) => e.preventDefault()}>
        <Field label="Group; empty: all" kind="search" value={group} onInput={setGroup} />
      </form>
      <Trouble error={list.error} />
      <Unreachable nodes={list.data?.unreachable} />
      {[...new Set(letters.map((d) => d.group))].map((g) => (
        <div key={g} class="buttons">
          <ActionButton action={replay({ group: g, all: true }, `Replay all of ${g}`, "dead letter")} />
          <ActionButton action={remove({ group: g, all: true }, `Delete all of ${g}`, "What is deleted")} />
        </div>
      ))}
      {list.data && letters.length === 0 && <p class="empty">There are none: every event was handled.</p>}
      {letters.map((d) => (
        <section key={d.id} class="card" aria-label={`Dead letter ${d.event?.event || d.event?.kind}`}>
          <h2>{d.event?.event || d.event?.kind}</h2>
          <Facts of={[
            ["Group", d.group],
            ["Given up", `${clock(d.deadAt)}, ${ago(d.deadAt)} ago: ${why[d.reason ?? ""] ?? "–"}`],
            ["Deliveries", count(d.event?.attempt)],
            ["Last at", d.consumerId || "nobody"],
            ["User", <User id={d.event?.userId} />],
            ["Connection", <Id namespace={d.event?.namespace} id={d.event?.connectionId ?? ""} />],
            ["Namespace", d.event?.namespace],
            ["Node", d.node],
          ]} />
          <pre tabIndex={0} aria-label="Arguments">{d.event ? clipped(argsText(d.event)) : ""}{d.event?.attachments?.length ? `\n+ ${plural(d.event.attachments.length, "attachment")}` : ""}{Number(d.omittedBytes ?? 0) > 0 ? `\n(${bytes(Number(d.omittedBytes))} are not shown)` : ""}</pre>
          <div class="buttons">
            {d.replaying && <span role="status">on its way again</span>}
            <ActionButton action={replay({ group: d.group, ids: [d.id] }, "Replay", "dead letter")} />
            <ActionButton action={remove({ group: d.group, ids: [d.id] }, "Delete", "It")} />
          </div>
        </section>
      ))}
      <Pager at={at} next={list.data?.nextPageToken} />
    </>
  );
}
