// What is wrong, and what to do about it.

import { bytes, count, duration, plural, seconds } from "./format.ts";
import { by, type Samples, sum } from "./metrics.ts";
import { href } from "./state.tsx";
import type { Group, Node } from "./types.ts";

export interface Wrong {
  bad: boolean; // or a thing to look at
  what: string;
  todo: string;
  href?: string;
  link?: string;
}

// From where on a consumer is slow: what waits is this old, or its queue this long.
const slowSeconds = 30;
const slowBytes = 8 << 20;

// From how busy on a node should have help.
const busy = 0.9;

// Days before the end of a certificate.
const expirySoon = 14;

export function problems(groups: Group[] | undefined, nodes: Node[] | undefined, unreachable: string[], now: Samples | undefined): Wrong[] {
  const all: Wrong[] = [];
  for (const g of groups ?? []) {
    const to = href(["consumers"]);
    if (g.authorizedNamespaces?.length && !g.consumers?.length) {
      all.push({ bad: true, what: `Group ${g.name} authorises ${g.authorizedNamespaces.join(", ")} and has no members: nobody gets in there.`, todo: "Start a member of it, or delete the group if it is not meant any more.", href: to, link: "Consumers" });
    } else if (g.warning) {
      all.push({ bad: true, what: `Group ${g.name}: ${g.warning}.`, todo: "Look at its members.", href: to, link: "Consumers" });
    }
    const old = seconds(g.oldestPendingAge);
    if (g.consumers?.length && (old > slowSeconds || Number(g.pendingBytes ?? 0) > slowBytes)) {
      all.push({ bad: true, what: `Group ${g.name} is slow: ${plural(g.pendingEvents ?? 0, "event")} wait, the oldest for ${duration(old)}, ${bytes(Number(g.pendingBytes ?? 0))} in all.`, todo: "Add members, or end the one that hangs: its events go to others.", href: to, link: "Consumers" });
    }
    if (g.consumers?.length === 0 && !g.authorizedNamespaces?.length && (g.pendingEvents ?? 0) > 0) {
      all.push({ bad: false, what: `Group ${g.name} has no members, and ${plural(g.pendingEvents!, "event")} wait for it.`, todo: "Start a member of it, or delete the group.", href: to, link: "Consumers" });
    }
  }
  for (const n of nodes ?? []) {
    if (n.state === "SUSPECTED") all.push({ bad: true, what: `Node ${n.name} does not answer: its connections are missing in what is shown.`, todo: "See whether its process runs and the network between the nodes holds. After a minute of silence it is taken for dead.", href: href(["nodes"]), link: "Nodes" });
    if ((n.load ?? 0) > busy) all.push({ bad: false, what: `Node ${n.name} is busy: its load is ${Math.round(n.load! * 100)} %.`, todo: "Add a node, and rebalance.", href: href(["nodes"]), link: "Nodes" });
  }
  for (const name of unreachable.filter((u) => !nodes?.some((n) => n.name === u && n.state === "SUSPECTED"))) {
    all.push({ bad: true, what: `Node ${name} did not answer.`, todo: "See whether its process runs.", href: href(["nodes"]), link: "Nodes" });
  }
  if (now) {
    if (sum(now, "fanoutd_draining") > 0) all.push({ bad: false, what: "This node drains: it takes no new browsers, and ends.", todo: "Nothing stops a drain.", href: href(["nodes"]), link: "Nodes" });
    else if (now.has("fanoutd_ready") && sum(now, "fanoutd_ready") === 0) all.push({ bad: true, what: "This node is not ready for browsers.", todo: "/readyz of this listener says why." });
    if (now.has("fanoutd_bus_connected") && sum(now, "fanoutd_bus_connected") === 0) all.push({ bad: true, what: "This node does not reach the other nodes.", todo: "See whether NATS runs and the network to it holds." });
    if (sum(now, "fanoutd_panics_total") > 0) all.push({ bad: false, what: `${plural(sum(now, "fanoutd_panics_total"), "panic")} since the start: a mistake in fanoutd.`, todo: "Report it, with the stack that the log has." });
    for (const [who, at] of Object.entries(by(now, "fanoutd_tls_certificate_expiry_timestamp_seconds", "shown_to"))) {
      const days = (at - Date.now() / 1000) / 86_400;
      if (days < expirySoon) all.push({ bad: days < 2, what: `The certificate for ${who} ${days < 0 ? "has ended" : `ends in ${count(Math.floor(days))} days`}.`, todo: "Replace its file: it is read again by itself." });
    }
  }
  return all.sort((a, b) => Number(b.bad) - Number(a.bad));
}
