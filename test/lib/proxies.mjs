// The proxies of deploy/, each started with its example in front of two nodes.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import tls from "node:tls";
import { promisify } from "node:util";

import { certificate } from "./certificate.mjs";
import { freePorts, root } from "./daemon.mjs";
import { Program } from "./program.mjs";
import { until } from "./until.mjs";

const run = promisify(execFile);

// What a machine that runs the tests has to be told in each example: pairs of what stands
// there and what takes its place, each of which has to be found. The rest is run as it is.
const common = ({ dir }) => [["CERT.pem", path.join(dir, "CERT.pem")], ["KEY.pem", path.join(dir, "KEY.pem")]];
const addresses = ({ nodes }) =>
  nodes.flatMap(({ url, control }, i) => [[`FANOUTD_${i + 1}:8080`, new URL(url).host], [`FANOUTD_${i + 1}:8081`, control]]);
const port = (url) => new URL(url).port;

// Modules of Apache's, which Debian's own file loads one by one; the first are always there.
const modules = ("mpm_event authz_core proxy proxy_http proxy_wstunnel proxy_balancer lbmethod_byrequests slotmem_shm " +
  "socache_shmcb ssl http2 headers").split(" ");

export const proxies = {
  nginx: {
    file: "deploy/nginx/nginx.conf",
    programs: ["/usr/sbin/nginx"],
    replace: (p) => [...common(p), ...addresses(p), ["listen 443 ", `listen 127.0.0.1:${p.browsers} `], ["listen 8443 ", `listen 127.0.0.1:${p.grpc} `],
      ["worker_connections 65536", "worker_connections 512"], ["worker_rlimit_nofile 140000", "worker_rlimit_nofile 2048"], ["worker_shutdown_timeout 30s", "worker_shutdown_timeout 1s"]],
    args: ({ dir, config }) => ["-p", dir, "-c", config, "-e", "stderr", "-g", `daemon off; pid ${dir}/pid;`],
    check: ({ dir, config }) => ["-t", "-p", dir, "-c", config, "-g", `pid ${dir}/pid;`],
    reload: (p) => p.program.process.kill("SIGHUP"),
  },
  haproxy: {
    file: "deploy/haproxy/haproxy.cfg",
    programs: ["/usr/sbin/haproxy"],
    replace: (p) => [["CERT_AND_KEY.pem", path.join(p.dir, "CERT_AND_KEY.pem")],
      ...p.nodes.map(({ url, ops }, i) => [`FANOUTD_${i + 1}:8080 check port 8082`, `${new URL(url).host} check port ${port(ops)}`]),
      ...p.nodes.map(({ control }, i) => [`FANOUTD_${i + 1}:8081`, control]),
      ["bind :443", `bind 127.0.0.1:${p.browsers}`], ["bind :8443", `bind 127.0.0.1:${p.grpc}`],
      ["maxconn 65536", "maxconn 512"], ["hard-stop-after 30s", "hard-stop-after 1s"]],
    args: ({ config }) => ["-W", "-f", config],
    check: ({ config }) => ["-c", "-f", config],
    reload: (p) => p.program.process.kill("SIGUSR2"),
  },
  "haproxy over TCP": {
    file: "deploy/haproxy/haproxy-tcp.cfg",
    programs: ["/usr/sbin/haproxy"],
    withoutGRPC: "the example is for browsers",
    withoutHTTP2: true,
    flags: async () => ({ "proxy-protocol": "true", "cluster-forward-listen": `127.0.0.1:${(await freePorts(1))[0]}` }),
    replace: (p) => [["CERT_AND_KEY.pem", path.join(p.dir, "CERT_AND_KEY.pem")],
      ...p.nodes.map(({ url, ops }, i) => [`FANOUTD_${i + 1}:8080 send-proxy-v2-ssl check port 8082`, `${new URL(url).host} send-proxy-v2-ssl check port ${port(ops)}`]),
      ["bind :443 ", `bind 127.0.0.1:${p.browsers} `], ["maxconn 65536", "maxconn 512"], ["hard-stop-after 30s", "hard-stop-after 1s"]],
    args: ({ config }) => ["-W", "-f", config],
    check: ({ config }) => ["-c", "-f", config],
    reload: (p) => p.program.process.kill("SIGUSR2"),
  },
  caddy: {
    file: "deploy/caddy/Caddyfile",
    programs: ["/usr/bin/caddy"],
    // Names of its own would have Caddy ask a public authority for certificates.
    replace: (p) => [...addresses(p), ["admin localhost:2019", `admin localhost:${p.admin}\n\tauto_https disable_redirects\n\tskip_install_trust`],
      ["grace_period 30s", "grace_period 1s"],
      ["GRPC.EXAMPLE.COM {", `https://localhost:${p.grpc} {\n\ttls ${p.dir}/CERT.pem ${p.dir}/KEY.pem`],
      ["APP.EXAMPLE.COM {", `https://localhost:${p.browsers} {\n\ttls ${p.dir}/CERT.pem ${p.dir}/KEY.pem`]],
    args: ({ config }) => ["run", "--adapter", "caddyfile", "--config", config],
    check: ({ config }) => ["validate", "--adapter", "caddyfile", "--config", config],
    reload: (p) => run(p.path, ["reload", "--force", "--address", `localhost:${p.admin}`, "--adapter", "caddyfile", "--config", p.config], { env: p.env }),
  },
  apache: {
    file: "deploy/apache/fanoutd.conf",
    programs: ["/usr/sbin/apache2"],
    withoutGRPC: "mod_proxy_http2 is experimental",
    replace: (p) => [...common(p), ...p.nodes.map(({ url }, i) => [`FANOUTD_${i + 1}:8080`, new URL(url).host]),
      ["<VirtualHost *:443>", `<VirtualHost 127.0.0.1:${p.browsers}>`], ["APP.EXAMPLE.COM", "localhost"]],
    // What Debian's main file has around it.
    around: (p, text) => [`Listen 127.0.0.1:${p.browsers}`, `PidFile ${p.dir}/pid`, `ServerRoot ${p.dir}`, "ServerName localhost", 'ErrorLog "|/bin/cat"',
      `DefaultRuntimeDir ${p.dir}`, ...modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`), text].join("\n"),
    args: ({ config }) => ["-D", "FOREGROUND", "-f", config],
    check: ({ config }) => ["-t", "-f", config],
    reload: (p) => p.program.process.kill("SIGUSR1"),
  },
  envoy: {
    file: "deploy/envoy/envoy.yaml",
    programs: ["/usr/bin/envoy", "/usr/local/bin/envoy"],
    replace: (p) => [...common(p),
      ...p.nodes.flatMap(({ url, control, ops }, i) => [
        [`address: FANOUTD_${i + 1}, port_value: 8080}}\n                  health_check_config: {port_value: 8082}`,
          `address: 127.0.0.1, port_value: ${port(url)}}}\n                  health_check_config: {port_value: ${port(ops)}}`],
        [`address: FANOUTD_${i + 1}, port_value: 8081`, `address: 127.0.0.1, port_value: ${control.split(":")[1]}`],
      ]),
      ["address: 0.0.0.0, port_value: 443", `address: 127.0.0.1, port_value: ${p.browsers}`],
      ["address: 0.0.0.0, port_value: 8443", `address: 127.0.0.1, port_value: ${p.grpc}`]],
    args: (p) => ["--config-path", p.config, "--base-id", `${p.browsers}`, "--restart-epoch", `${p.epoch++}`, "--concurrency", "1",
      "--drain-time-s", "1", "--parent-shutdown-time-s", "2", "--log-level", "warning"],
    check: ({ config }) => ["--mode", "validate", "--config-path", config],
    // Its hot restart: the next process takes the listeners over, and ends the one before.
    reload: (p) => p.run(),
  },
};

// Where a proxy's program is on this machine, or undefined.
export const program = (name) => proxies[name].programs.find(existsSync);

// Proxy is one of them at work: .url for browsers, .control for backends' gRPC with TLS,
// .ca that signed for both.
export class Proxy {
  static async start(t, name, nodes) {
    const p = Object.assign(new Proxy(), proxies[name], { t, nodes, epoch: 0, path: program(name) });
    p.dir = await mkdtemp(path.join(os.tmpdir(), "fanoutd-proxy-"));
    t.after(() => rm(p.dir, { recursive: true, force: true, maxRetries: 5 }));
    p.ca = await certificate(p.dir);
    [p.browsers, p.grpc, p.admin] = await freePorts(3);
    p.url = `https://localhost:${p.browsers}`;
    p.control = `localhost:${p.grpc}`;
    p.env = { PATH: process.env.PATH, HOME: p.dir, XDG_CONFIG_HOME: p.dir, XDG_DATA_HOME: p.dir };
    p.config = path.join(p.dir, path.basename(p.file));
    await writeFile(p.config, await p.example());
    await run(p.path, p.check(p), { env: p.env, cwd: p.dir }).catch((err) => {
      throw new Error(`${name} refuses ${p.file}: ${err.stderr || err.message}`);
    });
    p.run();
    const ports = p.withoutGRPC ? [p.browsers] : [p.browsers, p.grpc];
    for (const port of ports) await until(() => p.listens(port), `${name} listens`);
    return p;
  }

  async example() {
    let text = await readFile(path.join(root, this.file), "utf8");
    for (const [from, to] of this.replace(this)) {
      if (!text.includes(from)) throw new Error(`${this.file} has no ${JSON.stringify(from)}`);
      text = text.replaceAll(from, to);
    }
    return this.around?.(this, text) ?? text;
  }

  run() {
    this.program = Program.start(this.t, this.path, this.args(this), { env: this.env, cwd: this.dir });
  }

  // Whether it greets by TLS at a port.
  async listens(port) {
    if (this.program.end) throw new Error(`it ended, ${JSON.stringify(this.program.end)}:\n${this.program.log}`);
    return new Promise((resolve) => {
      const socket = tls.connect({ port, host: "localhost", ca: this.ca }).on("error", () => resolve(false));
      socket.on("secureConnect", () => {
        socket.destroy();
        resolve(true);
      });
    });
  }
}
