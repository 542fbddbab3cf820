// Counts outcomes of all kinds of tests and prints them in one voice.

export class Tally {
  passed = 0;
  failures = [];
  skips = [];

  pass(name, ms) {
    this.passed++;
    console.log(`ok    ${name} (${(ms / 1000).toFixed(2)} s)`);
  }

  fail(name, reason) {
    this.failures.push(name);
    console.log(`FAIL  ${name}\n${indent(reason)}`);
  }

  skip(name, reason) {
    this.skips.push([name, reason]);
    console.log(`skip  ${name}: ${reason}`);
  }

  get failed() {
    return this.failures.length;
  }

  // The last line is the sum.
  print() {
    console.log();
    for (const [name, reason] of this.skips) console.log(`skipped: ${name}: ${reason}`);
    for (const name of this.failures) console.log(`failed: ${name}`);
    console.log(`${this.passed} passed, ${this.failed} failed, ${this.skips.length} skipped`);
  }
}

function indent(text) {
  return String(text)
    .trimEnd()
    .replace(/^/gm, "      ");
}
