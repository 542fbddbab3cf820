// What people come to the console for, by the steps of docs/console.md and no others; and
// texts of browsers that would like to be markup.

import assert from "node:assert/strict";
import { test } from "node:test";

import { backend } from "./lib/backend.mjs";
import { browser, skip } from "./lib/browser.mjs";
import { client, connected } from "./lib/browser-like.mjs";
import { startCluster } from "./lib/cluster.mjs";
import { goTo, openConsole, worker } from "./lib/console.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { until } from "./lib/until.mjs";

const find = async (page, user) => {
  await page.getByRole("searchbox", { name: "Find a user" }).fill(user);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "User", exact: true }).waitFor();
};

test("find why user 42 gets no events", { skip, timeout: 120_000 }, async (t) => {
  const daemon = await Daemon.startAlone(t, {});
  const api = backend(t, daemon);
  const it = await browser(t);
  const { page, complaints } = await openConsole(await it.newContext(), daemon);
  await find(page, "42");
  await page.getByText("The user has no connection: nothing can arrive.").waitFor();

  const socket = await connected(client(t, daemon));
  await api.updateConnection({ id: socket.id, user_id: "42" });
  await api.join({ to: { users: ["42"] }, rooms: ["orders"] });
  await page.getByText("1 connection in /, none of them behind.").waitFor();
  await page.getByText("the rooms orders", { exact: false }).waitFor();

  socket.on("are you there?", (answer) => answer("yes"));
  await page.getByRole("button", { name: "Ask for an answer" }).click();
  await page.getByLabel("Event", { exact: true }).fill("are you there?");
  await page.locator("dialog").getByRole("button", { name: "Ask for an answer" }).click();
  await page.getByText("1 of 1 answered").waitFor();
  assert.deepEqual(complaints, []);
});

test("throw out an abuser", { skip, timeout: 120_000 }, async (t) => {
  const daemon = await Daemon.startAlone(t, {});
  const api = backend(t, daemon);
  const socket = await connected(client(t, daemon, { reconnection: false }));
  await api.updateConnection({ id: socket.id, user_id: "mallory" });
  const it = await browser(t);
  const { page, complaints } = await openConsole(await it.newContext(), daemon);
  await find(page, "mallory");
  await page.getByRole("button", { name: "Block the user" }).click();
  await page.locator("dialog").getByRole("button", { name: "Block the user" }).click();
  await page.getByText("Blocked; 1 connection ended.").waitFor();
  await until(() => socket.ends.length === 1, "the abuser is out");
  await page.getByRole("button", { name: "Close" }).click();
  await page.getByText("The user is blocked").waitFor();
  await page.getByRole("button", { name: "Lift the block" }).waitFor();
  await goTo(page, "Blocks");
  await page.getByRole("link", { name: "mallory" }).waitFor();
  assert.deepEqual(complaints, []);
});

test("drain a node", { skip, timeout: 120_000 }, async (t) => {
  const nodes = await startCluster(t, 2, { "drain-time": "1s" });
  await connected(client(t, nodes[1], { reconnection: false }));
  const it = await browser(t);
  const { page, complaints } = await openConsole(await it.newContext(), nodes[0]);
  await goTo(page, "Nodes");
  const card = page.getByRole("region", { name: "Node n2" });
  await card.getByRole("button", { name: "Drain" }).click();
  await card.getByRole("button", { name: "Drain n2" }).click();
  await card.getByText("session", { exact: false }).first().waitFor();
  assert.equal((await nodes[1].ended).code, 0);
  assert.equal(await page.getByRole("region", { name: "Node n1" }).count(), 1);
  assert.deepEqual(complaints, []);
});

test("replay a dead letter", { skip, timeout: 120_000 }, async (t) => {
  const daemon = await Daemon.startAlone(t, { "max-attempts": 1 });
  let broken = true;
  await worker(t, backend(t, daemon), { group: "chat" }, () => broken);
  const socket = await connected(client(t, daemon));
  socket.emit("order", { id: 7 });
  const it = await browser(t);
  const { page, complaints } = await openConsole(await it.newContext(), daemon);
  await page.getByText("1 dead letter: events that their group gave up.").waitFor();
  broken = false;
  await page.getByRole("link", { name: "Dead letters" }).first().click();
  await page.getByText('[{"id":7}]').waitFor();
  await page.getByRole("button", { name: "Replay", exact: true }).click();
  await page.locator("dialog").getByRole("button", { name: "Replay", exact: true }).click();
  await page.getByText("There are none: every event was handled.").waitFor();
  assert.deepEqual(complaints, []);
});

test("text of browsers is never markup, in whatever field", { skip, timeout: 240_000 }, async (t) => {
  const evil = `"'><img src=x onerror=document.title='owned'><script>document.title='owned'</script>\u202e\${7*7}`;
  const daemon = await Daemon.startAlone(t, { "expose-auth": true, "expose-headers": "x-evil", "max-attempts": 1, namespaces: "/,/*" });
  const api = backend(t, daemon);
  await worker(t, api, { group: `g ${evil}`.slice(0, 120), consumer_id: `c ${evil}`.slice(0, 120) }, (event) => event === evil);
  const namespace = "/<img src=x onerror=alert(1)>";
  await connected(client(t, daemon, { namespace }));
  const socket = await connected(client(t, daemon, { auth: { [evil]: evil }, query: { [evil]: evil }, extraHeaders: { "x-evil": encodeURI(evil) } }));
  await api.updateConnection({ id: socket.id, user_id: evil, data_json: JSON.stringify({ [evil]: evil }) });
  await api.join({ to: { ids: [socket.id] }, rooms: [evil] });
  socket.on("question", (answer) => answer(evil));
  socket.emit(evil, { [evil]: evil });
  const it = await browser(t);
  const { page, complaints } = await openConsole(await it.newContext(), daemon);
  const clean = async (where) => {
    assert.equal(await page.locator("img, #app script").count(), 0, where);
    assert.doesNotMatch(await page.title(), /owned/, where);
  };
  await page.getByText("1 dead letter: events").waitFor();
  await clean("Overview");
  for (const title of ["Connections", "Users", "Rooms", "Namespaces", "Blocks", "Consumers", "Dead letters", "Nodes", "Events", "Emit"]) {
    await goTo(page, title);
    const shows = { Connections: evil, Users: evil, Rooms: evil, Namespaces: namespace, Consumers: "g \"'><img", "Dead letters": evil }[title];
    if (shows) await page.getByText(shows).first().waitFor();
    if (title === "Events") {
      await page.getByText("Live.").waitFor();
      await until(async () => {
        socket.emit(evil, evil);
        return (await page.locator(".events li").count()) > 0;
      }, "the event passes");
      await page.getByText(evil).first().waitFor();
    }
    await clean(title);
  }
  await page.goto(`${daemon.ops}/console/#/connection/${encodeURIComponent(socket.id)}?namespace=%2F`);
  await page.getByRole("link", { name: evil }).first().waitFor();
  await page.getByRole("button", { name: "Show auth" }).click();
  await clean("a connection");
  await page.getByRole("button", { name: "Call" }).click();
  await page.getByLabel("Event", { exact: true }).fill("question");
  await page.locator("dialog").getByRole("button", { name: "Call" }).click();
  await page.locator("dialog pre", { hasText: "argsJson" }).first().waitFor();
  await clean("an answer");
  await page.getByRole("button", { name: "Close" }).click();
  await page.goto(`${daemon.ops}/console/#/user/${encodeURIComponent(evil)}`);
  await page.locator(".id", { hasText: "onerror" }).waitFor();
  await clean("a user");
  await page.getByRole("button", { name: "Block the user" }).click();
  await page.locator("dialog").getByRole("button", { name: "Block the user" }).click();
  await page.getByText("Blocked; 1 connection ended.").waitFor();
  await clean("a block");
  assert.deepEqual(complaints, []);
});
