// What is printed of a Go package whose time was up.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Dump, timedOut } from "./lib/go-dump.mjs";

const dump = `panic: test timed out after 20m0s
	running tests:
		TestHang (19m58s)
		TestHang/seed_1 (3s)

goroutine 7 [chan receive, 19 minutes]:
testing.(*T).Run(0xc00, {0x5, 0x3}, 0x4)
	/go/testing.go:2109 +0x4e5

goroutine 8 [sync.Mutex.Lock, synctest bubble 3]:
main.(*conn).exclusively(0xc01, 0x2?)
	/src/conn.go:18 +0x6d
created by main.run in goroutine 6
	/src/conn.go:7 +0x1

goroutine 90 [select (durable), 2 minutes, synctest bubble 3]:
main.wait(...)
	/src/wait.go:5 +0x6d

goroutine 91 [select (durable), synctest bubble 3]:
main.wait(...)
	/src/wait.go:5 +0x6d
`;

function read(text) {
  const d = new Dump();
  for (const line of text.split(/(?<=\n)/)) d.add(line);
  return d;
}

test("a dump names the tests that ran, and counts the goroutines that are alike", () => {
  assert.match(dump, timedOut);
  assert.deepEqual(read(dump).running, ["TestHang (19m58s)", "TestHang/seed_1 (3s)"]);
  assert.equal(
    read(dump).summary(10_000),
    `timed out: TestHang (19m58s), TestHang/seed_1 (3s)

1 x [chan receive]
  testing.(*T).Run
  	/go/testing.go:2109

1 x [sync.Mutex.Lock, synctest bubble 3]
  main.(*conn).exclusively
  	/src/conn.go:18
  created by main.run
  	/src/conn.go:7

2 x [select (durable), synctest bubble 3]
  main.wait
  	/src/wait.go:5
`,
  );
});

test("a dump is bounded, and says what is left out", () => {
  const text = read(dump).summary(200);
  assert.match(text, /1 x \[chan receive\]/);
  assert.match(text, /\n2 kinds of goroutines more$/);
});
