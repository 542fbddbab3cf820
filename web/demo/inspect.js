// Prints an event's arguments as people read them: JSON for what is JSON,
// bytes as size, hex and text. The values come from anyone who may emit, so
// every dimension is bounded and the result is text for textContent, never
// markup.

// A value whose text is longer than this is broken up, unless asked otherwise.
const lineWidth = 64; // characters
// Past this many characters nobody reads on, and the page must stay quick.
const maxChars = 12_000;
const maxDepth = 32;
const maxBytesShown = 48;

// Returns a value as a list of {kind, text} tokens, in order, for lines of
// about that many characters. Kinds: key, string, number, literal, binary,
// plain, cut.
export function inspect(value, width = lineWidth) {
  const printer = new Printer(maxChars, width);
  printer.print(value, 0);
  return printer.tokens;
}

class Cut extends Error {}

class Printer {
  constructor(budget, width) {
    this.tokens = [];
    this.width = width;
    this.budget = budget; // characters left
  }

  print(value, indent) {
    try {
      this.value(value, indent);
    } catch (err) {
      if (!(err instanceof Cut)) throw err;
      this.tokens.push({ kind: "cut", text: " … the rest is not shown" });
    }
  }

  add(kind, text) {
    if (text.length > this.budget) {
      this.tokens.push({ kind, text: text.slice(0, this.budget) });
      this.budget = 0;
      throw new Cut();
    }
    this.budget -= text.length;
    this.tokens.push({ kind, text });
  }

  value(value, indent) {
    const flat = oneLine(value, this.width);
    if (flat) {
      for (const { kind, text } of flat) this.add(kind, text);
      return;
    }
    if (!isContainer(value)) {
      this.leaf(value);
      return;
    }
    if (indent >= maxDepth) {
      this.add("cut", "… deeper than shown");
      return;
    }
    const isList = Array.isArray(value);
    const entries = isList ? value.entries() : Object.entries(value);
    const margin = "  ".repeat(indent + 1);
    this.add("plain", isList ? "[" : "{");
    let first = true;
    for (const [key, item] of entries) {
      this.add("plain", `${first ? "" : ","}\n${margin}`);
      first = false;
      if (!isList) {
        this.add("key", JSON.stringify(key));
        this.add("plain", ": ");
      }
      this.value(item, indent + 1);
    }
    this.add("plain", `\n${"  ".repeat(indent)}${isList ? "]" : "}"}`);
  }

  leaf(value) {
    this.add(...leafToken(value, this.budget));
  }
}

// The tokens of a value that fits one line, or null. It gives up as soon as it
// does not fit, so the cost does not depend on the size of the value.
function oneLine(value, width) {
  const tokens = [];
  let left = width;
  const put = (kind, text) => {
    tokens.push({ kind, text });
    left -= text.length;
    return left >= 0;
  };
  const walk = (item, depth) => {
    if (!isContainer(item)) return put(...leafToken(item, width + 1));
    if (depth > 3) return false; // nested deeper, one line is no help
    const isList = Array.isArray(item);
    if (!put("plain", isList ? "[" : "{")) return false;
    let first = true;
    for (const key in item) {
      if (!first && !put("plain", ", ")) return false;
      first = false;
      if (!isList && !(put("key", JSON.stringify(key.slice(0, width))) && put("plain", ": "))) return false;
      if (!walk(item[key], depth + 1)) return false;
    }
    return put("plain", isList ? "]" : "}");
  };
  return walk(value, 0) ? tokens : null;
}

function isContainer(value) {
  return typeof value === "object" && value !== null && bytesOf(value) === null && !isBlob(value);
}

// The [kind, text] of anything that holds no other values. A string is cut
// before it is quoted: it may have megabytes.
function leafToken(value, room) {
  switch (typeof value) {
    case "string":
      return ["string", JSON.stringify(value.length > room ? value.slice(0, room + 1) : value)];
    case "number":
      return ["number", String(value)];
    case "object": {
      const bytes = bytesOf(value);
      if (bytes) return ["binary", describeBytes(bytes)];
      if (isBlob(value)) return ["binary", `<${count(value.size, "byte")}>`];
    }
  }
  return ["literal", String(value)];
}

function isBlob(value) {
  return typeof Blob !== "undefined" && value instanceof Blob;
}

function bytesOf(value) {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return null;
}

// "<5 bytes 68 65 6c 6c 6f "hello">", the text only if it is printable.
function describeBytes(bytes) {
  const shown = bytes.subarray(0, maxBytesShown);
  const hex = Array.from(shown, (b) => b.toString(16).padStart(2, "0")).join(" ");
  const more = bytes.length > shown.length ? " …" : "";
  const printable = shown.length > 0 && shown.every((b) => b >= 0x20 && b < 0x7f);
  const text = printable ? ` "${String.fromCharCode(...shown)}"` : "";
  return `<${count(bytes.length, "byte")}${hex && " "}${hex}${text}${more}>`;
}

export function count(n, noun) {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}
