import { useMemo } from "preact/hooks";
import { call } from "../api.ts";
import { Chart } from "../chart.tsx";
import { bytes, count, duration, plural } from "../format.ts";
import { by, everyMs, fanoutTimes, look, rates, sum } from "../metrics.ts";
import { problems, type Wrong } from "../problems.ts";
import { href, useAsked, useSession, whyNot } from "../state.tsx";
import type { DeadLetter, Group, Node } from "../types.ts";
import { Title, Trouble } from "../ui.tsx";

interface Consumers {
  groups?: Group[];
  unreachable?: string[];
}

/** Joins groups that go on on the next page. */
export async function allGroups(signal?: AbortSignal): Promise<Consumers> {
  const all = new Map<string, Group>();
  const unreachable = new Set<string>();
  let pageToken: string | undefined;
  for (let pages = 0; pages < 100; pages++) { // 100,000 consumers: what is beyond is left out
    const answer = await call<Consumers & { nextPageToken?: string }>("AdminService/ListConsumers", { pageSize: 1000, pageToken }, signal);
    for (const g of answer.groups ?? []) {
      const before = all.get(g.name);
      all.set(g.name, { ...g, consumers: [...(before?.consumers ?? []), ...(g.consumers ?? [])] });
    }
    for (const n of answer.unreachable ?? []) unreachable.add(n);
    pageToken = answer.nextPageToken;
    if (!pageToken) break;
  }
  return { groups: [...all.values()], unreachable: [...unreachable] };
}

function Number_({ name, value, to }: { name: string; value: string; to?: string }) {
  return (
    <div class="number-card">
      <dt>{to ? <a href={to}>{name}</a> : name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

export function Overview() {
  const session = useSession();
  const admin = !whyNot(session, "AdminService/ListNodes");
  const sees = !whyNot(session, "RegistryService/GetConnection") && !session.namespaces?.length && !session.rooms?.length;
  const figures = useAsked(async (signal) => (sees ? look(signal) : undefined), ["figures", sees], everyMs);
  const nodes = useAsked(async (signal) => (admin ? (await call<{ nodes?: Node[] }>("AdminService/ListNodes", {}, signal)).nodes ?? [] : undefined), ["nodes", admin], everyMs);
  const consumers = useAsked(async (signal) => (admin ? allGroups(signal) : undefined), ["consumers", admin], everyMs);
  const dead = useAsked(async (signal) => (admin ? call<{ deadLetters?: DeadLetter[]; nextPageToken?: string }>("AdminService/ListDeadLetters", { pageSize: 100 }, signal) : undefined), ["dead", admin], everyMs);
  const wrong = useMemo(() => {
    const all: Wrong[] = problems(consumers.data?.groups, nodes.data, consumers.data?.unreachable ?? [], figures.data?.now);
    const n = dead.data?.deadLetters?.length ?? 0;
    if (n > 0) all.unshift({ bad: true, what: `${dead.data!.nextPageToken ? "More than " : ""}${plural(n, "dead letter")}: events that their group gave up.`, todo: "Mend the backend, then replay them, or delete them.", href: href(["dead-letters"]), link: "Dead letters" });
    return all;
  }, [consumers.data, nodes.data, figures.data, dead.data]);
  const now = figures.data?.now;
  const history = figures.data?.history ?? [];
  const at = history.map((p) => p.at);
  const last = <T,>(all: (T | null)[]) => all.findLast((v) => v !== null) ?? undefined;
  const [received, sent, times] = [rates(history, (p) => p.received), rates(history, (p) => p.sent), fanoutTimes(history)];
  const rate = (all: (number | null)[]) => { const n = last(all); return n === undefined ? "…" : perSecond(n); };
  const sessions = now ? by(now, "fanoutd_sessions", "transport") : {};
  const cluster = nodes.data && nodes.data.length > 1;
  const draining = now ? sum(now, "fanoutd_draining") > 0 : false;
  return (
    <>
      <Title text="Overview" />
      <Trouble error={figures.error ?? nodes.error ?? consumers.error ?? dead.error} />
      {!admin && <p class="note">The key lacks the scope admin: nodes, consumers and dead letters are not shown.</p>}
      {!sees && <p class="note">The figures of a node are for keys with the scope read, and without namespaces or rooms.</p>}
      <section aria-label="What is wrong" aria-live="polite" class="wrongs">
        {wrong.length === 0 && (nodes.data || now) ? <p class="fine">Nothing is wrong that the daemon knows of.</p> : (
          <ul>
            {wrong.map((w) => <li key={w.what} class={w.bad ? "bad" : "look"}><b>{w.what}</b> {w.todo} {w.href && <a href={w.href}>{w.link}</a>}</li>)}
          </ul>
        )}
      </section>
      <dl class="numbers">
        {nodes.data && <Number_ name={cluster ? "Connections, all nodes" : "Connections"} value={count(nodes.data.reduce((n, x) => n + (x.connections ?? 0), 0))} to={href(["connections"])} />}
        {now && (cluster || !nodes.data) && <Number_ name={`Connections at ${session.node}`} value={count(sum(now, "fanoutd_connections"))} />}
        {["websocket", "polling", "webtransport"].map((t) => now && <Number_ key={t} name={`Sessions by ${t === "polling" ? t : t === "websocket" ? "WebSocket" : "WebTransport"}`} value={count(sessions[t])} />)}
        {now && <Number_ name="Rooms" value={count(Math.max(0, sum(now, "fanoutd_rooms") - sum(now, "fanoutd_connections")))} to={href(["rooms"])} />}
        {now && <Number_ name="Events from browsers" value={rate(received)} />}
        {now && <Number_ name="Events to browsers" value={rate(sent)} />}
        {now && <Number_ name="Time of a fan-out" value={last(times) === undefined ? "–" : short(last(times)!)} />}
        {now && <Number_ name="Queued for browsers" value={bytes(sum(now, "fanoutd_queue_bytes"))} />}
        {consumers.data && <Number_ name="Consumers" value={count(consumers.data.groups!.reduce((n, g) => n + (g.consumers?.length ?? 0), 0))} to={href(["consumers"])} />}
        {nodes.data && <Number_ name="Nodes" value={count(nodes.data.length)} to={href(["nodes"])} />}
        {now && <Number_ name="Drain" value={draining ? "under way" : "none"} to={href(["nodes"])} />}
      </dl>
      {now && (
        <section aria-label={`Charts of node ${session.node}`} class="charts">
          <Chart title="Connections" at={at} lines={[{ label: "here", values: history.map((p) => p.connections), color: "--line-a" }]} format={compact} />
          <Chart title="Events a second" at={at} lines={[{ label: "from browsers", values: received, color: "--line-a" }, { label: "to browsers", values: sent, color: "--line-b" }]} format={compact} />
          <Chart title="Time of a fan-out" at={at} lines={[{ label: "mean", values: times, color: "--line-a" }]} format={short} />
          <Chart title="Queued for browsers" at={at} lines={[{ label: "bytes", values: history.map((p) => p.queued), color: "--line-b" }]} format={bytes} />
        </section>
      )}
      {now && <p class="soft">Figures and charts are those of node {session.node}.</p>}
    </>
  );
}

const compact = (n: number) => (n < 10 ? String(Math.round(n * 10) / 10) : Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(n));
const perSecond = (n: number) => `${compact(n)} / s`;
const short = (s: number) => (s > 0 && s < 0.001 ? `${Math.round(s * 1e6)} µs` : s < 0.1 ? `${(s * 1000).toFixed(1)} ms` : duration(s));
