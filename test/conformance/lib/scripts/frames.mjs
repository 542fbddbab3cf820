// Messages that most kinds of scripts are made from: what a client sends after
// the open packet, a Buffer being a binary one, and mutations of that, the same
// in every run.

const one = Buffer.from([1]);

export const written = [
  ["40"], ['40{"token":"t"}'], ["40/custom,"], ['40/custom,{"a":[1]}'], ["40/nowhere,"], ["40", "40"], ["40", "40/custom,", "41/custom,", '42["message",1]'],
  ["40", '42["message",1,"zwei",{"three":[true,null]}]'], ["40", '427["message-with-ack","a"]'], ["40", '42/custom,["message",1]'],
  ["40", '451-["message",{"_placeholder":true,"num":0}]', Buffer.from([1, 2, 3])],
  ["40", '4518-["message",{"_placeholder":true,"num":0}]', one],
  ["40", '452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', one, Buffer.from([2])],
  ["40", '451-1["message-with-ack",{"_placeholder":true,"num":0}]', Buffer.from([9])],
  ["40", "41"], ["40", "43"], ["40", "431[]"], ["40", '44{"message":"x"}'], ["40", "2"], ["40", "3"], ["40", "1"], ["40", "5"], ["40", "6"],
  ["40", "x"], ["40", "4"], ["40", "42"], ["40", "42[]"], ["40", "42{}"], ["40", '42["connect"]'], ["40", "42[1,2]"], ["40", "42[null]"], ["40", '42["message",'],
  ["40", one], ["40", '450-["message"]'], ["40", '4511-["message"]'], ["40", '45["message"]'],
  ["40", '451-["message",{"_placeholder":true,"num":1}]', one], ["40", '451-["message",{"_placeholder":true,"num":0}]', '42["message"]'],
  ["40", '42["message",1e400]'], ["40", '42["message","\\ud83d"]'], ["40", '42["message",-0]'], ["40", '42["message",{"b":1,"a":2}]'], ["40", '42["unheard",1]'],
  ["40", '42["message","€😀\\u2028\u2028"]'], ["40", '42["message",{"__proto__":{"a":1}}]'], ["40", '42["message",12345678901234567890]'],
  ["40", '42["message",{"a":1,"a":2}]'], ["40", '42["message","\\u0041\\/"]'], ["40", '42["message", 1 ]'],
  ["40", '451-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]', one], ["40", '451-["message"]', one],
  ["40", '451-["message",{"_placeholder":true,"num":0}]', one, one], ["40", '461-1[{"_placeholder":true,"num":0}]', one],
  ["40", '42["message",{"_placeholder":true,"num":0}]'], ["40", "bAQID"], ["40", "bA"], ["40", "b"], ["40", "b!"],
  ["40", "2probe"], ["40", "3probe"], ["40", "5probe"], ["40", "6x"], ["40", "0x"], ["40", "7"], ["40", "9"], ["40", ""],
  ["40", "41", "40", '42["message",1]'], ["40", "41", '42["message",1]'], ["40", "40/custom,", '42/custom,3["message-with-ack"]', "41", '42/custom,["message",2]'],
  ["40,"], ["40/"], ["40/,"], ["40/custom"], ["40[]"], ["401"], ["40null"], ['40"x"'], ["42"], ["41"], ["48"], ["4"], ["0"], ["1"], ["bAQID"], ["2"], ["2probe"], ["3"], ["5"], ["6"], ["x"], [""],
  ['42["message",1]'], ['431["a"]'], ["40/custom?token=t,"], ["40/nowhere?a=b"], ["40//,"], ["40/ü,"], [one],
];

// random returns a generator of numbers below n, the same for the same seed.
export function random(seed) {
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

// mutations returns n of them.
export function mutations(n, seed) {
  const next = random(seed);
  const all = [];
  while (all.length < n) {
    const messages = [...written[next(written.length)]];
    const i = next(messages.length);
    if (typeof messages[i] !== "string") continue;
    messages[i] = mutate(messages[i], next);
    all.push(messages);
  }
  return all;
}
