// A long list of connections, of which only the rows in sight are made.

import { useEffect, useRef, useState } from "preact/hooks";
import { ago } from "./format.ts";
import type { Connection } from "./types.ts";
import { Id, User } from "./ui.tsx";

const rowHeight = 34; // pixels, as console.css has it
const more = 10; // rows beyond either end of what is in sight

const titles = ["Id", "User", "Namespace", "Rooms", "Transport", "Address", "Node", "For"];
const wide = new Set(["Namespace", "Rooms", "Address", "Node"]);
const cell = (title: string) => `cell ${wide.has(title) ? "wide" : ""}`;

/** Rows of a list of total, of which rows are those from from on; show is told which are in sight. */
export function Rows({ rows, from, total, show }: { rows: Connection[]; from: number; total: number; show: (from: number, to: number) => void }) {
  const box = useRef<HTMLDivElement>(null);
  const [height, setHeight] = useState(600);
  const look = () => {
    const first = Math.max(0, Math.floor(box.current!.scrollTop / rowHeight) - more);
    show(first, first + Math.ceil(height / rowHeight) + 2 * more);
  };
  useEffect(() => {
    const resized = new ResizeObserver(([entry]) => setHeight(entry!.contentRect.height));
    resized.observe(box.current!);
    return () => resized.disconnect();
  }, []);
  useEffect(look, [height]);
  return (
    <div class="rows" ref={box} onScroll={look} tabIndex={0} role="table" aria-label="Connections" aria-rowcount={total + 1} aria-colcount={titles.length}>
      <div class="row head" role="row" aria-rowindex={1}>{titles.map((t) => <span key={t} role="columnheader" class={cell(t)}>{t}</span>)}</div>
      <div role="rowgroup" class="all" style={{ height: `${total * rowHeight}px` }}>
        {rows.map((c, i) => (
          <div key={`${c.namespace} ${c.id}`} class="row" role="row" aria-rowindex={from + i + 2} style={{ transform: `translateY(${(from + i) * rowHeight}px)` }}>
            {cells(c).map((value, n) => <span key={titles[n]} role="cell" class={cell(titles[n]!)}>{value}</span>)}
          </div>
        ))}
      </div>
    </div>
  );
}

function cells(c: Connection) {
  return [
    <Id namespace={c.namespace} id={c.id} />, <User id={c.userId} />, c.namespace,
    (c.rooms ?? []).filter((r) => r !== c.id).join(", ") || "–", c.transport, <span class="mono">{c.remoteAddress}</span>, c.node, ago(c.connectedAt),
  ];
}
