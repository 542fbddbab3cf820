// Every page of the console with something on it: screenshots, and what axe-core finds.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";

import { artifacts, browser, skip } from "./lib/browser.mjs";
import { client, connected } from "./lib/browser-like.mjs";
import { startCluster } from "./lib/cluster.mjs";
import { barriers, batch, crowd, goTo, openConsole, worker } from "./lib/console.mjs";
import { until } from "./lib/until.mjs";

const menu = ["Overview", "Connections", "Users", "Rooms", "Namespaces", "Blocks", "Consumers", "Dead letters", "Nodes", "Events", "Emit"];

// 5,000 connections at two nodes, three consumers, a dead letter, and one browser that talks.
test("the pages on a desktop, in the dark and on a phone, without barriers", { skip, timeout: 300_000 }, async (t) => {
  await mkdir(artifacts, { recursive: true });
  const nodes = await startCluster(t, 2, { "max-attempts": 1 });
  const [{ api }] = nodes;
  const ids = (await Promise.all(nodes.map((node) => crowd(t, node, 2_500)))).flat();
  await worker(t, api, { group: "chat", consumer_id: "chat-1", lifecycle: true, skip_existing: true }, (event) => event === "order");
  await worker(t, api, { group: "chat", consumer_id: "chat-2", lifecycle: true, skip_existing: true }, (event) => event === "order");
  await worker(t, nodes[1].api, { group: "audit", consumer_id: "audit-1" });
  const socket = await connected(client(t, nodes[0]));
  await batch(api, ids.map((id, i) => ({ update: { id, user_id: `user ${i % 1700}` } })));
  await batch(api, ids.map((id, i) => ({ join: { to: { ids: [id] }, rooms: [`room ${i % 40}`] } })));
  await api.updateConnection({ id: socket.id, user_id: "42", data_json: '{"seat":12,"plan":"pro"}' });
  await api.join({ to: { ids: [socket.id] }, rooms: ["lobby"] });
  socket.emit("order", { id: 7, items: ["tea"] });
  const talks = setInterval(() => {
    socket.emit("typing", { in: "lobby" });
    api.emit({ to: { rooms: ["room 1"] }, event: "news", args_json: '["hello"]' }).catch(() => {});
  }, 100);
  t.after(() => clearInterval(talks));

  const it = await browser(t);
  for (const [look, width, height, colorScheme] of [["desktop", 1280, 900, "light"], ["dark", 1280, 900, "dark"], ["phone", 390, 800, "light"]]) {
    const phone = look === "phone";
    const context = await it.newContext({ viewport: { width, height }, colorScheme, isMobile: phone, hasTouch: phone });
    const { page, complaints } = await openConsole(context, nodes[0]);
    const shot = async (title) => {
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(wider, 0, `${title}, ${look}: it is wider than the screen`);
      assert.deepEqual(await barriers(page), [], `${title}, ${look}`);
      await page.screenshot({ path: path.join(artifacts, `console-${look}-${title.toLowerCase().replaceAll(" ", "-")}.png`) });
    };
    for (const title of menu) {
      if (title !== "Overview") await goTo(page, title);
      const ready = {
        Overview: () => page.getByText("1 dead letter: events").waitFor().then(() => page.locator(".number-card", { hasText: "all nodes" }).getByText("5,001").waitFor()),
        Connections: () => page.getByText("5,001 of 5,001 connections, live").waitFor(),
        Users: () => page.getByRole("link", { name: "user 0", exact: true }).waitFor(),
        Rooms: () => page.getByRole("link", { name: "room 0", exact: true }).waitFor(),
        Consumers: () => page.getByText("audit-1").waitFor(),
        "Dead letters": () => page.getByText('[{"id":7,"items":["tea"]}]').waitFor(),
        Nodes: () => page.getByRole("region", { name: "Node n2" }).waitFor(),
        Events: () => until(async () => (await page.locator(".events li").count()) > 3, "events pass"),
      }[title];
      await ready?.();
      await shot(title);
    }
    await page.goto(`${nodes[0].ops}/console/#/connection/${socket.id}?namespace=%2F`);
    await page.getByRole("link", { name: "lobby" }).waitFor();
    await until(async () => (await page.locator(".events li").count()) > 0, "events pass");
    await shot("connection");
    await page.getByRole("button", { name: "Disconnect" }).click();
    await page.getByText("As code").first().click();
    await shot("an action");
    await page.keyboard.press("Escape");
    await page.goto(`${nodes[0].ops}/console/#/user/42`);
    await page.getByText("became dead letters").waitFor();
    await shot("user");
    assert.deepEqual(complaints, [], look);
    await context.close();
  }
});

test("what is loaded at first is small", { skip, timeout: 60_000 }, async (t) => {
  const [node] = await startCluster(t, 1);
  const it = await browser(t);
  const page = await it.newPage();
  let bytes = 0;
  page.on("response", async (response) => {
    const { responseBodySize, responseHeadersSize } = await response.request().sizes();
    bytes += responseBodySize + responseHeadersSize;
  });
  await page.goto(`${node.ops}/console/`);
  await page.getByText("Nothing is wrong").waitFor();
  assert.ok(bytes > 20_000 && bytes < 100_000, `${bytes} bytes`);
  t.diagnostic(`${bytes} bytes until the overview is there, all of it`);
});
