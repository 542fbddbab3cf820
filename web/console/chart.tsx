// A chart of the last 15 minutes.

import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";

export interface Line {
  label: string;
  values: (number | null)[];
  color: string; // name of a custom property
}

const height = 120; // pixels
const dark = matchMedia("(prefers-color-scheme: dark)");

/** What it shows is said in words as well, for who does not see it. */
export function Chart({ title, at, lines, format }: { title: string; at: number[]; lines: Line[]; format: (n: number) => string }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const [theme, setTheme] = useState(dark.matches);
  const data: uPlot.AlignedData = [at, ...lines.map((l) => l.values)];
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    const change = () => setTheme(dark.matches);
    dark.addEventListener("change", change);
    return () => dark.removeEventListener("change", change);
  }, []);
  useEffect(() => {
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(name);
    const axis = { stroke: color("--soft"), grid: { stroke: color("--rule"), width: 1 }, ticks: { show: false }, font: `11px ${color("--sans")}` };
    const u = new uPlot(
      {
        width: box.current!.clientWidth || 300,
        height,
        legend: { show: false },
        cursor: { y: false, points: { size: 5 } },
        scales: { x: { time: true, range: () => [Date.now() / 1000 - 900, Date.now() / 1000] }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
        axes: [
          { ...axis, space: 60, size: 24, values: (_, all) => all.map((s) => new Date(s * 1000).toTimeString().slice(0, 5)) },
          { ...axis, size: 58, space: 30, values: (_, all) => all.map(format) },
        ],
        series: [{}, ...lines.map((l) => ({ label: l.label, stroke: color(l.color), width: 1.5, points: { show: false }, spanGaps: true }))],
      },
      latest.current,
      box.current!,
    );
    plot.current = u;
    const resized = new ResizeObserver(([entry]) => u.setSize({ width: Math.floor(entry!.contentRect.width), height }));
    resized.observe(box.current!);
    return () => {
      resized.disconnect();
      u.destroy();
    };
  }, [theme, lines.length]);
  useEffect(() => plot.current?.setData(data), [at.at(-1)]);
  const said = lines.map((l) => {
    const known = l.values.filter((v): v is number => v !== null);
    return known.length === 0 ? `${l.label}: nothing yet` : `${l.label}: now ${format(known.at(-1)!)}, most ${format(Math.max(...known))}`;
  });
  return (
    <figure class="chart">
      <figcaption>
        <b>{title}</b> {lines.map((l, i) => <span key={l.label}><i class={`swatch ${l.color.slice(2)}`} aria-hidden="true" /> {said[i]}</span>)}
      </figcaption>
      <div ref={box} role="img" aria-label={`${title}, the last 15 minutes. ${said.join("; ")}`} />
    </figure>
  );
}
