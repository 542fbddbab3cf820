// Runs the Go tests and reads what "go test -json" says (cmd/test2json).

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

import { binary } from "./daemon.mjs";
import { Dump, timedOut } from "./go-dump.mjs";

// What is kept of one test's output, for the case that it fails.
const maxOutput = 64 << 10; // characters

// The package that takes longest begins first, so that the others run beside it. Its
// tests run the daemon that was built, like those in other languages.
const packages = ["./test", "./..."];

export async function goTests(root, tally) {
  const { CLUSTER: _, ...env } = process.env; // of the tests beside these; the race detector wants cgo
  const child = spawn("go", ["test", "-race", "-timeout=20m", "-json", ...packages], { cwd: root, env: { DAEMON: binary, ...env, CGO_ENABLED: "1" }, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  const reader = new Reader(tally);
  for await (const text of createInterface({ input: child.stdout })) reader.line(text);
  const code = await ended;
  if (code !== 0 && reader.failed.size === 0) tally.fail("go test", `it ended with ${code}`);
}

class Reader {
  constructor(tally) {
    this.tally = tally;
    this.output = new Map(); // by package and test
    this.parents = new Set(); // tests that have subtests
    this.failed = new Set(); // tests below which something failed, and packages
    this.counts = new Map(); // by package: tests that passed
    this.dumps = new Map(); // by package and test: what is printed since its time was up
  }

  line(text) {
    let event;
    try {
      event = JSON.parse(text);
    } catch {
      console.log(text);
      return;
    }
    const { Action: action, Test: test, Elapsed: seconds } = event;
    const pkg = (event.Package ?? event.ImportPath ?? "").replace(/^github\.com\/fanoutd\/fanoutd\//, "");
    const key = `${pkg} ${test ?? ""}`;
    switch (action) {
      case "output":
      case "build-output":
        if (timedOut.test(event.Output)) this.dumps.set(key, new Dump());
        this.dumps.get(key)?.add(event.Output);
        this.output.set(key, ((this.output.get(key) ?? "") + event.Output).slice(-maxOutput));
        return;
      case "run":
        for (const above of ancestors(test)) this.parents.add(`${pkg} ${above}`);
        return;
      case "pass":
      case "fail":
      case "skip":
        if (test === undefined) this.endPackage(pkg, action, seconds ?? 0);
        else this.endTest(pkg, test, key, action);
    }
  }

  endTest(pkg, test, key, action) {
    const output = this.output.get(key) ?? "";
    this.output.delete(key);
    // A parent says nothing of its own, unless it fails by itself.
    const alone = !this.parents.has(key) || (action === "fail" && !this.failed.has(key));
    if (action === "fail") {
      for (const above of ancestors(test)) this.failed.add(`${pkg} ${above}`);
      this.failed.add(pkg);
    }
    if (!alone) return;
    const name = `${pkg}: ${test}`;
    if (action === "pass") this.counts.set(pkg, (this.counts.get(pkg) ?? 0) + 1);
    else if (action === "skip") this.tally.skip(name, skipReason(output));
    else this.tally.fail(name, output);
  }

  endPackage(pkg, action, seconds) {
    const passed = this.counts.get(pkg) ?? 0;
    this.tally.passed += passed;
    const of = (all, prefix) => [...all].filter(([key]) => key.startsWith(prefix)).map(([, value]) => value);
    const dumps = of(this.dumps, `${pkg} `);
    if (dumps.length > 0) {
      const running = dumps.flatMap((dump) => dump.running);
      this.failed.add(pkg);
      this.tally.fail(`${pkg}: timed out: ${running.join(", ")}`, dumps.map((dump) => dump.summary(maxOutput)).join("\n"));
    } else if (action === "fail" && !this.failed.has(pkg)) {
      // It did not build, or ended outside its tests.
      this.failed.add(pkg);
      this.tally.fail(pkg, of(this.output, pkg).join(""));
    } else if (action !== "skip") {
      console.log(`${action === "pass" ? "ok  " : "FAIL"}  ${pkg}: ${passed} passed (${seconds.toFixed(2)} s)`);
    }
  }
}

// "A/b/c" lies below "A" and "A/b".
function ancestors(test) {
  const parts = test.split("/");
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join("/"));
}

// Of "=== RUN …", "    x_test.go:1: the reason" and "--- SKIP: …" the middle.
function skipReason(output) {
  const said = output.match(/^\s+\S+\.go:\d+: (.*)$/m);
  return said ? said[1] : output.trim();
}
