// What the tests of the socket.io server import as the server: @fanoutd/socket.io, each server with a daemon of its own,
// which gets the server's options as flags, and ends with it.

const { spawn } = require("node:child_process");

const sdk = require("@fanoutd/socket.io");

const binary = process.env.DAEMON;
const daemons = new Set();
let port = 20_000 + Math.floor(Math.random() * 3_000) * 3;

function start(flags) {
  const [listen, control, ops] = [port, port + 1, port + 2].map((one) => `127.0.0.1:${one}`);
  port = port >= 31_900 ? 20_000 : port + 3;
  const settings = { listen, "control-listen": control, "ops-listen": ops, "log-level": "error", ...flags };
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("FANOUTD_")));
  const child = spawn(binary, Object.entries(settings).map(([name, value]) => `--${name}=${value}`), { env, stdio: "ignore" });
  child.unref();
  const daemon = {
    address: control,
    kill() {
      daemons.delete(daemon);
      child.kill("SIGKILL");
    },
  };
  daemons.add(daemon);
  return daemon;
}

process.on("exit", () => daemons.forEach((daemon) => daemon.kill()));

// Spare ones, started before they are needed: the tests count milliseconds.
const common = [{}, { transports: ["websocket"] }, { transports: ["polling"] }].map((options) => JSON.stringify(sdk.daemonFlags(options)));
const spare = new Map(common.map((flags) => [flags, [1, 2, 3].map(() => start(JSON.parse(flags)))]));

function take(flags) {
  const list = spare.get(JSON.stringify(flags));
  if (!list) return start(flags);
  list.push(start(flags));
  return list.shift();
}

class Server extends sdk.Server {
  attach(srv, options) {
    // The proxy knows the program's path.
    const { path: _, ...rest } = { ...options, ...this.opts };
    this.daemon = take(sdk.daemonFlags(rest));
    this.opts.fanoutd = { address: this.daemon.address, proxy: true };
    return super.attach(srv, options);
  }

  listen(srv, options) {
    return this.attach(srv, options);
  }

  close(fn) {
    this.daemon?.kill();
    this.engine?.releaseAll(); // here the end of the server is that of its sockets
    return super.close(fn);
  }
}

module.exports = (srv, options) => new Server(srv, options);
Object.assign(module.exports, { Server, Namespace: sdk.Namespace, Socket: sdk.Socket });
