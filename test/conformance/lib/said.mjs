// What a step of a script says, whichever way: packets of Engine.IO as text,
// binary ones as <hexadecimal>.

import { parse } from "node:querystring";

const latin = (data) => (typeof data === "string" ? data : data.toString("utf8"));

// lengths takes a text payload of v3 apart, as far as it is one.
function lengths(text) {
  const all = [];
  for (let rest = text; rest; ) {
    const head = /^(\d+):/.exec(rest);
    if (!head) return [...all, `rest ${rest}`];
    all.push(rest.slice(head[0].length, head[0].length + Number(head[1])));
    rest = rest.slice(head[0].length + Number(head[1]));
  }
  return all;
}

// bytes takes a payload of bytes of v3 apart, as far as it is one.
function bytes(body) {
  const all = [];
  for (let rest = Buffer.from(body); rest.length > 0; ) {
    const end = rest.indexOf(255);
    const length = Number([...rest.subarray(1, end)].join(""));
    if (end < 2 || !(length < rest.length - end)) return [...all, `rest ${rest.toString("hex")}`];
    const data = rest.subarray(end + 1, end + 1 + length);
    all.push(rest[0] === 0 ? data.toString() : `<${data.toString("hex")}>`);
    rest = rest.subarray(end + 1 + length);
  }
  return all;
}

const ofFrames = (frames) => frames.map(({ opcode, payload }) => (opcode < 2 ? latin(payload) : `${opcode === 2 ? "" : `frame ${opcode} `}<${payload.toString("hex")}>`));

// said returns them; old is whether the step is of a client of v3.
export function said(step, old) {
  switch (step.do) {
    case "send":
    case "offer":
      if (step.frames) return ofFrames(step.frames);
      return [typeof step.message === "string" ? step.message : `<${step.message.toString("hex")}>`];
    case "connect":
    case "raw":
      return ofFrames(step.frames ?? []);
    case "request": {
      if (step.method !== "POST") return [];
      if (step.headers?.["Content-Type"] === "application/octet-stream" && old) return bytes(step.body);
      let text = latin(step.body ?? "");
      if (text.startsWith("d=")) text = String(parse(text).d);
      return old ? lengths(text) : text.split("\x1e");
    }
  }
  return [];
}
