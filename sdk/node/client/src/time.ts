import type { Duration } from "./gen/google/protobuf/duration.js";

/** A duration of so many milliseconds. */
export function duration(ms: number): Duration {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1e6) };
}
