// How the pages of examples are used in a browser, by two at least.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

import { browser } from "../../../test/lib/browser.mjs";
import { client, connected, heard } from "../../../test/lib/browser-like.mjs";
import { until } from "../../../test/lib/until.mjs";

const jquery = () => readFile(createRequire(import.meta.url).resolve("jquery/dist/jquery.min.js"));

// Opens a browser whose pages are asked about. people are contexts of their own, as of two persons; tab opens a page in one,
// and tells by which transports it reached the program's port.
async function open(t, origin, people) {
  const it = await browser(t);
  const contexts = await Promise.all(Array.from({ length: people }, () => it.newContext({ viewport: { width: 800, height: 600 } })));
  const tab = async (context, at = "/") => {
    const page = await context.newPage();
    page.transports = new Set();
    page.complaints = [];
    page.on("request", (request) => request.url().startsWith(`${origin}/socket.io/?`) && page.transports.add("polling"));
    page.on("websocket", (socket) => socket.url().startsWith(origin.replace("http", "ws")) && page.transports.add("websocket"));
    page.on("pageerror", (err) => page.complaints.push(String(err)));
    // Where the page takes it from is out of reach.
    await page.route("https://code.jquery.com/**", async (route) => route.fulfill({ contentType: "text/javascript", body: await jquery() }));
    await page.goto(origin + at);
    return page;
  };
  return { contexts, tab };
}

// Both transports went through the program's own port, and the page has nothing to complain of.
async function well(...pages) {
  for (const page of pages) {
    await until(() => page.transports.size === 2, "the page has upgraded to WebSocket");
    assert.deepEqual(page.complaints, []);
  }
}

const shows = (page, selector, text) => until(async () => (await page.locator(selector).textContent()) === text, `${selector} shows ${text}`, 30_000);

export async function chat({ t, origin }) {
  const { contexts, tab } = await open(t, origin, 2);
  const [ada, bob] = [await tab(contexts[0]), await tab(contexts[1])];
  const logs = (page) => page.locator(".messages .log").allTextContents();
  const said = (page) => page.locator(".messages .message:not(.typing)").allTextContents();
  const welcome = "Welcome to Socket.IO Chat – ";
  const login = async (page, name) => {
    await page.locator(".usernameInput").fill(name);
    await page.keyboard.press("Enter");
    await until(async () => (await logs(page)).includes(welcome), "the chat says welcome");
  };
  await login(ada, "Ada");
  await login(bob, "Bob");
  await until(async () => (await logs(ada)).length === 4, "Ada sees that Bob joined");
  await bob.locator(".inputMessage").pressSequentially("hello");
  await ada.locator(".messages .typing").waitFor();
  await bob.keyboard.press("Enter");
  await until(async () => (await said(ada)).length === 1, "Ada sees the message");
  await ada.locator(".messages .typing").waitFor({ state: "detached" });
  await ada.locator(".inputMessage").fill("hello, Bob");
  await ada.keyboard.press("Enter");
  await until(async () => (await said(bob)).length === 2, "Bob sees the answer");
  for (const page of [ada, bob]) assert.deepEqual(await said(page), ["Bobhello", "Adahello, Bob"]);
  await well(ada, bob);
  await bob.close();
  await until(async () => (await logs(ada)).length === 6, "Ada sees that Bob left");
  assert.deepEqual(await logs(ada), [
    welcome,
    "there's 1 participant",
    "Bob joined",
    "there are 2 participants",
    "Bob left",
    "there's 1 participant",
  ]);
}

export async function whiteboard({ t, origin }) {
  const { contexts, tab } = await open(t, origin, 2);
  const [a, b] = [await tab(contexts[0]), await tab(contexts[1])];
  await well(a, b);
  // How much of the board is drawn upon, in this colour.
  const drawn = (page, [red, green]) =>
    page.evaluate(([red, green]) => {
      const { width, height } = document.querySelector("canvas");
      const { data } = document.querySelector("canvas").getContext("2d").getImageData(0, 0, width, height);
      let count = 0;
      for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255 && data[i] === red && data[i + 1] === green && data[i + 2] === 0) count++;
      return count;
    }, [red, green]);
  const line = async (page, from, to) => {
    await page.mouse.move(...from);
    await page.mouse.down();
    await page.mouse.move(...to);
    await page.mouse.up();
  };
  const [black, red] = [[0, 0], [255, 0]];
  await line(a, [100, 100], [300, 100]);
  await b.locator(".color.red").click();
  await line(b, [200, 200], [200, 350]);
  for (const page of [a, b]) {
    await until(async () => (await drawn(page, black)) >= 190 && (await drawn(page, red)) >= 140, "both lines are on both boards");
  }
}

export async function recovery({ t, origin, program }) {
  const { contexts, tab } = await open(t, origin, 1);
  const steady = await connected(client(t, { url: origin }));
  const page = await tab(contexts[0]);
  await shows(page, "#recoveryStatus", "false");
  await shows(page, "#connectionStatus", "disconnected");
  const away = steady.heard.length;
  await shows(page, "#recoveryStatus", "true");
  // What was said meanwhile is there, each once: the latest first.
  const shown = () => page.locator("#messages li").allTextContents();
  await until(async () => {
    const [list, heard] = [await shown(), steady.heard.map(([, value]) => value)];
    return heard.length > away && list[0] === heard.at(-1);
  }, "the page shows the latest");
  const list = await shown();
  assert.ok(list.length >= 2);
  assert.deepEqual(list.toReversed(), steady.heard.map(([, value]) => value).slice(-list.length));
  assert.match(program.log, /recovered!\nsocket\.rooms: Set\(2\) \{[^}]*'sample room'[^}]*\}\nsocket\.data: \{ foo: 'bar' \}/);
}

export async function session({ t, origin }) {
  const { contexts, tab } = await open(t, origin, 2);
  const [a, b] = [await tab(contexts[0]), await tab(contexts[0])];
  const stranger = await tab(contexts[1]);
  for (const page of [a, b, stranger]) await shows(page, "#ioStatus", "connected");
  await a.getByText("Increment with fetch()").click();
  await shows(a, "#httpCount", "1");
  for (const page of [a, b]) await shows(page, "#ioCount", "1");
  await b.getByText("Increment with Socket.IO emit()").click();
  await shows(b, "#ioCount", "2");
  await a.getByText("Increment with fetch()").click();
  for (const page of [a, b]) await shows(page, "#ioCount", "3");
  await stranger.getByText("Increment with Socket.IO emit()").click();
  await shows(stranger, "#ioCount", "1");
  await well(a, b, stranger);
  await a.getByText("Logout").click();
  for (const page of [a, b]) await shows(page, "#ioStatus", "disconnected");
  assert.equal(await stranger.locator("#ioStatus").textContent(), "connected");

  // One without a cookie gets a session of its own.
  const bare = await connected(client(t, { url: origin }));
  assert.deepEqual([await bare.timeout(15_000).emitWithAck("incr"), await bare.timeout(15_000).emitWithAck("incr")], [1, 2]);
}

export async function passport({ t, origin }) {
  const { contexts, tab } = await open(t, origin, 2);
  const login = async (context, password) => {
    const page = await tab(context);
    await page.locator("#username").fill("john");
    await page.locator("#password").fill(password);
    await page.getByText("Submit").click();
    return page;
  };
  const wrong = await login(contexts[1], "wrong");
  await wrong.waitForURL(`${origin}/login`);
  const john = await login(contexts[0], "changeit");
  const other = await tab(contexts[0]);
  for (const page of [john, other]) {
    await shows(page, "#status", "connected");
    await shows(page, "#username", "john");
  }
  await well(john, other);
  await refused(t, origin);
  await john.getByText("Log out").click();
  for (const page of [john, other]) await shows(page, "#status", "disconnected");
}

export async function passportJwt({ t, origin }) {
  const { contexts, tab } = await open(t, origin, 1);
  const page = await tab(contexts[0]);
  await page.locator("#password").fill("wrong");
  await page.getByText("Submit").click();
  await until(async () => (await page.locator("#password").inputValue()) === "", "the wrong password is refused");
  await page.locator("#password").fill("changeit");
  await page.getByText("Submit").click();
  const other = await until(async () => (await page.locator("#status").textContent()) === "connected" && tab(contexts[0]), "the page is connected");
  for (const one of [page, other]) {
    await shows(one, "#status", "connected");
    await shows(one, "#name", "john");
  }
  await well(page, other);
  await refused(t, origin);
  await refused(t, origin, { extraHeaders: { authorization: "bearer nonsense" } });
  await page.getByText("Log out").click();
  await page.locator("#login-panel").waitFor();
  assert.equal(await other.locator("#status").textContent(), "connected");
}

// Whom the example lets in by a middleware of io.engine.use() alone.
async function refused(t, origin, options) {
  const stranger = client(t, { url: origin }, { autoUnref: true, ...options });
  const refusal = await new Promise((resolve) => stranger.once("connect_error", resolve));
  assert.equal(stranger.connected, false);
  assert.ok(refusal.message);
  stranger.close();
}
