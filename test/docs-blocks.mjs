// Which test runs each block of code of each page, or why none does.
//
// To add a page, or a block to one: write a row for the block, begun by its first words, as far
// as no other block of the page begins likewise. Then
//
//     ran("test/x.test.mjs", "the title of the test")
//
// names the test that runs it. The test reads the block with page("docs/x.md") of test/lib/docs.mjs
// (block(), lines()), so that what is run is what stands there; one in Go or Python reads the
// page itself. Where no test can, not("…") says why in a sentence. A test of a few seconds that
// needs only a daemon belongs into test/docs-pages.test.mjs. "make docs-test" checks all of it.

const row = (begins) => ({
  ran: (file, ...titles) => ({ begins, by: titles.map((title) => [file, title]) }),
  not: (why) => ({ begins, not: why }),
});

const drawing = "a drawing, of which nothing can be run";

export const rows = {
  "ARCHITECTURE.md": [
    row("7  cmd/fanoutd").not("a list of the packages; the linter holds their arrows, by .golangci.yml"),
    row("Session.in ->").not("the order of some locks; internal/LOCKS.md has all, and is tested"),
  ],
  "README.md": [
    row("browsers ──").not(drawing),
    row("make run").ran("test/readme.test.mjs", "what make run serves is where it says"),
    row("grpcurl -plaintext -d").ran("test/readme.test.mjs", "the lines, pasted in their order: each changes both tabs, or shows something"),
    row("grpcurl -plaintext localhost").ran("test/readme.test.mjs", "the lines, pasted in their order: each changes both tabs, or shows something"),
    row("curl --json").ran("test/readme.test.mjs", "the lines, pasted in their order: each changes both tabs, or shows something"),
    row("bin/fanoutd emit").ran("test/command-line.test.mjs", "the lines of the README"),
    row("<script src=").ran("test/readme.test.mjs", "the page"),
    row("daemon, err := backend.Dial").ran("test/readme.test.mjs", "the backend in Go"),
    row("make test").not("it is what runs these tests"),
  ],
  "docs/backends.md": [
    row("grpcurl -plaintext -d '{}' localhost:8081 fanout.v1.EventService/Tail").ran("test/grpcurl.test.mjs", "the lines for those who write backends that go on"),
    row("grpcurl -cacert ca.pem").ran("test/grpcurl.test.mjs", "the lines for those who write backends that go on"),
    row("grpcurl -plaintext -d @").ran("test/grpcurl.test.mjs", "a consumer by hand says what docs/backends.md shows"),
    row("you                                   fanoutd\nopen {group, lifecycle").not(drawing),
    row("you                                                     fanoutd\ncommand {1").not(drawing),
    row("grpcurl -plaintext -d '{\"to\":{\"all\":true},\"event\":\"price\"").ran("test/grpcurl.test.mjs", "the lines for those who write backends"),
    row("grpcurl -plaintext -d '{\"topic\":\"cache\"").ran("test/grpcurl.test.mjs", "the lines for those who write backends"),
    row("grpcurl -plaintext -d '{\"to\":{\"rooms\":[\"some room\"]},\"kinds\"").ran("test/grpcurl.test.mjs", "the lines for those who write backends that go on"),
    row("grpcurl -plaintext -d '{\"to\":{\"namespace\":\"*\"").ran("test/grpcurl.test.mjs", "the lines for those who write backends"),
    row("grpcurl -plaintext -d '{\"group\":\"chat\"}' localhost:8081 fanout.v1.AdminService/ListDeadLetters").ran("test/grpcurl.test.mjs", "the lines for those who write backends"),
    row("grpcurl -plaintext -d '{\"group\":\"chat\",\"all\":true}' localhost:8081 fanout.v1.AdminService/Delete").ran("test/grpcurl.test.mjs", "the lines for those who write backends"),
    row("grpcurl -plaintext -d '{}' localhost:8081 fanout.v1.AdminService/ListConsumers").ran("test/grpcurl.test.mjs", "the lines for those who write backends"),
    row("grpcurl -plaintext -d '{\"id\":\"…\",\"user_id\":\"42\"}'").ran("test/grpcurl.test.mjs", "the lines for those who write backends"),
    row("grpcurl -plaintext -d '{\"group\":\"chat\"}' localhost:8081 fanout.v1.AdminService/DeleteGroup").ran("test/grpcurl.test.mjs", "the lines for those who write backends"),
  ],
  "docs/cluster.md": [
    row("make cluster").not("its nodes take fixed ports, which a test cannot be sure to have; the same nodes by hand are tested below"),
    row("fanoutd --node-name=a --listen").ran("test/docs-pages.test.mjs", "docs/cluster.md: two nodes by hand"),
    row("openssl rand").ran("test/docs-pages.test.mjs", "docs/cluster.md: two nodes with a secret and certificates"),
    row("fanoutd --node-name=a --cluster-listen").ran("test/docs-pages.test.mjs", "docs/cluster.md: two nodes with a secret and certificates"),
    row("FANOUTD_CLUSTER_PEERS=").ran("test/docs-pages.test.mjs", "docs/cluster.md: two nodes with a secret and certificates"),
  ],
  "docs/console.md": [
    row("curl -H").ran("test/console.test.mjs", "a key is asked for, and says what may be done"),
  ],
  "docs/command-line.md": [
    row("export FANOUTD_ADDRESS").not("the default, which each test replaces by the address of its daemon"),
    row("source <(").not("it is a shell's own: that there is something to complete, test/command-line.test.mjs checks"),
    row("fanoutd emit all news '\"the shop is open\"'").ran("test/command-line.test.mjs", "each line of the guide shows what stands below it"),
    row("fanoutd emit room:news temperature -- -5").ran("test/command-line.test.mjs", "each line of the guide shows what stands below it"),
    row("fanoutd emit user:42 notice \"your order is on its way\" --to room:staff --except room:away").ran("test/command-line.test.mjs", "each line of the guide shows what stands below it"),
    row("fanoutd call user:42 \"which version\"").ran("test/command-line.test.mjs", "each line of the guide shows what stands below it"),
    row("fanoutd connections\nID                    USER  TRANSPORT  NODE  ADDRESS          SINCE  WAITING  ROOMS").ran("test/command-line.test.mjs", "each line of the guide shows what stands below it"),
    row("fanoutd connections id:…").ran("test/command-line.test.mjs", "each line of the guide shows what stands below it"),
    row("fanoutd tail --limit 1").ran("test/command-line.test.mjs", "each line of the guide shows what stands below it"),
    row("fanoutd join user:42 sports").ran("test/command-line.test.mjs", "each line of the guide shows what stands below it"),
    row("fanoutd block address:192.0.2.0/24 --for 1h --reason spam").ran("test/command-line.test.mjs", "each line of the guide shows what stands below it"),
    row("fanoutd groups").ran("test/command-line.test.mjs", "each line of the guide shows what stands below it"),
    row("fanoutd connections user:42").ran("test/command-line.test.mjs", "each line of the guide shows what stands below it"),
    row("fanoutd top --once").ran("test/command-line.test.mjs", "each line of the guide shows what stands below it"),
    row("fanoutd connections --from 127.0.0.1").ran("test/command-line.test.mjs", "each line of the guide shows what stands below it"),
    row("fanoutd dead-letters").ran("test/command-line.test.mjs", "each line of the guide shows what stands below it"),
    row("fanoutd nodes").ran("test/command-line.test.mjs", "each line of the guide shows what stands below it"),
  ],
  "docs/deploying.md": [
    row("kubectl create secret").ran("test/docs-pages.test.mjs", "docs/deploying.md: the Secret has the keys that the pods mount"),
  ],
  "docs/first-application.md": [
    ...["mkdir lunch", "fanoutd --origins", "<!doctype html>", "import { createServer }", "node lunch.mjs", "curl --json", "origins:", "fanoutd --config", "fanoutd token"].map((begins) =>
      row(begins).ran("test/first-application.test.mjs", "lunch, from the first vote to the tokens"),
    ),
  ],
  "docs/http.md": [
    row("curl --json").ran("test/http.test.mjs", "each line of docs/http.md, in its order"),
    row('{"code":"invalid_argument"').ran("test/http.test.mjs", "with keys, and how calls are refused"),
    row("curl -N --json").ran("test/http.test.mjs", "each line of docs/http.md, in its order"),
  ],
  "docs/moving-from-nodejs.md": [
    row("npm install").not("lines of docs/nodejs.md, where they are run, with the names of the reader's program and page"),
    row("-import").not("a change of the reader's program; test/sdk-packages.test.mjs makes the same one of the package's README"),
    row("import { randomUUID }").ran("test/guides.test.mjs", "docs/moving-from-nodejs.md: a process that takes over lets nobody in again, and greets nobody again"),
  ],
  "docs/nodejs.md": [
    row("make build").ran("test/release_test.go", "TestRelease"),
    row('npm install "$PACKAGES"').not("test/release_test.go looks that these are the packages, and test/sdk-packages.test.mjs installs them packed"),
    row("mkdir chat").ran("test/sdk-packages.test.mjs", "from nothing to two tabs, as docs/nodejs.md says"),
    row("import { createServer }").ran("test/sdk-packages.test.mjs", "from nothing to two tabs, as docs/nodejs.md says", "the code of each README compiles with tsc --strict"),
    row("npx fanoutd -- node").ran("test/sdk-packages.test.mjs", "from nothing to two tabs, as docs/nodejs.md says"),
    row("npx fanoutd --origins").not("its ports are fixed; test/sdk-kills.test.mjs replaces programs under their browsers, as a change does here"),
  ],
  "docs/operating.md": [
    row("scrape_configs:").ran("test/docs-pages.test.mjs", "docs/operating.md: what is scraped, by the name that the alerts have"),
    row("grpcurl -plaintext -d '{\"delay\"").ran("test/grpcurl.test.mjs", "the lines for operators about sessions that are to go elsewhere"),
    row("grpcurl -plaintext -d '{\"time\"").ran("test/grpcurl.test.mjs", "the lines for operators about sessions that are to go elsewhere"),
    row("grpcurl -plaintext -d '{\"users\"").ran("test/blocks.test.mjs", "the lines about blocks, in their order"),
  ],
  "docs/presence.md": [
    ...["grpcurl -plaintext -d '{\"to\":{\"all\":true}}' localhost:8081 fanout.v1.RegistryService/Count", "grpcurl -plaintext -d '{\"to\":{\"all\":true}}' localhost:8081 fanout.v1.RegistryService/List", "grpcurl -plaintext -d '{\"id\":\"…\",\"user_id\"", "grpcurl -plaintext -d '{\"to\":{\"all\":true},\"kinds\"", "curl -N", "grpcurl -plaintext -d '{\"id\":\"…\",\"data\""].map((begins) =>
      row(begins).ran("test/guides.test.mjs", "docs/presence.md: asking, watching, and keeping something with a connection"),
    ),
    row("import { Daemon }").ran("test/guides.test.mjs", "docs/presence.md: a backend that tells browsers how many are there"),
  ],
  "docs/recovery.md": [
    row("fanoutd --recovery-window").ran("test/guides.test.mjs", "docs/recovery.md: a page that was cut off, and one that is new"),
    row("const socket").ran("test/guides.test.mjs", "docs/recovery.md: a page that was cut off, and one that is new"),
  ],
  "docs/security.md": [
    row("# control-keys-file").ran("test/docs-pages.test.mjs", "docs/security.md: the keys of the file may do what it says"),
  ],
  "docs/troubleshooting.md": [
    ...["socket.on", "grpcurl -plaintext -d '{\"to\":{\"users\":[\"42\"]}}'", "grpcurl -plaintext -d '{\"to\":{\"users\":[\"42\"]},\"event\"", "grpcurl -plaintext -d '{}' localhost:8081 fanout.v1.AdminService/ListConsumers", "grpcurl -plaintext -d '{}' localhost:8081 fanout.v1.AdminService/ListNodes"].map((begins) =>
      row(begins).ran("test/guides.test.mjs", "docs/troubleshooting.md: what a page hears, and the lines that follow an event"),
    ),
  ],
  "docs/webhooks.md": [
    row("openssl rand").ran("test/docs-pages.test.mjs", "docs/webhooks.md: the chat in PHP"),
    row("- url: https://app.example.com/events").ran("cmd/fanoutd/settings_webhooks_test.go", "TestWebhookGuide"),
    row("POST /events").ran("internal/webhook/guide_test.go", "TestGuide"),
    row('{"deliveryId":"3k8…x.1"').ran("internal/webhook/guide_test.go", "TestGuide"),
    row('{"operations"').ran("internal/webhook/guide_test.go", "TestGuide"),
  ],
  "examples/socketio/README.md": [
    row("make sdk").ran("test/docs-pages.test.mjs", "examples/socketio: the line that starts one"),
    row("node examples/socketio/express-session.mjs").ran("test/docs-pages.test.mjs", "examples/socketio: nginx in front of the page and the daemon"),
    row("server {").ran("test/docs-pages.test.mjs", "examples/socketio: nginx in front of the page and the daemon"),
  ],
  "internal/LOCKS.md": [
    row("engineio.Session.in ->").ran("internal/locks_test.go", "TestLocksAreDocumented"),
  ],
  "sdk/node/client/README.md": [
    row("npm install").not("the packages are in no registry before a release; test/sdk-packages.test.mjs installs them packed"),
    row("import").ran("test/sdk-packages.test.mjs", "the code of each README runs", "the code of each README compiles with tsc --strict"),
  ],
  "sdk/node/emitter/README.md": [
    row("npm install").not("the packages are in no registry before a release; test/sdk-packages.test.mjs installs them packed"),
    row("import").ran("test/sdk-packages.test.mjs", "the code of each README runs", "the code of each README compiles with tsc --strict"),
  ],
  "sdk/node/fanoutd/README.md": [
    row("npm install").not("the packages are in no registry before a release; test/sdk-packages.test.mjs installs them packed"),
    row("npx fanoutd --listen").not("its ports are fixed; test/sdk-packages.test.mjs starts npx fanoutd with a program at others"),
    row("import").ran("test/sdk-packages.test.mjs", "the code of each README runs", "the code of each README compiles with tsc --strict"),
  ],
  "sdk/node/socket.io/README.md": [
    row("npm install").not("the packages are in no registry before a release; test/sdk-packages.test.mjs installs them packed"),
    row("-import").ran("test/sdk-packages.test.mjs", "the code of each README runs"),
    row("io.use").ran("test/sdk-packages.test.mjs", "the code of each README runs", "the code of each README compiles with tsc --strict"),
    row("fanoutd --namespaces").ran("test/docs-pages.test.mjs", "sdk/node/socket.io: the daemon takes the settings that its programs want"),
    row("io.engine.use").not("it wants express-session and passport; make interop runs the examples of Socket.IO that do this"),
  ],
  "sdk/python/README.md": [
    row("pip install").not("the package is in no registry before a release; make interop installs its wheel by each Python there is"),
    row("from fanoutd import socketio").ran("sdk/python/tests/test_readme.py", "test_the_chat_runs", "test_a_users_program_passes_mypy_strict"),
    row("import asyncio").ran("sdk/python/tests/test_readme.py", "test_the_greeter_runs", "test_a_users_program_passes_mypy_strict"),
    row("credentials=").not("one argument of a call, with files that only its reader has"),
    row("nodes = fanoutd.v1").ran("sdk/python/tests/test_readme.py", "test_a_users_program_passes_mypy_strict"),
  ],
};
