import { Namespace, Socket } from "socket.io";

import { daemonFlags, type FanoutdOptions, type ServerOptions } from "./options.js";
import { Server } from "./server.js";

export type { BroadcastOperator, DefaultEventsMap, DisconnectReason, Event, ExtendedError, RemoteSocket } from "socket.io";
export { Adapter } from "./adapter.js";
export { daemonFlags, type FanoutdOptions, Namespace, Server, type ServerOptions, Socket };

// As in socket.io: require("@fanoutd/socket.io")(3000) is a server.
const create = (...args: ConstructorParameters<typeof Server>): Server => new Server(...args);
module.exports = Object.assign(create, module.exports);
