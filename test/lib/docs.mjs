// The Markdown pages of the repository, as the tests that hold them to what they say read
// them: their blocks of code, links, headings and the names in their prose.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";

import { root } from "./daemon.mjs";

// The repository's files that end so, by their names from its root. What git ignores is none.
export function files(...ends) {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ...ends.map((end) => `*${end}`)], { cwd: root, encoding: "utf8", maxBuffer: 16 << 20 });
  return [...new Set(listed.split("\0"))].filter((name) => name && readIfThere(name) !== undefined).sort();
}

// The text of a file of the repository, or undefined if it is not there.
export function readIfThere(name) {
  try {
    return readFileSync(path.join(root, name), "utf8");
  } catch (err) {
    if (err.code === "ENOENT" || err.code === "EISDIR") return undefined;
    throw err;
  }
}

// Reads a page, by its name from the root of the repository.
export function page(name) {
  const text = readIfThere(name);
  if (text === undefined) throw new Error(`there is no ${name}`);
  return new Page(name, text);
}

export class Page {
  // .blocks are its blocks of code, fenced and indented, in their order: {language, text, line}, with the
  // line's number in the page. .prose is the page with nothing in their place.
  constructor(name, text) {
    Object.assign(this, { name, text, blocks: [] });
    const prose = [];
    let fence = null; // the fenced block that goes on: {block, mark, indent}
    let indented = null; // the indented one
    let lists = []; // where the text of the list items begins that the line is in
    let blank = true; // whether the line before is
    for (const [i, line] of text.split("\n").entries()) {
      const indent = line.search(/\S/);
      if (fence) {
        if (new RegExp(`^ *${fence.mark}+ *$`).test(line)) fence = null;
        else fence.block.text += `${line.slice(Math.min(fence.indent, Math.max(indent, 0)))}\n`;
        prose.push("");
        continue;
      }
      if (indent < 0) {
        if (indented) indented.text += "\n";
        blank = true;
        prose.push("");
        continue;
      }
      lists = lists.filter((begin) => indent >= begin);
      const inner = (lists.at(-1) ?? 0) + 4;
      if (indent >= inner && (indented || blank)) {
        if (!indented) this.blocks.push((indented = { language: "", text: "", line: i + 1 }));
        indented.text += `${line.slice(inner)}\n`;
        blank = false;
        prose.push("");
        continue;
      }
      indented = null;
      const [, mark, language] = line.match(/^ *(`{3,}|~{3,}) *(\S*)/) ?? [];
      if (mark) {
        const block = { language, text: "", line: i + 1 };
        this.blocks.push(block);
        fence = { block, mark, indent };
        prose.push("");
      } else {
        const item = line.match(/^ *(?:[-*+]|\d+[.)]) +/);
        if (item) lists.push(item[0].length);
        prose.push(line);
      }
      blank = false;
    }
    for (const block of this.blocks) block.text = block.text.replace(/\n+$/, "\n");
    this.prose = prose.join("\n").replace(/<!--.*?-->/gs, (comment) => comment.replace(/[^\n]/g, ""));
  }

  // The one block that begins with this.
  block(start) {
    const found = this.blocks.filter(({ text }) => text.startsWith(start));
    if (found.length !== 1) throw new Error(`${found.length} blocks of ${this.name} begin with ${start}`);
    return found[0].text;
  }

  // The lines of its blocks that run this program (grpcurl, say), each with what stands below it until
  // an empty line or the next: [line, below].
  lines(program) {
    const all = [];
    for (const { text } of this.blocks) {
      let last = null;
      for (const line of text.split("\n")) {
        if (line.startsWith(`${program} `)) all.push((last = [line, ""]));
        else if (line === "") last = null;
        else if (last) last[1] += `${line}\n`;
      }
    }
    return all;
  }

  // What it links to: {to, line}, with links in code left out.
  get links() {
    const all = [];
    for (const [i, line] of this.prose.split("\n").entries()) {
      const bare = line.replace(/(`+)(?!`).*?(?<!`)\1(?!`)/g, (code) => "`".repeat(code.length));
      const found = [...bare.matchAll(/\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)/g), ...bare.matchAll(/^\[[^\]]+\]: +<?([^\s>]+)>?/g), ...bare.matchAll(/<([a-z]+:[^>\s]+)>/g), ...bare.matchAll(/(?:href|src)="([^"]+)"/g)];
      for (const [, to] of found) all.push({ to, line: i + 1 });
    }
    return all;
  }

  // Where links may lead in it: the slugs that GitHub gives its headings, and ids of its own.
  get anchors() {
    const all = new Set();
    const headings = this.prose.matchAll(/^(?:#{1,6} +(.*?)(?: +#+)?|(.+)\n(?:=+|-+)) *$/gm);
    for (const [, hashed, underlined] of headings) {
      const slug = (hashed ?? underlined).replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase().replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, "").replaceAll(" ", "-");
      let unique = slug;
      for (let n = 1; all.has(unique); n++) unique = `${slug}-${n}`;
      all.add(unique);
    }
    for (const [, id] of this.text.matchAll(/<a (?:id|name)="([^"]+)"/g)) all.add(id);
    return all;
  }

  // What stands in backticks in its prose: {text, line}.
  get code() {
    const all = [];
    for (const found of this.prose.matchAll(/(`+)(?!`)([^`](?:(?!\n\n).)*?)(?<!`)\1(?!`)/gs)) {
      all.push({ text: found[2].replace(/\s+/g, " "), line: this.prose.slice(0, found.index).split("\n").length });
    }
    return all;
  }
}
