// Which pages there are.

import type { ComponentType } from "preact";
import { ConnectionPage } from "./pages/connection.tsx";
import { Connections } from "./pages/connections.tsx";
import { Consumers, DeadLetters } from "./pages/consumers.tsx";
import { Emit } from "./pages/emit.tsx";
import { Tail } from "./pages/events.tsx";
import { Blocks, Namespaces, Rooms, Users } from "./pages/lists.tsx";
import { Nodes } from "./pages/nodes.tsx";
import { Overview } from "./pages/overview.tsx";
import { UserPage } from "./pages/user.tsx";
import type { Route } from "./state.tsx";

export interface PageEntry {
  name: string; // the first part of its address
  title?: string; // in the menu; none: it is not there
  under?: string; // the page in the menu that it belongs to
  Show: ComponentType<{ route: Route }>;
}

export const pages: PageEntry[] = [
  { name: "", title: "Overview", Show: Overview },
  { name: "connections", title: "Connections", Show: Connections },
  { name: "connection", under: "connections", Show: ConnectionPage },
  { name: "users", title: "Users", Show: Users },
  { name: "user", under: "users", Show: UserPage },
  { name: "rooms", title: "Rooms", Show: Rooms },
  { name: "namespaces", title: "Namespaces", Show: Namespaces },
  { name: "blocks", title: "Blocks", Show: Blocks },
  { name: "consumers", title: "Consumers", Show: Consumers },
  { name: "dead-letters", title: "Dead letters", Show: DeadLetters },
  { name: "nodes", title: "Nodes", Show: Nodes },
  { name: "events", title: "Events", Show: Tail },
  { name: "emit", title: "Emit", Show: Emit },
];
