// What the differential run says to both servers: hand-written scripts, and
// mutations of them, the same in every run.

// A script is the frames a client sends after the open packet; a Buffer is a
// binary frame.
const written = [
  ["40"], ['40{"token":"t"}'], ["40/custom,"], ['40/custom,{"a":[1]}'], ["40/nowhere,"], ["40", "40"], ["40", "40/custom,", "41/custom,", '42["message",1]'],
  ["40", '42["message",1,"zwei",{"three":[true,null]}]'], ["40", '427["message-with-ack","a"]'], ["40", '42/custom,["message",1]'],
  ["40", '451-["message",{"_placeholder":true,"num":0}]', Buffer.from([1, 2, 3])],
  ["40", '4518-["message",{"_placeholder":true,"num":0}]', Buffer.from([1])],
  ["40", '452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', Buffer.from([1]), Buffer.from([2])],
  ["40", '451-1["message-with-ack",{"_placeholder":true,"num":0}]', Buffer.from([9])],
  ["40", "41"], ["40", "43"], ["40", "431[]"], ["40", '44{"message":"x"}'], ["40", "2"], ["40", "3"], ["40", "1"], ["40", "5"], ["40", "6"],
  ["40", "x"], ["40", "4"], ["40", "42"], ["40", "42[]"], ["40", "42{}"], ["40", '42["connect"]'], ["40", "42[1,2]"], ["40", "42[null]"], ["40", '42["message",'],
  ["40", Buffer.from([1])], ["40", '450-["message"]'], ["40", '4511-["message"]'], ["40", '45["message"]'],
  ["40", '451-["message",{"_placeholder":true,"num":1}]', Buffer.from([1])], ["40", '451-["message",{"_placeholder":true,"num":0}]', '42["message"]'],
  ["40", '42["message",1e400]'], ["40", '42["message","\\ud83d"]'], ["40", '42["message",-0]'], ["40", '42["message",{"b":1,"a":2}]'], ["40", '42["unheard",1]'],
  ["40,"], ["40/"], ["40/,"], ["40/custom"], ["40[]"], ["401"], ["40null"], ['40"x"'], ["42"], ["41"], ["48"], ["4"], ["0"], ["1"], ["bAQID"], ["40", "bAQID"],
];

// random returns a generator of numbers below n, the same for the same seed.
function random(seed) {
  let x = seed;
  return (n) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % n;
  };
}

const alphabet = '0123456789-,/[]{}":_ab\\ ';

function mutate(text, next) {
  const at = next(text.length + 1);
  const c = alphabet[next(alphabet.length)];
  switch (next(3)) {
    case 0:
      return text.slice(0, at) + text.slice(at + 1);
    case 1:
      return text.slice(0, at) + c + text.slice(at);
    default:
      return text.slice(0, at) + c + text.slice(at + 1);
  }
}

// scripts returns the written ones and n mutations.
export function scripts(n) {
  const next = random(2026);
  const all = [...written];
  while (all.length < written.length + n) {
    const script = [...written[next(written.length)]];
    const i = next(script.length);
    if (typeof script[i] !== "string") continue;
    script[i] = mutate(script[i], next);
    all.push(script);
  }
  return all;
}
