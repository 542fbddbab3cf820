import { useEffect, useMemo, useState } from "preact/hooks";
import { args, timeoutField } from "../actions.ts";
import { Code, useDo } from "../action.tsx";
import { call } from "../api.ts";
import { asDuration, clipped, jsonProblem, list, plural } from "../format.ts";
import { type Asked, useAsked, useSession, whyNot } from "../state.tsx";
import type { Target } from "../types.ts";
import { Check, Field, Id, Title, Trouble, Unreachable } from "../ui.tsx";

type Kind = "rooms" | "ids" | "users" | "all";

/** What was typed, once nothing was for a moment. */
function useSettled<T>(value: T): T {
  const [settled, set] = useState(value);
  const key = JSON.stringify(value);
  useEffect(() => {
    const timer = setTimeout(() => set(value), 400);
    return () => clearTimeout(timer);
  }, [key]);
  return settled;
}

export function Emit() {
  const session = useSession();
  const [v, set] = useState({ namespace: session.namespaces?.find((n) => !n.includes("*")) ?? "/", kind: "rooms" as Kind, names: "", except: "", event: "", args: "", timeout: timeoutField.initial! });
  const [answered, setAnswered] = useState(false);
  const field = (name: "namespace" | "names" | "except" | "event" | "args" | "timeout") => ({ value: v[name], onInput: (value: string) => set({ ...v, [name]: value }) });
  const to: Target | undefined = useMemo(() => {
    const except = list(v.except);
    const common = { namespace: v.namespace || "/", ...(except.length > 0 ? { except } : {}) };
    if (v.kind === "all") return { ...common, all: true };
    const names = list(v.names);
    return names.length > 0 ? { ...common, [v.kind]: names } : undefined;
  }, [v]);
  const settled = useSettled(to);
  const counted = useAsked(async (signal) => (settled ? { of: settled, ...(await call<Counted>("RegistryService/CountConnections", { to: settled }, signal)) } : undefined), [settled], 5_000);
  const bad = jsonProblem(v.args, "array");
  const time = asDuration(v.timeout);
  const emit = { to, event: v.event, ...args(v.args) };
  const method = answered ? "EmitterService/EmitWithAck" : "EmitterService/Emit";
  const request = answered ? { emit, timeout: time } : { ...emit, wait: "APPLIED" };
  const { busy, answers, error, go, clear } = useDo(method, answered);
  useEffect(clear, [answered]);
  const refused = whyNot(session, method);
  const ready = to && v.event && !bad && (!answered || time);
  return (
    <>
      <Title text="Emit" />
      <form class="form" aria-label="Emit" onSubmit={(e) => { e.preventDefault(); if (ready) void go(request); }}>
        <div class="pair">
          <Field label="Namespace" {...field("namespace")} hint="A pattern means several: /tenant-*" />
          <Field label="To" value={v.kind} onInput={(k) => set({ ...v, kind: k as Kind })} options={[["rooms", "rooms"], ["users", "users"], ["ids", "connections, by id"], ["all", "all of the namespace"]]} />
        </div>
        {v.kind !== "all" && <Field label={`${{ rooms: "Rooms", users: "Users", ids: "Ids" }[v.kind]}, divided by commas`} {...field("names")} required />}
        <Field label="But not who is in these rooms, or has these ids" {...field("except")} />
        <Reach to={to} counted={counted} />
        <Field label="Event" {...field("event")} required placeholder="news" />
        <Field label="Arguments, a JSON array" kind="area" {...field("args")} problem={bad} placeholder='["hello", {"n": 1}]' />
        <Check label="Ask each for an answer" value={answered} onInput={setAnswered} />
        {answered && <Field label="Wait for" {...field("timeout")} problem={time ? "" : "Write a time, such as 10s or 2m."} />}
        {refused && <p class="trouble">{refused}</p>}
        <div class="buttons"><button type="submit" class="primary" disabled={!ready || busy || refused !== ""}>{busy ? "Under way…" : "Send"}</button></div>
      </form>
      <Trouble error={error} />
      <div role="status" aria-label="What has happened">{answers.length > 0 && (answered ? <Answers all={answers} /> : <p class="good">Sent to {plural(answers[0].matched ?? 0, "connection")}.</p>)}</div>
      {answers.at(-1)?.unreachable && <Unreachable nodes={answers.at(-1).unreachable} />}
      {to && <Code method={method} request={request} stream={answered} />}
    </>
  );
}

interface Counted {
  total?: number;
  unreachable?: string[];
}

function Reach({ to, counted }: { to: Target | undefined; counted: Asked<({ of: Target } & Counted) | undefined> }) {
  const now = JSON.stringify(counted.data?.of) === JSON.stringify(to) ? counted.data : undefined; // and not what was typed before
  return (
    <>
      <p role="status" class="note">{!to ? "It would reach nobody: name somebody." : now ? `It would reach ${plural(now.total ?? 0, "connection")} now.` : "Counting whom it would reach…"}</p>
      <Trouble error={to && counted.error} />
      <Unreachable nodes={now?.unreachable} />
    </>
  );
}

const most = 200; // answers that are shown

function Answers({ all }: { all: any[] }) {
  const started = all.find((a) => a.started)?.started;
  const summary = all.findLast((a) => a.summary)?.summary;
  const outcomes = all.filter((a) => a.ack || a.failed);
  return (
    <>
      <p class={summary ? "good" : "note"}>
        {summary ? `${summary.acked ?? 0} of ${summary.expected ?? 0} answered, ${summary.timedOut ?? 0} not in time, ${summary.disconnected ?? 0} went away.` : `${plural(started?.expected ?? 0, "connection")} asked, ${outcomes.length} outcomes so far.`}
      </p>
      <ol class="events" aria-label="Answers" tabIndex={0}>
        {outcomes.slice(-most).map((a) => (
          <li key={(a.ack ?? a.failed).connectionId}>
            <Id id={(a.ack ?? a.failed).connectionId} />
            <span class="what">{a.ack ? <code>{clipped(a.ack.argsJson ?? "[]")}</code> : a.failed.reason === "TIMEOUT" ? "did not answer in time" : "went away"}</span>
          </li>
        ))}
      </ol>
    </>
  );
}
