// What the differential run says to both servers: scripts of a kind, for a pair
// of servers that are set up alike; without a name it is the usual pair, which
// lets clients of both versions in.

import { scripts as closes } from "./closes.mjs";
import { scripts as connects } from "./connects.mjs";
import { scripts as corpus } from "./corpus.mjs";
import { scripts as deflate } from "./deflate.mjs";
import { scripts as handshakes } from "./handshakes.mjs";
import { scripts as msgpack } from "./msgpack.mjs";
import { scripts as origins } from "./origins.mjs";
import { scripts as polling } from "./polling.mjs";
import { scripts as upgrade } from "./upgrade.mjs";
import { scripts as v3 } from "./v3.mjs";
import { scripts as websocket } from "./websocket.mjs";

export const scripts = [...websocket, ...polling, ...upgrade, ...closes, ...connects, ...handshakes, ...origins, ...deflate, ...v3, ...msgpack, ...corpus];
