// What holds all pages: every block of code is run by a test or has the reason why not
// beside it, links lead somewhere, and names are names of something.

import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { rows } from "./docs-blocks.mjs";
import { root } from "./lib/daemon.mjs";
import { files, Page, page, readIfThere } from "./lib/docs.mjs";
import { missing, unknownCalls } from "./lib/names.mjs";

// Pages that tell what was, and need no name that still is.
const history = (name) => name === "CHANGELOG.md" || name.startsWith("docs/decisions/") || name.includes("/upstream/");

const pages = files(".md").map(page);

test("each block of each page is run by a test, or is told why not", () => {
  const wrong = [];
  for (const { name, blocks } of pages.filter(({ name }) => !history(name))) {
    const table = rows[name] ?? [];
    for (const { begins } of table) {
      const found = blocks.filter(({ text }) => text.startsWith(begins)).length;
      if (found !== 1) wrong.push(`${name} has ${found} blocks that begin with ${begins}`);
    }
    for (const { text, line } of blocks) {
      const found = table.filter(({ begins }) => text.startsWith(begins)).length;
      if (found !== 1) wrong.push(`${name}:${line}: ${found} rows of test/docs-blocks.mjs are about the block that begins with ${text.split("\n")[0]}`);
    }
  }
  for (const name of Object.keys(rows)) if (!pages.some((it) => it.name === name && !history(name))) wrong.push(`there are rows for ${name}, which is no page`);
  assert.equal(wrong.join("\n"), "");
});

test("each row names a test that is there and reads the page, or says why there is none", () => {
  const wrong = [];
  for (const [name, table] of Object.entries(rows)) {
    for (const { begins, by, not } of table) {
      const where = `${name}, ${begins}`;
      if (Boolean(by) === Boolean(not)) wrong.push(`${where}: a test or a reason, one of them`);
      if (not !== undefined && !/^[^\n]{20,}$/.test(not)) wrong.push(`${where}: the reason is no sentence`);
      for (const [file, title] of by ?? []) wrong.push(...lacks(file, title, name).map((what) => `${where}: ${what}`));
    }
  }
  assert.equal(wrong.join("\n"), "");
});

// What a test that is said to run blocks of a page lacks.
function lacks(file, title, name) {
  const text = readIfThere(file);
  if (text === undefined) return [`there is no ${file}`];
  const wrong = [];
  const declared = { ".mjs": `test(${JSON.stringify(title)}`, ".go": `func ${title}(`, ".py": `def ${title}(` }[path.extname(file)];
  if (!declared || !text.includes(declared)) wrong.push(`${file} has no test ${title}`);
  if (path.extname(file) === ".mjs") {
    if (!/ from "(?:\.{1,2}\/)+lib\/docs\.mjs"/.test(text) || !text.includes(`"${name}"`)) wrong.push(`${file} does not read ${name} by test/lib/docs.mjs`);
  } else if (!text.includes(path.basename(name))) wrong.push(`${file} does not read ${name}`);
  return wrong;
}

test("links lead to files and headings that are there", () => {
  const wrong = [];
  const outside = new Set();
  const there = new Map(pages.map((it) => [it.name, it]));
  for (const { name, links } of pages) {
    for (const { to, line } of links) {
      if (/^[a-z]+:/i.test(to)) {
        outside.add(to);
        continue;
      }
      const [file, anchor] = to.split("#");
      const target = file === "" ? name : path.normalize(path.join(path.dirname(name), decodeURI(file)));
      const absolute = path.join(root, target);
      if (to.startsWith("/") || target.startsWith("..")) wrong.push(`${name}:${line}: ${to} leads out of the repository`);
      else if (!existsSync(absolute)) wrong.push(`${name}:${line}: ${to} is not there`);
      else if (anchor !== undefined && target.endsWith(".md") && !(there.get(target) ?? page(target)).anchors.has(anchor)) wrong.push(`${name}:${line}: ${to} is no heading`);
      else if (anchor !== undefined && (statSync(absolute).isDirectory() || !target.endsWith(".md")) && !/^L\d+$/.test(anchor)) wrong.push(`${name}:${line}: ${to} has no headings`);
    }
  }
  console.log(`links to elsewhere, which nobody followed: ${[...outside].filter((to) => !/localhost|127\.0\.0\.1/.test(to)).sort().join(" ")}`);
  assert.equal(wrong.join("\n"), "");
});

test("what stands in backticks and names a setting, metric, RPC, field, reason, test or file names one that is there", () => {
  const wrong = [];
  for (const { name, code, blocks } of pages.filter(({ name }) => !history(name))) {
    for (const { text, line } of code) {
      const what = missing(text);
      if (what) wrong.push(`${name}:${line}: there is not ${what}`);
    }
    for (const { text, line } of blocks) for (const call of unknownCalls(text)) wrong.push(`${name}:${line}: there is no ${call}`);
  }
  assert.equal(wrong.join("\n"), "");
});

test("a page is read as Markdown is", () => {
  const text = [
    "# One `two`, [three](x.md)!", "", "- item `a` [in](in.md#there)", "", "      code of the item", "", "  ```sh", "  echo '[no](no.md)'", "  ```", "",
    "text", "    goes on", "", "    indented", "", "      more", "", "`[no](no.md)` and <https://example.com>", "", "# One `two`, three", "", "[ref]: ref.md", "",
  ].join("\n");
  const it = new Page("x.md", text);
  assert.deepEqual(it.blocks, [
    { language: "", text: "code of the item\n", line: 5 },
    { language: "sh", text: "echo '[no](no.md)'\n", line: 7 },
    { language: "", text: "indented\n\n  more\n", line: 14 },
  ]);
  assert.deepEqual(it.links.map(({ to, line }) => [to, line]), [["x.md", 1], ["in.md#there", 3], ["https://example.com", 18], ["ref.md", 22]]);
  assert.deepEqual([...it.anchors], ["one-two-three", "one-two-three-1"]);
  assert.deepEqual(it.code.map(({ text, line }) => [text, line]), [["two", 1], ["a", 3], ["[no](no.md)", 18], ["two", 20]]);
  assert.match(missing("--no-such-setting"), /flag/);
  assert.match(missing("AdminService.Nothing"), /RPC/);
  assert.match(missing("fanoutd_nothing_total"), /metric/);
  assert.equal(missing("--listen=:8080"), undefined);
});
