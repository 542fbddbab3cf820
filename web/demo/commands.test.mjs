import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import test from "node:test";

import { commandGroups, lineOf } from "./commands.js";

const tab = { control: "localhost:8081", key: false, id: "kJx-1_b", room: "some room", event: "new message" };

function lines(options) {
  const all = commandGroups({ ...tab, ...options }).flatMap((group) => group.commands);
  return Object.fromEntries(all.map((command) => [command.name, lineOf(command.parts)]));
}

test("the lines are those of the README, for this tab", () => {
  assert.deepEqual(lines(), {
    "emit-id": `grpcurl -plaintext -d '{"to":{"ids":["kJx-1_b"]},"event":"new message","args":[{"msg":"hello, tab"}]}' localhost:8081 fanout.v1.EmitterService/Emit`,
    "emit-room": `grpcurl -plaintext -d '{"to":{"rooms":["some room"]},"event":"new message","args":[{"msg":"hello, room"}]}' localhost:8081 fanout.v1.EmitterService/Emit`,
    "emit-all": `grpcurl -plaintext -d '{"to":{"all":true},"event":"new message","args":[{"msg":"hello, all"}]}' localhost:8081 fanout.v1.EmitterService/Emit`,
    "emit-bytes": `grpcurl -plaintext -d '{"to":{"ids":["kJx-1_b"]},"event":"new message","args":[{"_placeholder":true,"num":0}],"attachments":["aGVsbG8="]}' localhost:8081 fanout.v1.EmitterService/Emit`,
    join: `grpcurl -plaintext -d '{"to":{"ids":["kJx-1_b"]},"rooms":["some room"]}' localhost:8081 fanout.v1.RegistryService/Join`,
    leave: `grpcurl -plaintext -d '{"to":{"ids":["kJx-1_b"]},"rooms":["some room"]}' localhost:8081 fanout.v1.RegistryService/Leave`,
    list: `grpcurl -plaintext -d '{"to":{"all":true}}' localhost:8081 fanout.v1.RegistryService/ListConnections`,
    "disconnect-transport": `grpcurl -plaintext -d '{"to":{"ids":["kJx-1_b"]},"mode":"TRANSPORT"}' localhost:8081 fanout.v1.RegistryService/Disconnect`,
    "disconnect-namespace": `grpcurl -plaintext -d '{"to":{"ids":["kJx-1_b"]},"mode":"NAMESPACE"}' localhost:8081 fanout.v1.RegistryService/Disconnect`,
  });
});

test("the id and the room are marked, nothing else", () => {
  const marked = commandGroups(tab)
    .flatMap((group) => group.commands)
    .flatMap((command) => command.parts)
    .filter((part) => part.mark)
    .map((part) => part.text);
  assert.deepEqual(new Set(marked), new Set(["kJx-1_b", "some room"]));
});

test("a bearer key comes from the environment, a unix socket by its flag", () => {
  assert.equal(
    lines({ key: true, control: "unix:/run/fanoutd.sock" }).list,
    `grpcurl -plaintext -H "authorization: Bearer $FANOUTD_CONTROL_KEY" -d '{"to":{"all":true}}' -unix /run/fanoutd.sock fanout.v1.RegistryService/ListConnections`,
  );
});

test("a shell hands over what was typed, whatever it is", () => {
  const room = `it's "quoted"; $(echo no) \\ \`no\` é`;
  const command = lines({ room }).join.replace(/^grpcurl/, "printf '%s\\n'");
  const words = execFileSync("sh", ["-c", command], { encoding: "utf8" }).trimEnd().split("\n");
  const json = words[words.indexOf("-d") + 1];
  assert.deepEqual(JSON.parse(json).rooms, [room]);
});
