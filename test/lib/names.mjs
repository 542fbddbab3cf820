// The names of settings, metrics, RPCs and the like that documentation has, and where each
// has to be found.

import { existsSync } from "node:fs";
import path from "node:path";

import { root } from "./daemon.mjs";
import { files, page, readIfThere } from "./docs.mjs";

// Flags and variables that are no settings: whose they are.
const ofOthers = { watch: "Node.js", HTTPS_PROXY: "Go's net/http" };

const all = (text, pattern) => new Set([...text.matchAll(pattern)].map(([, name]) => name));
const settings = all(page("docs/configuration.md").text, /^### ([\w-]+)$/gm);
const commands = all(page("docs/command-line-reference.md").text, /`--([\w-]+)/g); // their flags
const metrics = all(page("docs/metrics.md").text, /^\| `(\w+)` \|/gm);
const targets = all(readIfThere("Makefile"), /^([\w-]+):/gm);
const contract = files(".proto").map(readIfThere).join("\n");
const rpcs = new Map([...contract.matchAll(/^service (\w+) \{$(.*?)^\}$/gms)].map(([, service, body]) => [service, all(body, /^ {2}rpc (\w+)\(/gm)]));
const tests = all(files("_test.go").map(readIfThere).join("\n"), /^func (Test\w+)\(/gm);
const dirs = new Set(files("").filter((name) => name.includes("/")).map((name) => name.split("/")[0]));

// Every word that a file has which is no Markdown, with hyphens and without.
const words = new Set();
for (const name of files("")) {
  if (name.endsWith(".md") || name.endsWith("package-lock.json")) continue;
  for (const [word] of readIfThere(name).matchAll(/\w+(?:-\w+)*/g)) words.add(word).add(word.replaceAll("-", "_"));
}

// What a span in backticks may name: the first kind whose pattern it matches decides, by
// what the pattern caught.
const kinds = [
  ["a flag", /^--([a-z][\w-]*)(?![\w…-])/, (name) => settings.has(name) || commands.has(name) || name in ofOthers],
  ["a variable", /^\$?(FANOUTD_[A-Z0-9_]+)(?![\w…])/, (name) => settings.has(name.slice("FANOUTD_".length).toLowerCase().replaceAll("_", "-")) || words.has(name)],
  ["a metric", /^(fanoutd_[a-z_]+)(?![\w…])/, (name) => metrics.has(name.replace(/_(?:bucket|count|sum)$/, "")) || metrics.has(name)],
  ["an RPC", /^(?:fanout\.v1\.)?(\w+Service)[./](\w+)/, (service, rpc) => rpcs.get(service)?.has(rpc)],
  ["an RPC", /^(?:grpcurl|curl) .*fanout\.v1\.(\w+)\/(\w+)/, (service, rpc) => rpcs.get(service)?.has(rpc)],
  ["a target of the Makefile", /^make (?!bin\/)([a-z][\w-]*)/, (name) => targets.has(name)],
  ["a test", /^(Test[A-Z]\w*)(?!…|\w)/, (name) => tests.has(name)],
  ["tests", /^(Test[A-Z]\w*)…/, (begin) => [...tests].some((name) => name.startsWith(begin))],
  ["a reason", /^([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)$/, (name) => words.has(name) || name in ofOthers],
  ["a field", /^([a-z][a-z0-9]*(?:_[a-z0-9]+)+)$/, (name) => words.has(name)],
  ["a setting or the like", /^([a-z][a-z0-9]*(?:-[a-z0-9]+)+)$/, (name) => settings.has(name) || words.has(name)],
  ["a file", /^((?:[\w.@-]+\/)+[\w.@-]*)$/, (name) => !dirs.has(name.split("/")[0]) || name.startsWith("web/dist") || existsSync(path.join(root, name))],
];

// What the text of a span in backticks names that is not there, or undefined.
export function missing(text) {
  for (const [what, pattern, known] of kinds) {
    const found = text.match(pattern);
    if (found) return known(...found.slice(1)) ? undefined : `${what} ${found.slice(1).join(".")}`;
  }
  return undefined;
}

// The RPCs that a block of code calls and the contract does not have.
export function unknownCalls(text) {
  return [...text.matchAll(/fanout\.v1\.(\w+)\/(\w+)/g)].filter(([, service, rpc]) => !rpcs.get(service)?.has(rpc)).map(([call]) => call);
}
