// Values as people read them.

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(n: number): string {
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${unit === 0 ? n : n.toFixed(1)} ${units[unit]}`;
}

const numbers = new Intl.NumberFormat("en");
export const count = (n: number | string | undefined) => numbers.format(Number(n ?? 0));
export const plural = (n: number, one: string, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

export function seconds(text: string | undefined): number {
  return text ? Number.parseFloat(text) : 0;
}

export function duration(s: number): string {
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} days`;
}

export const ago = (at: string | undefined) => (at ? duration(Math.max(0, (Date.now() - Date.parse(at)) / 1000)) : "–");
export const clock = (at: string | undefined) => (at ? new Date(at).toLocaleTimeString("en-GB") : "–");

/** A duration as requests have it, of what somebody typed: "10", "10s", "1.5s" or "2m". */
export function asDuration(text: string): string | undefined {
  const found = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h)?\s*$/.exec(text);
  if (!found) return undefined;
  const times = { ms: 0.001, s: 1, m: 60, h: 3600 }[found[2] ?? "s"]!;
  return `${Number((Number(found[1]) * times).toFixed(6))}s`;
}

/** Names that somebody typed, one a line or divided by commas. */
export const list = (text: string) => text.split(/[\n,]/).map((s) => s.trim()).filter(Boolean);

/** What was wrong with text as JSON; empty: nothing. */
export function jsonProblem(text: string, kind: "array" | "object"): string {
  if (text.trim() === "") return "";
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (err) {
    return `This is no JSON: ${(err as Error).message}`;
  }
  if (kind === "array" && !Array.isArray(value)) return "This must be a JSON array, such as [\"hello\", 1].";
  if (kind === "object" && (value === null || typeof value !== "object" || Array.isArray(value))) return "This must be a JSON object, such as {\"seat\": 12}.";
  return "";
}

/** Whether a name looks like that of a secret, whose value is hidden at first. */
export const secretName = (name: string) => /auth|cookie|token|secret|pass|key|session|credential|jwt|signature/i.test(name);

export const pretty = (value: unknown) => JSON.stringify(value, null, 2);

/** An event's arguments as text. */
export const argsText = (e: { args?: unknown[]; argsJson?: string }) => e.argsJson || JSON.stringify(e.args ?? []);

const longest = 2_000; // characters: what is longer, a line does not show

export const clipped = (text: string) => (text.length > longest ? `${text.slice(0, longest)}… (${text.length} characters)` : text);
