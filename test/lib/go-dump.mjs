// Reads what "go test" prints of a package that it ends since its time is up: which tests
// ran, and every goroutine. That is thousands of lines, of which most goroutines share
// theirs with others, and the one that everybody waits for is somewhere among them.

// What a dump begins with.
export const timedOut = /^panic: test timed out after (\S+)/;

// What is kept of a dump, which comes line by line.
const maxDump = 16 << 20; // characters

// Dump is what was printed since a test's time was up.
export class Dump {
  #text = "";

  add(line) {
    if (this.#text.length < maxDump) this.#text += line;
  }

  // The tests that ran, the innermost last.
  get running() {
    const list = this.#text.match(/\n\trunning tests:\n((?:\t\t.*\n)*)/)?.[1] ?? "";
    return list.split("\n").flatMap((line) => line.trim() || []);
  }

  // The goroutines by their state and calls, with how many are alike: those first that few
  // are, until there would be more than so many characters.
  summary(most) {
    const alike = new Map();
    for (const text of this.#text.split(/\n\n+/)) {
      const goroutine = parse(text);
      if (goroutine) alike.set(goroutine, (alike.get(goroutine) ?? 0) + 1);
    }
    const parts = [...alike].sort(([, a], [, b]) => a - b).map(([goroutine, n]) => `${n} x ${goroutine}`);
    let text = `timed out: ${this.running.join(", ")}\n`;
    for (const [i, part] of parts.entries()) {
      if (text.length + part.length > most) return `${text}\n${parts.length - i} kinds of goroutines more`;
      text += `\n${part}\n`;
    }
    return text;
  }
}

// A goroutine without what differs between those that are alike: numbers, addresses, minutes.
function parse(text) {
  const [head, ...lines] = text.trim().split("\n");
  const state = head.match(/^goroutine \d+ .*\[([^\]]*)\]:$/)?.[1];
  if (state === undefined) return undefined;
  const calls = lines.map((line) =>
    line.startsWith("\t") ? line.replace(/ \+0x.*$/, "") : line.replace(/\([^()]*\)$/, "").replace(/ in goroutine \d+$/, ""),
  );
  return [`[${state.replace(/, \d+ minutes/, "")}]`, ...calls.map((line) => `  ${line}`)].join("\n");
}
