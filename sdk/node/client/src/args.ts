import type { JsonValue } from "./json.js";

/** Arguments as requests and events carry them: the text of a JSON array, and what is binary beside it. */
export interface EncodedArgs {
  /** A JSON array in which `{"_placeholder":true,"num":n}` stands for `attachments[n]`. */
  argsJson: string;
  attachments: Buffer[];
}

/** What an argument may be: anything that JSON can say, with binary values anywhere in it. */
export type Arg = unknown;

/** Encodes arguments. Values that JSON does not know become null, as JSON.stringify has it; a bigint or a cycle throws. */
export function encodeArgs(args: readonly Arg[]): EncodedArgs {
  const attachments: Buffer[] = [];
  const whole = hasBinary(args, 0) ? takeBinary(args, attachments) : args;
  return { argsJson: JSON.stringify(whole), attachments };
}

/** Decodes arguments. Binary values are Buffers. */
export function decodeArgs(argsJson: string, attachments: readonly Uint8Array[] = []): JsonValue[] {
  if (argsJson === "" || argsJson === "[]") return [];
  const args = JSON.parse(argsJson) as JsonValue[];
  if (attachments.length > 0) putBinary(args, attachments);
  return args;
}

function isBinary(value: object): value is ArrayBuffer | ArrayBufferView {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer;
}

// A cycle ends here, and is an error of JSON.stringify.
const maxDepth = 1000;

function hasBinary(value: unknown, depth: number): boolean {
  if (value === null || typeof value !== "object" || depth > maxDepth) return false;
  if (isBinary(value)) return true;
  if (Array.isArray(value)) {
    for (const item of value) if (hasBinary(item, depth + 1)) return true;
    return false;
  }
  if (hasToJson(value)) return hasBinary(value.toJSON(), depth + 1);
  for (const key in value) {
    if (Object.hasOwn(value, key) && hasBinary((value as Record<string, unknown>)[key], depth + 1)) return true;
  }
  return false;
}

function hasToJson(value: object): value is { toJSON(): unknown } {
  return typeof (value as { toJSON?: unknown }).toJSON === "function";
}

function takeBinary(value: unknown, attachments: Buffer[]): unknown {
  if (value === null || typeof value !== "object") return value;
  if (isBinary(value)) {
    const num = attachments.push(asBuffer(value)) - 1;
    return { _placeholder: true, num };
  }
  if (Array.isArray(value)) return value.map((item) => takeBinary(item, attachments));
  if (hasToJson(value)) return takeBinary(value.toJSON(), attachments);
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value)) copy[key] = takeBinary((value as Record<string, unknown>)[key], attachments);
  return copy;
}

function asBuffer(value: ArrayBuffer | ArrayBufferView): Buffer {
  if (Buffer.isBuffer(value)) return value;
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return Buffer.from(value);
}

// Browsers may nest values as deep as a message is long, so this is no recursion.
function putBinary(args: unknown[], attachments: readonly Uint8Array[]): void {
  const inside: object[] = [args];
  for (let value = inside.pop(); value !== undefined; value = inside.pop()) {
    const members = value as Record<string, unknown>;
    for (const key of Object.keys(members)) {
      const member = members[key];
      if (member === null || typeof member !== "object") continue;
      const attachment = attachmentOf(member, attachments);
      if (attachment) members[key] = attachment;
      else inside.push(member);
    }
  }
}

// What a placeholder stands for.
function attachmentOf(value: { _placeholder?: unknown; num?: unknown }, attachments: readonly Uint8Array[]): Buffer | undefined {
  if (value._placeholder !== true || typeof value.num !== "number") return undefined;
  const attachment = attachments[value.num];
  return attachment && asBuffer(attachment);
}
