import { useState } from "preact/hooks";
import { ActionButton, Code, useDo } from "../action.tsx";
import { ago, asDuration, count, duration, plural, seconds } from "../format.ts";
import { useCall, useSession, whyNot } from "../state.tsx";
import type { Node } from "../types.ts";
import { Facts, Field, Title, Trouble } from "../ui.tsx";

export function Nodes() {
  const list = useCall<{ nodes?: Node[] }>("AdminService/ListNodes", {}, 2_000);
  const nodes = list.data?.nodes ?? [];
  return (
    <>
      <Title text="Nodes" />
      <Trouble error={list.error} />
      {nodes.length > 1 && (
        <div class="buttons">
          <ActionButton action={{
            label: "Rebalance", method: "AdminService/Rebalance", stream: true,
            warning: "Sessions of nodes that have more than the mean are closed, and their clients come back by themselves.",
            fields: [{ name: "time", label: "Over", initial: "60s", required: true, check: (v) => (asDuration(v) ? "" : "Write a time, such as 60s or 5m.") }],
            request: (v) => ({ time: asDuration(v.time!) }),
            says: (a: { nodes?: { name: string; sessions?: number }[]; even?: boolean }) => `${a.nodes?.map((n) => `${n.name}: ${count(n.sessions)}`).join(", ")}${a.even ? ". They are even." : "…"}`,
          }} />
        </div>
      )}
      {nodes.map((n) => <NodeCard key={n.name} node={n} />)}
    </>
  );
}

function NodeCard({ node: n }: { node: Node }) {
  const gaps = n.link ? Number(n.link.repaired ?? 0) + Number(n.link.refused ?? 0) + Number(n.link.dropped ?? 0) : 0;
  return (
    <section class="card" aria-label={`Node ${n.name}`}>
      <h2>{n.name} {n.self && <span class="soft">answers you</span>}</h2>
      <Facts of={[
        ["State", n.state === "ALIVE" ? `answers, for ${ago(n.since)}` : <b class="bad">does not answer, for {ago(n.since)}</b>],
        ["Release", n.version],
        ["Connections", count(n.connections)],
        ["Load", <>{Math.round((n.load ?? 0) * 100)} % <meter value={n.load ?? 0} max={1} high={0.9} aria-label={`Load of ${n.name}`} /></>],
        ...(n.link ? ([
          ["Link", `${plural(Number(n.link.sent ?? 0), "message")} to it, ${count(n.link.received)} from it`],
          ["Gaps", gaps === 0 ? "none" : `${count(n.link.repaired)} sent once more, ${count(n.link.refused)} not sent, ${count(n.link.dropped)} it may have missed`],
        ] as [string, string][]) : []),
      ]} />
      <Drain name={n.name} />
    </section>
  );
}

interface Progress {
  phase?: string;
  sessions?: number;
  connections?: number;
  closed?: number;
  elapsed?: string;
  delay?: string;
  time?: string;
}

const phases: Record<string, string> = { NOT_READY: "not ready, and serves as before", CLOSING: "its sessions are being closed", CONSUMERS: "consumers settle what waits", DONE: "done: its process ends" };

// A drain has no dialog: its progress stays in sight.
function Drain({ name }: { name: string }) {
  const session = useSession();
  const [open, setOpen] = useState(false);
  const [delay, setDelay] = useState("");
  const [time, setTime] = useState("");
  const { busy, answers, error, go } = useDo("AdminService/Drain", true);
  const last = answers.at(-1) as Progress | undefined;
  const bad = [delay, time].some((v) => v.trim() !== "" && !asDuration(v));
  const request = { node: name, delay: delay.trim() ? asDuration(delay) : undefined, time: time.trim() ? asDuration(time) : undefined };
  const refused = whyNot(session, "AdminService/Drain");
  if (!open) return <button type="button" class="danger" onClick={() => setOpen(true)}>Drain</button>;
  const problem = (v: string) => (v.trim() !== "" && !asDuration(v) ? "Write a time, such as 30s or 5m." : "");
  const all = (last?.sessions ?? 0) + (last?.closed ?? 0);
  return (
    <form class="form" aria-label={`Drain ${name}`} onSubmit={(e) => { e.preventDefault(); if (!bad) void go(request); }}>
      <p class="warning">{name} ends: its clients come back elsewhere, and its process exits. Nothing stops that.</p>
      {!last && (
        <div class="pair">
          <Field label="Serve on for" value={delay} onInput={setDelay} problem={problem(delay)} hint="Empty: as drain-delay says." />
          <Field label="Close sessions over" value={time} onInput={setTime} problem={problem(time)} hint="Empty: as drain-time says." />
        </div>
      )}
      {refused && <p class="trouble">{refused}</p>}
      {last?.phase !== "DONE" && <Trouble error={error} />}
      {last && (
        <div role="status">
          <p class="good">{phases[last.phase ?? "NOT_READY"]}: {plural(last.sessions ?? 0, "session")} open, {count(last.closed)} closed, {duration(seconds(last.elapsed))} so far.</p>
          <progress aria-label={`Sessions of ${name} that are closed`} max={Math.max(1, all)} value={last.phase === "DONE" ? Math.max(1, all) : (last.closed ?? 0)} />
        </div>
      )}
      <div class="buttons">
        {!last && <button type="submit" class="danger primary" disabled={busy || bad || refused !== ""}>Drain {name}</button>}
        <button type="button" onClick={() => setOpen(false)}>{last ? "Close" : "Cancel"}</button>
      </div>
      <Code method="AdminService/Drain" request={request} stream />
    </form>
  );
}
