import { useEffect, useRef, useState } from "preact/hooks";
import { ActionButton, Code } from "../action.tsx";
import { block, connectionActions, host, targetActions } from "../actions.ts";
import { ago, bytes, clock, pretty, secretName } from "../format.ts";
import { href, type Route, useCall, useSession, useStream, whyNot } from "../state.tsx";
import type { Connection, Event, Handshake } from "../types.ts";
import { Events, Facts, Secret, Texts, Title, Trouble, User } from "../ui.tsx";

const kept = 200; // events
const showMs = 250; // at most four times a second, however many come

/** The URL of a handshake, whose query may have what is hidden below. */
function Address({ of }: { of?: Handshake }) {
  const url = of?.url ?? "–";
  return Object.keys(of?.query ?? {}).some(secretName) ? <Secret name="URL" value={url} /> : <span class="mono">{url}</span>;
}

export function ConnectionPage({ route }: { route: Route }) {
  const session = useSession();
  const id = route.path[1] ?? "";
  const namespace = route.query.get("namespace") ?? "/";
  const request = { namespace, id, view: "FULL" };
  const { data, error, refresh } = useCall<{ connection: Connection }>("RegistryService/GetConnection", request, 2_000);
  const [events, setEvents] = useState<Event[]>([]);
  const waiting = useRef(events);
  const mayTail = !whyNot(session, "EventService/Tail");
  const tail = useStream<{ event?: Event }>("EventService/Tail", { namespaces: [namespace], connectionIds: [id], decode: false }, mayTail, ({ event }) => {
    if (event) waiting.current = [event, ...waiting.current].slice(0, kept);
  });
  useEffect(() => {
    const timer = setInterval(() => setEvents(waiting.current), showMs);
    return () => clearInterval(timer);
  }, []);
  const c = data?.connection;
  const to = { namespace, ids: [id] };
  const stored = c?.dataJson || (c?.data ? pretty(c.data) : "");
  const rooms = (c?.rooms ?? []).filter((r) => r !== id);
  return (
    <>
      <Title text="Connection"><p class="mono id">{id}</p></Title>
      <Trouble error={error} />
      {error && c && <p class="note">What is shown is how it was last.</p>}
      {c && (
        <>
          <div class="buttons">
            {targetActions(to, "this connection").concat(connectionActions(namespace, id, stored)).map((a) => <ActionButton key={a.label} action={{ ...a, done: refresh }} />)}
            {c.userId && <ActionButton action={block({ user: c.userId })} />}
            {c.remoteAddress && <ActionButton action={block({ address: host(c.remoteAddress) })} />}
          </div>
          <Facts of={[
            ["User", <User id={c.userId} />],
            ["Namespace", c.namespace],
            ["Rooms", rooms.length === 0 ? "none but its own" : <ul class="chips">{rooms.map((r) => <li key={r}><a href={href(["connections"], { namespace, by: "room", q: r })}>{r}</a></li>)}</ul>],
            ["Transport", `${c.transport}${c.protocol === 3 ? ", Socket.IO v2" : ""}`],
            ["Address", <span class="mono">{c.remoteAddress}</span>],
            ["Node", c.node],
            ["Connected for", `${ago(c.connectedAt)}, since ${clock(c.connectedAt)}${c.recovered ? " (came back)" : ""}`],
            ["Queue", `${bytes(c.queuedBytes ?? 0)} wait to be sent${c.volatileDropped ? `, ${c.volatileDropped} volatile events dropped` : ""}`],
            ["Authorised until", c.expiresAt ? new Date(c.expiresAt).toLocaleString("en-GB") : "for ever"],
          ]} />
          <h2>Data</h2>
          {stored ? <pre tabIndex={0} aria-label="Data">{stored}</pre> : <p class="empty">Nothing is stored with it.</p>}
          <h2>Events as they pass</h2>
          {!mayTail ? <p class="note">The key lacks the scope tail.</p> : <Trouble error={tail.error} />}
          <Events events={events} empty="What the browser sends from now on is shown here." withConnection={false} />
          <h2>Handshake</h2>
          <Facts of={[
            ["URL", <Address of={c.handshake} />],
            ["TLS", c.handshake?.secure ? "yes" : "no"],
            ["Auth", c.handshake?.authJson || c.handshake?.auth ? <Secret name="auth" value={c.handshake.authJson || pretty(c.handshake.auth)} /> : "not shown to backends, or none"],
          ]} />
          <h3>Headers</h3>
          <Texts of={c.handshake?.headers} empty="None that backends are shown." />
          <h3>Query</h3>
          <Texts of={c.handshake?.query} empty="None." />
          <Code method="RegistryService/GetConnection" request={request} />
        </>
      )}
    </>
  );
}
