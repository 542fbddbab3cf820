// Endpoints that the daemon calls by HTTP.

import { execFile } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

import { freePorts } from "./daemon.mjs";

const run = promisify(execFile);

// PHP, or why there is none.
export async function php() {
  try {
    await run("php", ["--version"], { timeout: 60_000 });
    return { program: "php" };
  } catch (err) {
    return { why: `PHP is not to be had here: ${err.code === "ENOENT" ? "there is no php" : err.message}` };
  }
}

// Webhook is where a program listens for one test, with the settings of a daemon that calls
// it, and what the program takes from its environment.
export class Webhook {
  static async at(t, group) {
    const webhook = new Webhook();
    const dir = await mkdtemp(path.join(os.tmpdir(), "fanoutd-webhook-"));
    t.after(() => rm(dir, { recursive: true }));
    const [port] = await freePorts(1);
    const file = path.join(dir, "secret");
    webhook.secret = randomBytes(32);
    await writeFile(file, `${webhook.secret.toString("base64")}\n`);
    webhook.port = String(port);
    webhook.url = `http://127.0.0.1:${port}/`;
    webhook.env = { SECRET_FILE: file, STATE_FILE: path.join(dir, "state") };
    webhook.flags = { "webhook-url": webhook.url, "webhook-group": group, "webhook-lifecycle": true, "webhook-secret-file": file };
    return webhook;
  }

  // The headers of a request with this body, sent at this time in seconds, signed by a secret.
  headers(body, { at = Math.floor(Date.now() / 1000), secret = this.secret } = {}) {
    const id = "e.1";
    const signature = createHmac("sha256", secret).update(`${id}.${at}.${body}`).digest("base64");
    return { "content-type": "application/json", "webhook-id": id, "webhook-timestamp": String(at), "webhook-signature": `v1,${signature}` };
  }
}
