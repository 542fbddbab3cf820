import { useEffect, useRef, useState } from "preact/hooks";
import { Code } from "../action.tsx";
import { count, list, plural } from "../format.ts";
import { useStream } from "../state.tsx";
import type { Event } from "../types.ts";
import { Check, Events, Field, Title, Trouble, Unreachable } from "../ui.tsx";

const kept = 300; // events; older ones are let go
const showMs = 250; // at most four times a second, however many come

const kinds: [string, string][] = [["MESSAGE", "events"], ["CONNECTED", "connected"], ["DISCONNECTED", "disconnected"]];

export function Tail() {
  const [filter, setFilter] = useState({ namespaces: "", events: "", ids: "" });
  const [chosen, setChosen] = useState<string[]>(kinds.map(([k]) => k));
  const [paused, pause] = useState(false);
  const [shown, setShown] = useState<{ events: Event[]; seen: number; missed: number; unreachable?: string[] }>({ events: [], seen: 0, missed: 0 });
  const waiting = useRef(shown);
  const request = { namespaces: list(filter.namespaces), events: list(filter.events), connectionIds: list(filter.ids), kinds: chosen, decode: false };
  const { error, live } = useStream<{ event?: Event; dropped?: number; unreachable?: string[] }>("EventService/Tail", request, !paused && chosen.length > 0, (a) => {
    const w = waiting.current;
    waiting.current = { events: a.event ? [a.event, ...w.events].slice(0, kept) : w.events, seen: w.seen + (a.event ? 1 : 0), missed: w.missed + (a.dropped ?? 0), unreachable: a.unreachable };
  });
  useEffect(() => {
    const timer = setInterval(() => setShown(waiting.current), showMs);
    return () => clearInterval(timer);
  }, []);
  const field = (name: keyof typeof filter) => ({ value: filter[name], onInput: (v: string) => setFilter({ ...filter, [name]: v }) });
  return (
    <>
      <Title text="Events" />
      <form class="search" aria-label="Filters" onSubmit={(e) => e.preventDefault()}>
        <Field label="Namespaces" placeholder="all" {...field("namespaces")} />
        <Field label="Names of events" placeholder="all" {...field("events")} />
        <Field label="Ids of connections, divided by commas" placeholder="all" {...field("ids")} />
      </form>
      <fieldset class="kinds">
        <legend class="hidden">Kinds</legend>
        {kinds.map(([kind, label]) => <Check key={kind} label={label} value={chosen.includes(kind)} onInput={(on) => setChosen(on ? [...chosen, kind] : chosen.filter((k) => k !== kind))} />)}
      </fieldset>
      <div class="buttons">
        <button type="button" aria-pressed={paused} onClick={() => pause(!paused)}>{paused ? "Go on" : "Pause"}</button>
        <button type="button" onClick={() => setShown((waiting.current = { events: [], seen: 0, missed: 0 }))}>Clear</button>
        <span class="soft">{paused ? "Paused." : live ? "Live." : "Asking…"} {plural(shown.seen, "event")}{shown.missed > 0 && `, ${count(shown.missed)} missed: they came too fast`}</span>
      </div>
      <Trouble error={error} />
      <Unreachable nodes={shown.unreachable} />
      <Events events={shown.events} empty="What browsers do from now on is shown here." />
      <Code method="EventService/Tail" request={request} stream />
    </>
  );
}
