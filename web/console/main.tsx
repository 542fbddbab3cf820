// The console: who is signed in, the menu, and the page that the address names.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type Session, session as askSession, signIn, signOut, whenSignedOut } from "./api.ts";
import { pages } from "./pages.tsx";
import { href, readRoute, SessionContext } from "./state.tsx";
import { Field, Title, Trouble } from "./ui.tsx";

function App() {
  const [session, set] = useState<Session>();
  const [error, setError] = useState<Error>();
  const [route, setRoute] = useState(() => readRoute(location.hash));
  const ask = () => askSession().then((s) => { set(s); setError(undefined); }, setError);
  useEffect(() => {
    void ask();
    whenSignedOut(() => set({ signedIn: false, open: false }));
    const go = () => setRoute(readRoute(location.hash));
    addEventListener("hashchange", go);
    return () => removeEventListener("hashchange", go);
  }, []);
  if (error && !session) return <main id="content"><Trouble error={error} /><button type="button" onClick={ask}>Try again</button></main>;
  if (!session) return <main id="content"><p class="loading">Asking the daemon…</p></main>;
  if (!session.signedIn) return <SignIn done={set} />;
  const page = pages.find((p) => p.name === (route.path[0] ?? "")) ?? pages[0]!;
  return (
    <SessionContext.Provider value={session}>
      <a class="skip" href="#content" onClick={(e) => { e.preventDefault(); document.getElementById("content")!.focus(); }}>Skip to the content</a>
      <header class="top">
        <p class="brand"><a href="#/">fanoutd</a> <span class="soft">{session.node} {session.version}</span></p>
        <FindBox />
        <p class="whoami">
          {session.open ? <span class="soft">no key is asked for</span> : <>{session.name}{session.mode === "view" && <span class="mode"> looking only</span>} <button type="button" class="small" onClick={() => signOut().then(set, setError)}>Sign out</button></>}
        </p>
      </header>
      <nav class="menu" aria-label="Pages">
        <ul>{pages.filter((p) => p.title).map((p) => <li key={p.name}><a href={href(p.name ? [p.name] : [])} aria-current={p.name === (page.under ?? page.name) ? "page" : undefined}>{p.title}</a></li>)}</ul>
      </nav>
      <main id="content" tabIndex={-1} key={`${page.name} ${page.title ? "" : route.path.join("/")}`}><page.Show route={route} /></main>
    </SessionContext.Provider>
  );
}

/** Goes to whoever is looked for. */
function FindBox() {
  const [text, set] = useState("");
  const go = (e: SubmitEvent) => {
    e.preventDefault();
    if (text.trim()) location.hash = href(["user", text.trim()]);
    set("");
  };
  return (
    <form class="find" role="search" aria-label="Find a user" onSubmit={go}>
      <input type="search" aria-label="Find a user" placeholder="Find a user" value={text} onInput={(e) => set(e.currentTarget.value)} autocomplete="off" spellcheck={false} />
    </form>
  );
}

function SignIn({ done }: { done: (s: Session) => void }) {
  const [key, setKey] = useState("");
  const [mode, setMode] = useState("view");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error>();
  const go = async (e: SubmitEvent) => {
    e.preventDefault();
    setBusy(true);
    try {
      done(await signIn(key, mode));
    } catch (err) {
      setError(err as Error);
    }
    setBusy(false);
  };
  return (
    <main id="content" class="sign-in">
      <Title text="Sign in" />
      <form onSubmit={go}>
        <Field label="Control key" kind="password" value={key} onInput={setKey} required hint="A key of control-key or control-keys-file. What it may do, you may do here." />
        <Field label="To" value={mode} onInput={setMode} options={[["view", "look only"], ["act", "look and act"]]} />
        <Trouble error={error} />
        <button type="submit" class="primary" disabled={busy}>{busy ? "Signing in…" : "Sign in"}</button>
      </form>
    </main>
  );
}

const app = document.getElementById("app")!;
app.replaceChildren();
render(<App />, app);
