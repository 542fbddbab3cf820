import { useMemo, useRef, useState } from "preact/hooks";
import { call } from "../api.ts";
import { ago, count, plural } from "../format.ts";
import { useWatcher } from "../live.ts";
import { has } from "../roster.ts";
import { Rows } from "../rows.tsx";
import { everyNamespace, href, type Route, useAsked, useCall, useSession } from "../state.tsx";
import type { Connection, Page, Target } from "../types.ts";
import { Field, Id, Pager, Table, Title, Trouble, Unreachable, User, useTokens } from "../ui.tsx";
import { targetActions } from "../actions.ts";
import { ActionButton } from "../action.tsx";

// Up to so many connections are watched, which holds a copy of each; more are listed page by page.
const mostWatched = 20_000;

type By = "any" | "id" | "user" | "room" | "address";

/** The connections that a search is about. An address, or a part of something, the API does not look for. */
export function searched(namespace: string, by: By, text: string): Target {
  if (text !== "" && by === "id") return { namespace, ids: [text] };
  if (text !== "" && by === "user") return { namespace, users: [text] };
  if (text !== "" && by === "room") return { namespace, rooms: [text] };
  return { namespace, all: true };
}

export function Connections({ route }: { route: Route }) {
  const session = useSession();
  const get = (name: string, otherwise: string) => route.query.get(name) ?? otherwise;
  const namespace = get("namespace", everyNamespace(session));
  const by = get("by", "any") as By;
  const text = get("q", "");
  const go = (change: Record<string, string>) => {
    const next: Record<string, string> = { namespace, by, q: text, ...change };
    history.replaceState(null, "", href(["connections"], next));
    dispatchEvent(new HashChangeEvent("hashchange"));
  };
  const target = useMemo(() => searched(namespace, by, text), [namespace, by, text]);
  const partly = by === "any" || by === "address" ? text : "";
  const namespaces = useCall<{ namespaces?: { name: string }[] }>("RegistryService/ListNamespaces", { pageSize: 1000 });
  const total = useAsked((signal) => call<{ total?: number; unreachable?: string[] }>("RegistryService/CountConnections", { to: target }, signal), [target], 15_000);
  const n = total.data?.total ?? 0;
  const exact = partly === "";
  return (
    <>
      <Title text="Connections" />
      <form class="search" role="search" aria-label="Search connections" onSubmit={(e) => e.preventDefault()}>
        <Field label="Namespace" value={namespace} onInput={(v) => go({ namespace: v })}
          options={[...(session.namespaces?.length ? [] : [["*", "all"] as [string, string]]), ...names(namespaces.data?.namespaces, namespace)]} />
        <Field label="Search in" value={by} onInput={(v) => go({ by: v })} options={[["any", "anything"], ["id", "id"], ["user", "user"], ["room", "room"], ["address", "address"]]} />
        <Field label="Search for" kind="search" value={text} onInput={(v) => go({ q: v })} placeholder={by === "any" ? "a part of an id, user, room or address" : `a ${by}`} />
      </form>
      <Trouble error={total.error} />
      <Unreachable nodes={total.data?.unreachable} />
      {exact && text !== "" && n > 0 && <div class="buttons">{targetActions(target, `${plural(n, "connection")} of ${by} ${text}`).map((a) => <ActionButton key={a.label} action={a} />)}</div>}
      {total.data && (n > mostWatched ? <Paged key={JSON.stringify(target)} target={target} total={n} text={partly} /> : <Watched key={JSON.stringify(target)} target={target} text={partly} />)}
    </>
  );
}

function names(all: { name: string }[] | undefined, chosen: string): [string, string][] {
  const list = (all ?? []).map((x) => x.name);
  if (chosen !== "*" && !list.includes(chosen)) list.push(chosen);
  return list.map((name) => [name, name]);
}

function Watched({ target, text }: { target: Target; text: string }) {
  const w = useWatcher({ to: target }, text);
  return (
    <>
      <p class="soft" role="status">{w.synced ? `${count(w.matching)} of ${plural(w.total, "connection")}, live` : "Asking…"}</p>
      {w.problem && <p class="trouble" role="alert">{w.problem}</p>}
      <Unreachable nodes={w.unreachable} />
      <Rows rows={w.rows} from={w.from} total={w.matching} show={w.show} />
    </>
  );
}

/** Too many to be watched: pages of them, and those with a text by going through all. */
function Paged({ target, total, text }: { target: Target; total: number; text: string }) {
  const at = useTokens([target]);
  const page = useCall<Page & { connections?: Connection[] }>("RegistryService/ListConnections", { to: target, pageSize: 100, pageToken: at.token }, 5_000);
  return (
    <>
      <p class="soft">{plural(total, "connection")}: too many to be shown live. Search for an id, a user or a room to see them change.</p>
      {text !== "" ? <Through target={target} total={total} text={text} /> : (
        <>
          <Trouble error={page.error} />
          <Connected list={page.data && (page.data.connections ?? [])} />
          <Pager at={at} next={page.data?.nextPageToken} />
        </>
      )}
    </>
  );
}

/** Goes through all connections for a text, page by page, when it is told to. */
function Through({ target, total, text }: { target: Target; total: number; text: string }) {
  const [state, set] = useState<{ looked: number; found: Connection[]; busy: boolean; error?: Error; text: string }>({ looked: 0, found: [], busy: false, text: "" });
  const ended = useRef<AbortController | undefined>(undefined);
  const go = async () => {
    ended.current?.abort();
    const { signal } = (ended.current = new AbortController());
    let [looked, pageToken] = [0, ""];
    const found: Connection[] = [];
    set({ looked, found, busy: true, text });
    try {
      do {
        const page = await call<Page & { connections?: Connection[] }>("RegistryService/ListConnections", { to: target, pageSize: 1000, pageToken }, signal);
        looked += page.connections?.length ?? 0;
        found.push(...(page.connections ?? []).filter((c) => has(c, text.toLowerCase())).slice(0, 500 - found.length));
        pageToken = page.nextPageToken ?? "";
        set({ looked, found: [...found], busy: pageToken !== "", text });
      } while (pageToken !== "" && found.length < 500);
      set((s) => ({ ...s, busy: false }));
    } catch (error) {
      if (!signal.aborted) set((s) => ({ ...s, busy: false, error: error as Error }));
    }
  };
  return (
    <>
      <div class="buttons">
        <button type="button" onClick={go} disabled={state.busy}>Go through all {count(total)}</button>
        {state.busy && <button type="button" onClick={() => { ended.current?.abort(); set((s) => ({ ...s, busy: false })); }}>Stop</button>}
        <span role="status">{state.text === text && `${count(state.found.length)} found in ${count(state.looked)}${state.found.length === 500 ? ": no more are shown" : ""}`}</span>
      </div>
      <Trouble error={state.error} />
      {state.text === text && state.found.length > 0 && <Connected list={state.found} />}
    </>
  );
}

/** A short list of connections. */
export function Connected({ list }: { list: Connection[] | undefined }) {
  return (
    <Table caption="Connections" rows={list} keyOf={(c) => `${c.namespace} ${c.id}`} empty="There is no such connection."
      columns={[
        { title: "Id", of: (c) => <Id namespace={c.namespace} id={c.id} /> },
        { title: "User", of: (c) => <User id={c.userId} /> },
        { title: "Namespace", of: (c) => c.namespace },
        { title: "Rooms", wide: true, of: (c) => (c.rooms ?? []).filter((r) => r !== c.id).join(", ") || "–" },
        { title: "Transport", of: (c) => c.transport },
        { title: "Address", wide: true, mono: true, of: (c) => c.remoteAddress },
        { title: "Node", wide: true, of: (c) => c.node },
        { title: "For", number: true, of: (c) => ago(c.connectedAt) },
      ]} />
  );
}
