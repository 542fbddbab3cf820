// Serves the client of Socket.IO's example "chat".

import { daemon, only, others, serve } from "./backend.mjs";

const numUsers = () => daemon.count({ rooms: ["users"] }, { allowPartial: true });
const tellOthers = (event) => (client) => daemon.emit(others(client), event, { username: client.data.username });

serve("chat", {
  events: {
    "new message": (client, message) => daemon.emit(others(client), "new message", { username: client.data.username, message }),
    async "add user"(client, username) {
      if (client.data.username) return;
      await daemon.join(only(client), "users");
      client.data.username = username;
      const joined = { username, numUsers: await numUsers() };
      await daemon.emit(only(client), "login", { numUsers: joined.numUsers });
      await daemon.emit(others(client), "user joined", joined);
    },
    typing: tellOthers("typing"),
    "stop typing": tellOthers("stop typing"),
  },
  async disconnected(client) {
    const { username } = client.data;
    if (username) await daemon.emit(others(client), "user left", { username, numUsers: await numUsers() });
  },
});
