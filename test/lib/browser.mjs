// A real browser, headless.

import { accessSync, constants } from "node:fs";
import path from "node:path";

import { chromium } from "playwright-core";

import { root } from "./daemon.mjs";

// Where screenshots go.
export const artifacts = path.join(root, "artifacts");

const executable = findChromium();
// Why tests that need a browser are skipped; false if they are not.
export const skip = executable ? false : "no chromium is installed: looked for $CHROMIUM, chromium, chromium-browser and google-chrome on the PATH";

function findChromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const dirs = (process.env.PATH ?? "").split(path.delimiter);
  const candidates = ["chromium", "chromium-browser", "google-chrome"].flatMap((name) => dirs.map((dir) => path.join(dir, name)));
  return candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

// One browser for one test, with nothing but loopback to talk to, and more flags.
export async function browser(t, flags = []) {
  const it = await chromium.launch({
    executablePath: executable,
    args: [
      "--no-sandbox", // CI runs as root
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...flags,
    ],
  });
  t.after(() => it.close());
  return it;
}

// Opens the page and waits until it is connected. What the console or the page
// complains about, a breach of its content security policy too, fails the test
// by the list it returns.
export async function openTab(context, daemon) {
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (err) => complaints.push(String(err)));
  await page.goto(daemon.url);
  await page.locator('#state[data-state="connected"]').waitFor();
  await page.locator("#transport .is", { hasText: "websocket" }).waitFor();
  return { page, complaints };
}
