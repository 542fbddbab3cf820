// Where fanoutd answers otherwise than the reference, on purpose. The names are
// those of the section "Differences from the reference" in docs/protocol.md,
// which has the reasons.

const some = (script, pattern) => script.some((frame) => typeof frame === "string" && pattern.test(frame));
const ends = (answer) => answer.at(-1) === "closed";

// asParsed is an answer as a JavaScript program would have written it again.
function asParsed(answer) {
  return answer.map((frame) => {
    const at = frame.indexOf("[");
    if (!frame.startsWith("42") || at < 0) return frame;
    return frame.slice(0, at) + JSON.stringify(JSON.parse(frame.slice(at)));
  });
}

export const differences = [
  {
    name: "a close packet ends a WebSocket",
    explains: (script, reference, ours) => some(script, /^1/) && ends(ours),
  },
  {
    name: "CONNECT and DISCONNECT have no id",
    explains: (script, reference, ours) => some(script, /^4[01](\/[^,]*,)?\d/) && ends(ours),
  },
  {
    name: "EVENT and ACK have arguments",
    explains: (script, reference, ours) => some(script, /^4[23](\/[^,]*,)?\d*$/) && ends(ours),
  },
  {
    name: "a blank is no number",
    explains: (script, reference, ours) => some(script, /^4\d? /) && ends(ours),
  },
  {
    name: "numbers come back as they were written",
    explains: (script, reference, ours) => JSON.stringify(asParsed(ours)) === JSON.stringify(reference),
  },
];
