// The clients there are: how each is installed, in a folder of its own, and
// started; and what it cannot do, whatever the server.

import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const here = path.dirname(fileURLToPath(import.meta.url));

// The version that a file pins, which is the one that is installed.
const pinned = (file, pattern) => readFileSync(path.join(here, file), "utf8").match(pattern)[1];
const npmVersion = (name) => JSON.parse(readFileSync(path.join(here, "node/package-lock.json"))).packages[`node_modules/${name}`].version;

// needs: the tool whose absence is no failure. pins: a change of these installs
// anew. install: the commands that do. lacks: what does not work for a reason of
// the client's own, by check, or transport and check; without: by transport. All
// of that was seen with the npm server too.
const node = {
  dir: "node",
  needs: "npm",
  pins: ["package.json", "package-lock.json"],
  install: [["npm", "ci", "--no-fund", "--no-audit"]],
};
const npm = (name, title, ...parser) => ({
  ...node,
  title,
  version: [name, ...parser].map(npmVersion).join(" + "),
  start: [process.execPath, "client.mjs", name, ...parser],
});

const python = {
  dir: "python",
  needs: "python3",
  pins: ["requirements.txt"],
  install: [
    ["python3", "-m", "venv", "--clear", ".venv"],
    [".venv/bin/python", "-m", "pip", "install", "--quiet", "--requirement", "requirements.txt"],
  ],
  version: pinned("python/requirements.txt", /^python-socketio==(.*)$/m),
  lacks: {
    "polling: bursts": "takes 16 packets of one poll at most, and starts a new session on more",
    "polling: comes back": "takes a close packet for the end of it all; a WebSocket's end is none",
  },
};

const mavenCopy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";

export const clients = [
  npm("socket.io-client-4", "socket.io-client (npm)"),
  npm("socket.io-client-4", "socket.io-client and -msgpack-parser (npm)", "socket.io-msgpack-parser"),
  npm("socket.io-client-3", "socket.io-client (npm)"),
  npm("socket.io-client-2", "socket.io-client (npm), EIO3"),
  { ...python, title: "python-socketio Client", start: [".venv/bin/python", "client.py"] },
  { ...python, title: "python-socketio AsyncClient", start: [".venv/bin/python", "client_async.py"] },
  {
    title: "socket.io-client (Java)",
    dir: "java",
    needs: "mvn",
    pins: ["pom.xml", "Client.java"],
    install: [
      ["mvn", "--batch-mode", "--quiet", `${mavenCopy}:copy-dependencies`, "-DoutputDirectory=target/lib"],
      ["javac", "-cp", "target/lib/*", "-d", "target/classes", "Client.java"],
    ],
    version: pinned("java/pom.xml", /socket.io-client<\/artifactId>\s*<version>(.*)<\/version>/),
    start: ["java", "-cp", "target/classes:target/lib/*", "Client"],
  },
  {
    title: "rust_socketio",
    dir: "rust",
    needs: "cargo",
    pins: ["Cargo.toml", "Cargo.lock", "src/main.rs"],
    install: [["cargo", "build", "--quiet", "--locked"]],
    version: pinned("rust/Cargo.lock", /^name = "rust_socketio"\nversion = "(.*)"$/m),
    start: ["target/debug/interop"],
    lacks: {
      "websocket: binary": "drops its connection at a binary message of a WebSocket",
      "upgrade: binary": "drops its connection at a binary message of a WebSocket",
      "mixed binary": "one binary argument, and nothing beside it",
      "binary acks": "its handlers have no callback",
      "answers us": "its handlers have no callback",
      "polling: comes back": "takes a close packet for the end of it all; a WebSocket's end is none",
    },
  },
  {
    title: "zishang520/socket.io (Go)",
    dir: "go",
    needs: "go",
    pins: ["go.mod", "go.sum", "main.go"],
    install: [["go", "build", "-o", "target/client", "."]],
    version: pinned("go/go.mod", /clients\/socket\/v3 v(.*)$/m),
    start: ["target/client"],
    without: { polling: "its sender stalls when it has several packets at once" },
  },
];

// Clients for languages that no program is written in here, and the tool whose
// presence would make one worth writing.
export const others = [
  ["socket.io-client-swift", "swift"],
  ["socket_io_client (Dart)", "dart"],
  ["SocketIOClient (.NET)", "dotnet"],
];
