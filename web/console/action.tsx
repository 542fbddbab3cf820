// Actions: a button, a dialog with what it needs, and the same call for programs.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, call, stream } from "./api.ts";
import { pretty } from "./format.ts";
import { type Language, languages, sample } from "./samples.ts";
import { useSession, whyNot } from "./state.tsx";
import { Check, Copy, Field, type FieldProps } from "./ui.tsx";

export type Values = Record<string, string>; // of a check "yes" or ""

export interface ActionField {
  name: string;
  label: string;
  kind?: FieldProps["kind"] | "check";
  options?: [string, string][];
  hint?: string;
  initial?: string;
  required?: boolean;
  placeholder?: string;
  check?: (value: string) => string; // what is wrong with it
}

export interface Action {
  label: string; // of the button, and of the dialog
  method: string;
  request: (values: Values) => object;
  fields?: ActionField[];
  warning?: string; // of what cannot be undone
  stream?: boolean;
  says?: (answer: any) => string; // what has happened, in words
  done?: (answer: any) => void;
}

/** The call for programs, in the language that was chosen last. */
let chosen: Language = "curl";

export function Code({ method, request, stream = false }: { method: string; request: object; stream?: boolean }) {
  const session = useSession();
  const [language, set] = useState<Language>(chosen);
  const text = sample(language, method, request, stream, { address: session.control || "localhost:8081", tls: Boolean(session.controlTls), key: !session.open });
  return (
    <details class="code">
      <summary>As code</summary>
      <div class="languages" role="group" aria-label="Language">
        {languages.map((l) => <button key={l} type="button" class="small" aria-pressed={l === language} onClick={() => { chosen = l; set(l); }}>{l}</button>)}
        <Copy text={text} />
      </div>
      <pre tabIndex={0} aria-label={`The call in ${language}`}>{text}</pre>
    </details>
  );
}

/** What somebody does: asks, and shows the answers. */
export function useDo(method: string, isStream: boolean) {
  const [state, set] = useState<{ busy: boolean; answers: any[]; error?: Error }>({ busy: false, answers: [] });
  const ended = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => ended.current?.abort(), []);
  const go = async (request: object): Promise<any | undefined> => {
    ended.current?.abort();
    const now = (ended.current = new AbortController());
    set({ busy: true, answers: [] });
    try {
      let last: any;
      if (isStream) {
        for await (const answer of stream<any>(method, request, now.signal)) {
          last = answer;
          set((s) => ({ ...s, answers: [...s.answers, answer].slice(-1000) }));
        }
      } else {
        last = await call<any>(method, request, now.signal);
        set((s) => ({ ...s, answers: [last] }));
      }
      set((s) => ({ ...s, busy: false }));
      return last;
    } catch (error) {
      if (!now.signal.aborted) set((s) => ({ ...s, busy: false, error: error as ApiError }));
      return undefined;
    }
  };
  return { ...state, go, clear: () => set({ busy: false, answers: [] }) };
}

export function ActionButton({ action, small = false }: { action: Action; small?: boolean }) {
  const [open, set] = useState(false);
  return (
    <>
      <button type="button" class={`${small ? "small " : ""}${action.warning ? "danger" : ""}`} onClick={() => set(true)}>{action.label}</button>
      {open && <ActionDialog action={action} close={() => set(false)} />}
    </>
  );
}

function ActionDialog({ action, close }: { action: Action; close: () => void }) {
  const session = useSession();
  const dialog = useRef<HTMLDialogElement>(null);
  const fields = action.fields ?? [];
  const [values, setValues] = useState<Values>(() => Object.fromEntries(fields.map((f) => [f.name, f.initial ?? ""])));
  const { busy, answers, error, go, clear } = useDo(action.method, Boolean(action.stream));
  useEffect(() => dialog.current!.showModal(), []);
  const problems = Object.fromEntries(fields.map((f) => [f.name, f.check && values[f.name] ? f.check(values[f.name]!) : ""]));
  const bad = fields.some((f) => problems[f.name]);
  const request = useMemo(() => (bad ? undefined : action.request(values)), [bad, values, action]);
  const refused = whyNot(session, action.method);
  const submit = async (e: SubmitEvent) => {
    e.preventDefault();
    if (!request || busy || refused) return;
    const answer = await go(request);
    if (answer !== undefined) action.done?.(answer);
  };
  const last = answers.at(-1);
  return (
    <dialog ref={dialog} onClose={close} aria-label={action.label}>
      <form onSubmit={submit}>
        <h2>{action.label}</h2>
        {action.warning && <p class="warning">{action.warning}</p>}
        {fields.map((f) => {
          const set = (value: string) => {
            setValues((v) => ({ ...v, [f.name]: value }));
            clear();
          };
          if (f.kind === "check") return <Check key={f.name} label={f.label} value={values[f.name] === "yes"} onInput={(on) => set(on ? "yes" : "")} />;
          return <Field key={f.name} label={f.label} kind={f.kind} options={f.options} hint={f.hint} required={f.required} placeholder={f.placeholder} problem={problems[f.name]} value={values[f.name]!} onInput={set} />;
        })}
        <div role="status">
          {refused && <p class="trouble">{refused}</p>}
          {error && <p class="trouble">{error.message}</p>}
          {last !== undefined && !error && <p class="good">{action.says?.(last) ?? "Done."}</p>}
          {last !== undefined && !action.says && Object.keys(last).length > 0 && <pre tabIndex={0} aria-label="The answer">{pretty(last)}</pre>}
          {last?.unreachable?.length > 0 && <p class="trouble">Did not answer: {last.unreachable.join(", ")}.</p>}
        </div>
        {request && <Code method={action.method} request={request} stream={action.stream} />}
        <div class="buttons">
          <button type="submit" class={action.warning ? "danger primary" : "primary"} disabled={!request || busy || refused !== ""}>{busy ? "Under way…" : action.label}</button>
          <button type="button" onClick={() => dialog.current!.close()}>Close</button>
        </div>
      </form>
    </dialog>
  );
}
