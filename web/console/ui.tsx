// Parts that several pages are made of.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { argsText, clipped, clock, secretName } from "./format.ts";
import { connectionHref, userHref } from "./state.tsx";
import type { Event } from "./types.ts";

/** The title of a page, which is read out when the page comes. */
export function Title({ text, children }: { text: string; children?: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${text} – fanoutd console`;
    heading.current?.focus({ preventScroll: true });
  }, [text]);
  return (
    <div class="title">
      <h1 ref={heading} tabIndex={-1}>{text}</h1>
      {children}
    </div>
  );
}

export function Trouble({ error }: { error?: Error }) {
  return error ? <p class="trouble" role="alert">{error.message}</p> : null;
}

/** Says which nodes are missing in what is shown. */
export function Unreachable({ nodes }: { nodes?: string[] }) {
  return nodes?.length ? <p class="trouble" role="status">Not shown: what is at {nodes.join(", ")}, which does not answer.</p> : null;
}

export interface Column<T> {
  title: string;
  of: (row: T) => ComponentChildren;
  number?: boolean; // aligned as one
  wide?: boolean; // left out on phones
  mono?: boolean;
}

export function Table<T>({ caption, columns, rows, keyOf, empty }: { caption: string; columns: Column<T>[]; rows: T[] | undefined; keyOf: (row: T) => string; empty: string }) {
  if (rows?.length === 0) return <p class="empty">{empty}</p>;
  const classes = (c: Column<T>) => `${c.number ? "number " : ""}${c.wide ? "wide " : ""}${c.mono ? "mono" : ""}`;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={caption}>
      <table aria-busy={rows === undefined}>
        <caption class="hidden">{caption}</caption>
        <thead><tr>{columns.map((c) => <th key={c.title} scope="col" class={classes(c)}>{c.title}</th>)}</tr></thead>
        <tbody>
          {rows?.map((row) => <tr key={keyOf(row)}>{columns.map((c) => <td key={c.title} class={classes(c)}>{c.of(row)}</td>)}</tr>)}
        </tbody>
      </table>
    </div>
  );
}

/** Pairs of names and values. */
export function Facts({ of }: { of: [string, ComponentChildren][] }) {
  return <dl class="facts">{of.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>;
}

/** Named texts of a browser, of which those that may be secrets are hidden at first. */
export function Texts({ of, empty }: { of: Record<string, string> | undefined; empty: string }) {
  const all = Object.entries(of ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  if (all.length === 0) return <p class="empty">{empty}</p>;
  return <Facts of={all.map(([name, value]) => [name, secretName(name) ? <Secret key={name} name={name} value={value} /> : <span class="mono">{value}</span>])} />;
}

export function Secret({ name, value }: { name: string; value: string }) {
  const [shown, show] = useState(false);
  return (
    <span class="secret">
      <span class="mono">{shown ? value : "••••••••"}</span>
      <button type="button" class="small" aria-label={`${shown ? "Hide" : "Show"} ${name}`} onClick={() => show(!shown)}>{shown ? "Hide" : "Show"}</button>
    </span>
  );
}

export function Id({ namespace, id }: { namespace?: string; id: string }) {
  return <a class="mono" href={connectionHref(namespace, id)}>{id}</a>;
}

export function User({ id }: { id?: string }) {
  return id ? <a href={userHref(id)}>{id}</a> : <span class="soft">–</span>;
}

export interface FieldProps {
  label: string;
  value: string;
  onInput: (value: string) => void;
  kind?: "text" | "area" | "password" | "datetime-local" | "search" | "number";
  options?: [string, string][]; // value and label: a choice
  hint?: string;
  problem?: string;
  required?: boolean;
  placeholder?: string;
}

/** One field of a form, with its label, and what is wrong with it. */
export function Field({ label, value, onInput, kind = "text", options, hint, problem, required, placeholder }: FieldProps) {
  const id = useId();
  const about = [hint && `${id}-hint`, problem && `${id}-problem`].filter(Boolean).join(" ") || undefined;
  const common = { id, value, required, placeholder, "aria-describedby": about, "aria-invalid": problem ? ("true" as const) : undefined, autocomplete: "off" as const, spellcheck: false, onInput: (e: { currentTarget: { value: string } }) => onInput(e.currentTarget.value) };
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {options ? <select {...common}>{options.map(([v, text]) => <option key={v} value={v}>{text}</option>)}</select>
        : kind === "area" ? <textarea {...common} rows={4} class="mono" /> : <input {...common} type={kind as "text"} />}
      {hint && <p class="hint" id={`${id}-hint`}>{hint}</p>}
      {problem && <p class="problem" id={`${id}-problem`}>{problem}</p>}
    </div>
  );
}

export function Check({ label, value, onInput }: { label: string; value: boolean; onInput: (value: boolean) => void }) {
  return <label class="check"><input type="checkbox" checked={value} onInput={(e) => onInput(e.currentTarget.checked)} /> {label}</label>;
}

/** Pages of a listing, one after the other: from the tokens that answers gave. */
export function useTokens(on: unknown[]) {
  const key = JSON.stringify(on);
  const [state, set] = useState<{ key: string; tokens: string[] }>({ key, tokens: [""] });
  const tokens = state.key === key ? state.tokens : [""];
  return {
    token: tokens.at(-1)!,
    number: tokens.length,
    next: (token: string) => set({ key, tokens: [...tokens, token] }),
    back: () => set({ key, tokens: tokens.slice(0, -1) }),
    first: () => set({ key, tokens: [""] }),
  };
}

export function Pager({ at, next }: { at: ReturnType<typeof useTokens>; next?: string }) {
  if (at.number === 1 && !next) return null;
  return (
    <nav class="pager" aria-label="Pages of the list">
      <button type="button" disabled={at.number === 1} onClick={at.first}>First</button>
      <button type="button" disabled={at.number === 1} onClick={at.back}>Back</button>
      <span aria-live="polite">Page {at.number}</span>
      <button type="button" disabled={!next} onClick={() => next && at.next(next)}>Next</button>
    </nav>
  );
}

/** Events as they pass, newest first. */
export function Events({ events, empty, withConnection = true }: { events: Event[]; empty: string; withConnection?: boolean }) {
  if (events.length === 0) return <p class="empty">{empty}</p>;
  return (
    <ol class="events" aria-label="Events, newest first" tabIndex={0}>
      {events.map((e) => (
        <li key={`${e.connectionId} ${e.sequence} ${e.kind}`}>
          <time class="soft">{clock(e.receivedAt)}</time>
          <span class={`kind ${e.kind}`}>{e.kind === "MESSAGE" ? "event" : e.kind?.toLowerCase().replaceAll("_", " ")}</span>
          {withConnection && <span class="who"><User id={e.userId} /> <Id namespace={e.namespace} id={e.connectionId ?? ""} /></span>}
          <span class="what">
            {e.kind === "MESSAGE" ? <><b>{e.event}</b> <code>{clipped(argsText(e))}</code>{e.attachments?.length ? ` + ${e.attachments.length} binary` : ""}</> : <>{e.reason} {e.detail}</>}
          </span>
        </li>
      ))}
    </ol>
  );
}


export function Copy({ text }: { text: string }) {
  const [done, set] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      set(true);
      setTimeout(() => set(false), 1500);
    } catch { // without https the browser has no clipboard for pages: the text can be selected
      set(false);
    }
  };
  return <button type="button" class="small" onClick={copy}>{done ? "Copied" : "Copy"}</button>;
}
