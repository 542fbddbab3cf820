// Rooms, users, namespaces and blocks: lists by name, page by page.

import { useState } from "preact/hooks";
import { ActionButton } from "../action.tsx";
import { block, targetActions } from "../actions.ts";
import { call } from "../api.ts";
import { count, plural } from "../format.ts";
import { href, type Route, useAsked, useCall, useSession, userHref } from "../state.tsx";
import type { Block, Page } from "../types.ts";
import { Field, Pager, Table, Title, Trouble, Unreachable, useTokens } from "../ui.tsx";

const everyMs = 3_000;
const pageSize = 100;

/** The namespaces there are, to choose one from. */
function useNamespaces(chosen: string) {
  const session = useSession();
  const all = useCall<{ namespaces?: { name: string }[] }>("RegistryService/ListNamespaces", { pageSize: 1000 });
  const names = new Set([...(all.data?.namespaces ?? []).map((n) => n.name), ...(session.namespaces ?? []).filter((n) => !n.includes("*")), chosen]);
  return [...names].sort().map((n): [string, string] => [n, n]);
}

function useNamespace(route: Route) {
  const session = useSession();
  return useState(route.query.get("namespace") ?? session.namespaces?.find((n) => !n.includes("*")) ?? "/");
}

/** A page of what a namespace has, which says of which namespace it is: it is shown until that of another comes. */
function useListed<T>(method: string, namespace: string, prefix: string, pageToken: string) {
  return useAsked(async (signal) => ({ namespace, ...(await call<Page & T>(method, { namespace, prefix, pageSize, pageToken }, signal)) }), [namespace, prefix, pageToken], everyMs);
}

export function Rooms({ route }: { route: Route }) {
  const [namespace, setNamespace] = useNamespace(route);
  const [prefix, setPrefix] = useState("");
  const at = useTokens([namespace, prefix]);
  const list = useListed<{ rooms?: { name: string; connections: number }[] }>("RegistryService/ListRooms", namespace, prefix, at.token);
  const of = list.data?.namespace ?? namespace;
  return (
    <>
      <Title text="Rooms" />
      <form class="search" role="search" aria-label="Search rooms" onSubmit={(e) => e.preventDefault()}>
        <Field label="Namespace" value={namespace} onInput={setNamespace} options={useNamespaces(namespace)} />
        <Field label="Name begins with" kind="search" value={prefix} onInput={setPrefix} />
      </form>
      <Trouble error={list.error} />
      <Unreachable nodes={list.data?.unreachable} />
      <Table caption="Rooms" rows={list.data ? (list.data.rooms ?? []) : undefined} keyOf={(r) => r.name} empty="There is no such room. Rooms exist while somebody is in them."
        columns={[
          { title: "Room", of: (r) => <a href={href(["connections"], { namespace: of, by: "room", q: r.name })}>{r.name}</a> },
          { title: "Connections", number: true, of: (r) => count(r.connections) },
          { title: "Actions", wide: true, of: (r) => <div class="buttons">{targetActions({ namespace: of, rooms: [r.name] }, `everybody in the room ${r.name}`).filter((a) => a.label !== "Join").map((a) => <ActionButton key={a.label} action={a} small />)}</div> },
        ]} />
      <Pager at={at} next={list.data?.nextPageToken} />
    </>
  );
}

export function Users({ route }: { route: Route }) {
  const [namespace, setNamespace] = useNamespace(route);
  const [prefix, setPrefix] = useState("");
  const at = useTokens([namespace, prefix]);
  const list = useListed<{ users?: { userId: string; connections: number }[] }>("RegistryService/ListUsers", namespace, prefix, at.token);
  const of = list.data?.namespace ?? namespace;
  return (
    <>
      <Title text="Users" />
      <form class="search" role="search" aria-label="Search users" onSubmit={(e) => e.preventDefault()}>
        <Field label="Namespace" value={namespace} onInput={setNamespace} options={useNamespaces(namespace)} />
        <Field label="Name begins with" kind="search" value={prefix} onInput={setPrefix} />
      </form>
      <Trouble error={list.error} />
      <Unreachable nodes={list.data?.unreachable} />
      <Table caption="Users" rows={list.data ? (list.data.users ?? []) : undefined} keyOf={(u) => u.userId} empty="There is no such user connected."
        columns={[
          { title: "User", of: (u) => <a href={userHref(u.userId)}>{u.userId}</a> },
          { title: "Connections", number: true, of: (u) => count(u.connections) },
          { title: "Actions", wide: true, of: (u) => <div class="buttons">{targetActions({ namespace: of, users: [u.userId] }, `all connections of the user ${u.userId}`).map((a) => <ActionButton key={a.label} action={a} small />)}<ActionButton action={block({ user: u.userId })} small /></div> },
        ]} />
      <Pager at={at} next={list.data?.nextPageToken} />
    </>
  );
}

export function Namespaces() {
  const [prefix, setPrefix] = useState("");
  const at = useTokens([prefix]);
  const list = useCall<Page & { namespaces?: { name: string; connections?: number; rooms?: number }[] }>("RegistryService/ListNamespaces", { prefix, pageSize, pageToken: at.token }, everyMs);
  return (
    <>
      <Title text="Namespaces" />
      <form class="search" role="search" aria-label="Search namespaces" onSubmit={(e) => e.preventDefault()}>
        <Field label="Name begins with" kind="search" value={prefix} onInput={setPrefix} />
      </form>
      <Trouble error={list.error} />
      <Unreachable nodes={list.data?.unreachable} />
      <Table caption="Namespaces" rows={list.data ? (list.data.namespaces ?? []) : undefined} keyOf={(n) => n.name} empty="There is no such namespace."
        columns={[
          { title: "Namespace", of: (n) => <a href={href(["connections"], { namespace: n.name })}>{n.name}</a> },
          { title: "Connections", number: true, of: (n) => count(n.connections) },
          { title: "Rooms", number: true, of: (n) => <a href={href(["rooms"], { namespace: n.name })}>{count(Math.max(0, (n.rooms ?? 0) - (n.connections ?? 0)))}<span class="hidden"> rooms of {n.name}</span></a> },
          { title: "Actions", wide: true, of: (n) => <div class="buttons">{targetActions({ namespace: n.name, all: true }, `every connection of the namespace ${n.name}`).map((a) => <ActionButton key={a.label} action={a} small />)}</div> },
        ]} />
      <Pager at={at} next={list.data?.nextPageToken} />
    </>
  );
}

const subject = (b: Block) => (b.userId ? `user ${b.userId}` : b.address ?? "");

export function Blocks() {
  const [prefix, setPrefix] = useState("");
  const at = useTokens([prefix]);
  const list = useCall<Page & { blocks?: Block[] }>("RegistryService/ListBlocks", { userPrefix: prefix, pageSize, pageToken: at.token }, everyMs);
  const lift = (b: Block) => ({
    label: "Lift", method: "RegistryService/Unblock", done: list.refresh, warning: `The ${subject(b)} is let in again.`,
    request: () => (b.userId ? { users: [b.userId] } : { addresses: [b.address] }), says: (a: { affected?: number }) => `${plural(a.affected ?? 0, "block")} lifted.`,
  });
  return (
    <>
      <Title text="Blocks" />
      <form class="search" role="search" aria-label="Search blocks" onSubmit={(e) => e.preventDefault()}>
        <Field label="User begins with" kind="search" value={prefix} onInput={setPrefix} />
      </form>
      <BlockForm done={list.refresh} />
      <Trouble error={list.error} />
      <Unreachable nodes={list.data?.unreachable} />
      <Table caption="Blocks" rows={list.data ? (list.data.blocks ?? []) : undefined} keyOf={subject} empty="Nobody is blocked."
        columns={[
          { title: "Who", of: (b) => (b.userId ? <>user <a href={userHref(b.userId)}>{b.userId}</a></> : <span class="mono">{b.address}</span>) },
          { title: "Until", of: (b) => (b.until ? new Date(b.until).toLocaleString("en-GB") : "lifted") },
          { title: "Reason", of: (b) => b.reason || "–" },
          { title: "By", wide: true, of: (b) => `${b.caller || "–"}, ${b.node ?? ""}` },
          { title: "Action", of: (b) => <ActionButton action={lift(b)} small /> },
        ]} />
      <Pager at={at} next={list.data?.nextPageToken} />
    </>
  );
}

function BlockForm({ done }: { done: () => void }) {
  const [who, set] = useState("");
  const text = who.trim();
  return (
    <form class="search" aria-label="Block somebody" onSubmit={(e) => e.preventDefault()}>
      <Field label="Block a user or an address" value={who} onInput={set} hint="An address is 203.0.113.9, or a network 203.0.113.0/24." />
      {text && <div class="buttons"><ActionButton action={{ ...block({ user: text }), done }} /><ActionButton action={{ ...block({ address: text }), done }} /></div>}
    </form>
  );
}
