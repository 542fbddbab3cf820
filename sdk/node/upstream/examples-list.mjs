// The examples of the socket.io server that examples.mjs runs: where each is, what is changed in it, what it needs, and who
// uses it how.

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";

import { skip as noBrowser } from "../../../test/lib/browser.mjs";
import { freePorts } from "../../../test/lib/daemon.mjs";
import { until } from "../../../test/lib/until.mjs";
import { crud, privateMessages, tweets } from "./examples-clients.mjs";
import { chat, passport, passportJwt, recovery, session, whiteboard } from "./examples-pages.mjs";

const fanoutd = ({ daemon }) => `fanoutd: { address: "${daemon}", proxy: true }`;

// What is changed: [file, what it says, what it is to say].
const imported = (file, before = '"socket.io"') => [file, before, () => before.replace("socket.io", "@fanoutd/socket.io")];
const served = (file, args) => [file, args, (addresses) => `${args.slice(0, -1)}, { ${fanoutd(addresses)} })`];
const options = (file, begin) => [file, begin, (addresses) => `${begin} ${fanoutd(addresses)},`];
const listens = (file) => [file, "listen(3000)", ({ port }) => `listen(${port})`];

const inTabs = "its pages in Chromium";
const byClients = (why) => `its server, with stock clients that do what its page does, as ${why}`;
// The same program as CommonJS, as an ES module and in TypeScript.
function variants({ dir, changes, modules = ["cjs", "esm", "ts"], ...rest }) {
  return modules.map((module) => {
    const compiled = module === "ts" && { compile: "ts", how: `${inTabs}; its types are checked` };
    return {
      title: `${dir} (${module})`,
      dir,
      program: `${module}/index.js`,
      changes: changes(`${module}/index.${compiled ? "ts" : "js"}`),
      how: inTabs,
      lacks: () => noBrowser,
      ...compiled,
      ...rest,
    };
  });
}

export const examples = [
  {
    title: "chat",
    dir: "chat",
    program: "index.js",
    changes: [imported("index.js", "require('socket.io')"), served("index.js", "(server)")],
    how: `${inTabs}, with jQuery 1.12.4`,
    lacks: () => noBrowser,
    use: chat,
  },
  {
    title: "whiteboard",
    dir: "whiteboard",
    program: "index.js",
    changes: [imported("index.js", "require('socket.io')"), served("index.js", "(http)")],
    how: inTabs,
    lacks: () => noBrowser,
    use: whiteboard,
  },
  {
    title: "private-messaging",
    dir: "private-messaging",
    program: "server/cluster.js",
    changes: [
      imported("server/index.js"),
      options("server/index.js", '(httpServer, {'),
      ["server/index.js", "new Redis()", ({ redis }) => `new Redis(${redis})`],
    ],
    options: { cors: { origin: "http://localhost:8080" } },
    needs: redis,
    warns: /FanoutdWarning: adapter: /,
    how: byClients("that wants a build; four processes with its Redis adapter"),
    lacks: () => spawnSync("redis-server", ["--version"]).error && "no redis-server on this machine",
    use: privateMessages,
  },
  {
    title: "basic-crud-application",
    dir: "basic-crud-application",
    compile: "server",
    program: "server/dist/server/lib/index.js",
    changes: [
      imported("server/lib/app.ts"),
      ["server/lib/index.ts", "cors: {", (addresses) => `${fanoutd(addresses)}, cors: {`],
      listens("server/lib/index.ts"),
    ],
    options: { cors: { origin: ["http://localhost:4200"] } },
    how: `${byClients("that wants a build")}; its types are checked`,
    use: crud,
  },
  {
    title: "tweet-stream",
    dir: "tweet-stream",
    program: "index.js",
    changes: [imported("index.js", "require('socket.io')"), options("index.js", "|| 3000, {")],
    options: { cors: { origin: true } },
    needs: twitter,
    how: "its server, with stock clients, as it has no page; a stand-in tweets, as Twitter's stream is no more",
    use: tweets,
  },
  ...variants({
    dir: "connection-state-recovery-example",
    modules: ["cjs", "esm"],
    changes: (file) => [imported(file), options(file, "(httpServer, {"), listens(file)],
    options: { connectionStateRecovery: { maxDisconnectionDuration: 120_000 } },
    use: recovery,
  }),
  ...variants({
    dir: "express-session-example",
    changes: (file) => [imported(file), served(file, "(httpServer)")],
    flags: { "expose-cookies": "connect.sid" },
    use: session,
  }),
  ...variants({
    dir: "passport-example",
    changes: (file) => [imported(file), served(file, "(httpServer)")],
    flags: { "expose-cookies": "connect.sid" },
    use: passport,
  }),
  ...variants({
    dir: "passport-jwt-example",
    changes: (file) => [imported(file), served(file, "(httpServer)")],
    flags: { "expose-headers": "authorization" },
    use: passportJwt,
  }),
];

// Starts a Redis of its own.
async function redis(t) {
  const [port] = await freePorts(1);
  const child = spawn("redis-server", ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], { stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  await until(() => reached(port), "Redis listens");
  return { redis: port };
}

// Whether somebody listens at the port.
export function reached(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

// Puts a stand-in in the place of what reads Twitter's stream, which is no more: it tweets at each SIGUSR2.
function twitter(_, dir) {
  const its = path.join(dir, "node_modules/node-tweet-stream");
  mkdirSync(its, { recursive: true });
  writeFileSync(
    path.join(its, "index.js"),
    `module.exports = class extends require("node:events") {
      tracked = [];
      track(word) {
        if (this.tracked.push(word) > 1) return;
        let tweets = 0;
        process.on("SIGUSR2", () => this.emit("tweet", { n: ++tweets, about: this.tracked }));
      }
    };`,
  );
}
