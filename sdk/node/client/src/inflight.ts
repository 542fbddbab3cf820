import type { Event } from "./gen/fanout/v1/event.js";
import type { Delivery } from "./subscription.js";

/** A delivery among those that are not settled. */
class Flight implements Delivery {
  // Its neighbours in the ring; undefined: it has left.
  previous: Flight | undefined;
  next: Flight | undefined;

  constructor(
    readonly event: Event,
    readonly stream: number,
  ) {}
}

/** The deliveries that are not settled: a ring of them, since a set of their ids costs each of many events several times as much. */
export class InFlight {
  // Stands between the last and the first, and is none.
  readonly #end = new Flight({}, 0);

  constructor() {
    this.#end.previous = this.#end.next = this.#end;
  }

  get empty(): boolean {
    return this.#end.next === this.#end;
  }

  /** Makes a delivery of an event, as the last. */
  add(event: Event, stream: number): Delivery {
    const flight = new Flight(event, stream);
    const last = this.#end.previous!;
    flight.previous = last;
    flight.next = this.#end;
    last.next = this.#end.previous = flight;
    return flight;
  }

  /** Takes out a delivery that `add` made, unless it is out. */
  remove(delivery: Delivery): void {
    if (!(delivery instanceof Flight) || !delivery.next) return;
    delivery.previous!.next = delivery.next;
    delivery.next.previous = delivery.previous;
    delivery.previous = delivery.next = undefined;
  }

  /** Takes out those with these ids. It looks at all there are. */
  removeIds(ids: Iterable<string>): void {
    const gone = new Set(ids);
    for (let flight = this.#end.next!; flight !== this.#end; ) {
      const next = flight.next!;
      if (gone.has(flight.event.deliveryId ?? "")) this.remove(flight);
      flight = next;
    }
  }
}
