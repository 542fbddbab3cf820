// The parts of docs/nodejs.md that say which of Socket.IO's own tests and examples hold. They are made of the lists that the
// runs go by; a test fails where the file says anything else, and
//
//     node sdk/node/upstream/document.mjs
//
// writes them.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { differences, leftOut, tests } from "./differences.mjs";
import { examples } from "./examples-list.mjs";

const { daemonFlags } = createRequire(import.meta.url)("../socket.io");

export const file = fileURLToPath(new URL("../../../docs/nodejs.md", import.meta.url));

const table = (head, rows) => [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

// What is set at the daemon beyond what every program wants.
function settings({ options = {}, flags = {} }) {
  const always = daemonFlags({});
  const more = Object.entries({ ...daemonFlags(options), ...flags }).filter(([name, value]) => always[name] !== value);
  return more.map(([name, value]) => `\`--${name} ${value}\``).join(" ");
}

// One example, as the modules that it comes as.
function row(modules) {
  const kinds = modules.map(({ title }) => title.match(/\((\w+)\)/)?.[1]).filter(Boolean);
  const hows = new Set(modules.flatMap(({ how }) => how.split("; ")));
  return [`${modules[0].dir}${kinds.length > 0 ? ` (${kinds.join(", ")})` : ""}`, settings(modules[0]), [...hows].join("; ")];
}

const parts = {
  tests: [
    `${tests - Object.keys(differences).length} of the ${tests} tests of the socket.io server pass. The others, and why:`,
    table(["test", "here"], Object.entries(differences)),
    `Left out: ${Object.entries(leftOut)
      .map(([name, reason]) => `${name}: ${reason}`)
      .join("; ")}.`,
  ].join("\n\n"),
  examples: table(
    ["example", "more settings of the daemon", "how it is used"],
    [...new Set(examples.map(({ dir }) => dir))].map((dir) => row(examples.filter((one) => one.dir === dir))),
  ),
};

// The text with these parts as they are now.
export function documented(text) {
  for (const [name, part] of Object.entries(parts)) {
    const [begin, end] = [`<!-- ${name}, by sdk/node/upstream/document.mjs -->`, `<!-- end of ${name} -->`];
    const pieces = [text.indexOf(begin), text.indexOf(end)];
    if (pieces.includes(-1)) throw new Error(`no place for the ${name}`);
    text = `${text.slice(0, pieces[0] + begin.length)}\n\n${part}\n\n${text.slice(pieces[1])}`;
  }
  return text;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(file, documented(readFileSync(file, "utf8")));
