import { randomUUID } from "node:crypto";

import type { ServiceError } from "@grpc/grpc-js";

import { encodeConsume, type EncodedStream } from "./address.js";
import { apart } from "./apart.js";
import { type Arg, encodeArgs } from "./args.js";
import { Backoff } from "./backoff.js";
import type { Addresses } from "./commands.js";
import { FanoutdError } from "./errors.js";
import {
  type ConsumeRequest,
  type ConsumeRequest_Nack,
  type ConsumeRequest_Open,
  type ConsumeRequest_Verdict,
  type ConsumeResponse,
  type ConsumeResponse_Cancelled_Reason,
  type ConsumeResponse_Published,
  type ConsumeResponse_Ready,
  type ConsumeResponse_Rejected,
  ConsumeResponse_Rejected_Request,
  type Event,
  Event_Kind,
} from "./gen/fanout/v1/event.js";
import type { Connection } from "./gen/fanout/v1/registry.js";
import { InFlight } from "./inflight.js";

/** One event, and the stream that it came by: settling it after that stream has ended does nothing. */
export interface Delivery {
  readonly event: Event;
  readonly stream: number;
}

/** What a subscription tells. All are called one at a time, in the order of the stream. What one throws is an uncaught exception of the process; the stream goes on. */
export interface SubscriptionHandlers {
  /** An event, to be settled. */
  delivery(delivery: Delivery): void;
  /** A stream is there. What an earlier one told of assignments holds no more. */
  ready?(ready: ConsumeResponse_Ready): void;
  /** Connections that this member owns from now on, with `open.assignments`. */
  assigned?(connections: Connection[], tooLarge: string[]): void;
  /** Connections that it owns no more. */
  released?(ids: string[]): void;
  /** Connections that it owns, and that somebody else has changed. */
  changed?(connections: Connection[], tooLarge: string[]): void;
  /** A message of another backend, by a topic of `open.topics`; answered by `answer` if it is expected. */
  published?(published: ConsumeResponse_Published): void;
  /** Deliveries that were taken back. */
  cancelled?(ids: string[], reason: ConsumeResponse_Cancelled_Reason): void;
  /** Something that was not carried out. */
  rejected?(rejected: ConsumeResponse_Rejected): void;
  /** A client was refused since the verdict on it was at fault, which `rejected` tells too: its delivery, and what was wrong. */
  refused?(deliveryId: string, err: FanoutdError): void;
  /** The stream has ended, and another one is tried. What was not settled comes again. */
  disconnected?(err: FanoutdError): void;
}

// Acks that are sent in one message at most, and how long one may wait for others.
const maxAcks = 1000;
const ackMs = 5;

/**
 * A member of a group: EventService.Consume, a stream that comes back by itself, with the same consumer id, at the next
 * address where there are several. It settles what it is told to settle, acks many at a time.
 */
export class Subscription {
  readonly consumerId: string;

  readonly #addresses: Addresses;
  readonly #opening: Buffer;
  readonly #handlers: SubscriptionHandlers;
  readonly #backoff = new Backoff();
  #stream: EncodedStream<ConsumeResponse> | undefined;
  #number = 0;
  #acks: string[] = [];
  // How many acks do not wait for others: fewer where an event that is in flight holds up the next.
  readonly #enough: number;
  #flushing: NodeJS.Timeout | undefined;
  #leaving = false;
  #drained = false;
  #retry: NodeJS.Timeout | undefined;
  #done: { resolve: () => void; reject: (err: FanoutdError) => void } | undefined;
  #inFlight = new InFlight();
  #quiet: (() => void) | undefined;

  constructor(addresses: Addresses, open: ConsumeRequest_Open, handlers: SubscriptionHandlers) {
    this.#addresses = addresses;
    this.consumerId = open.consumerId || randomUUID();
    this.#opening = encodeConsume({ request: { $case: "open", value: { maxMessageBytes: 64 << 20, ...open, consumerId: this.consumerId } } });
    this.#handlers = handlers;
    this.#enough = open.oneByOne ? 1 : Math.min(maxAcks, Math.ceil((open.maxInFlight || 1000) / 4));
  }

  /**
   * Subscribes, and comes back for as long as it takes. Resolves after `leave`; rejects if coming back would be of no use: the
   * request or the key is wrong, somebody else has joined with this consumer id, or the group was deleted.
   */
  run(): Promise<void> {
    if (this.#done) throw new Error("the subscription runs already");
    return new Promise((resolve, reject) => {
      this.#done = { resolve, reject };
      this.#connect();
    });
  }

  /** Whether a stream is there, and was not told to end. */
  get connected(): boolean {
    return this.#stream !== undefined && !this.#drained;
  }

  /** Whether a delivery can still be settled: the stream that brought it is there. */
  holds({ stream }: Delivery): boolean {
    return stream === this.#number;
  }

  ack(delivery: Delivery): void {
    if (!this.holds(delivery)) return;
    this.#acks.push(delivery.event.deliveryId ?? "");
    if (this.#acks.length >= this.#enough) this.#flush();
    else this.#flushing ??= setTimeout(() => this.#flush(), ackMs);
    this.#settled(delivery);
  }

  nack(delivery: Delivery, how: Omit<ConsumeRequest_Nack, "deliveryIds"> = {}): void {
    if (!this.holds(delivery)) return;
    this.#write({ request: { $case: "nack", value: { ...how, deliveryIds: [delivery.event.deliveryId ?? ""] } } });
    this.#settled(delivery);
  }

  /** Decides on a CONNECTING; other events have no verdict. */
  verdict(delivery: Delivery, decision: NonNullable<ConsumeRequest_Verdict["decision"]>): void {
    if (delivery.event.kind !== Event_Kind.CONNECTING) throw new TypeError("a verdict is about a CONNECTING");
    if (!this.holds(delivery)) return;
    this.#decide(delivery.event.deliveryId, decision);
    this.#settled(delivery);
  }

  #decide(deliveryId: string | undefined, decision: NonNullable<ConsumeRequest_Verdict["decision"]>): void {
    this.#write({ request: { $case: "verdict", value: { deliveryId, decision } } });
  }

  /** Answers a message that was published. */
  answer({ publishId }: ConsumeResponse_Published, ...args: Arg[]): void {
    this.#write({ request: { $case: "answer", value: { publishId, ...encodeArgs(args) } } });
  }

  working(deliveries: readonly Delivery[]): void {
    const deliveryIds = deliveries.filter(({ stream }) => stream === this.#number).map(({ event }) => event.deliveryId ?? "");
    if (deliveryIds.length > 0) this.#write({ request: { $case: "working", value: { deliveryIds } } });
  }

  /** Asks for no further event; `run` resolves once those that came are settled, or after `withinMs`. */
  leave(withinMs = 10_000): void {
    if (this.#leaving) return;
    this.#leaving = true;
    clearTimeout(this.#retry);
    if (!this.#stream) return this.#done?.resolve();
    this.#write({ request: { $case: "leave", value: {} } });
    const stream = this.#stream;
    setTimeout(() => stream.cancel(), withinMs).unref();
  }

  #settled(delivery: Delivery): void {
    this.#inFlight.remove(delivery);
    this.#lookQuiet();
  }

  #lookQuiet(): void {
    if (!this.#quiet || !this.#inFlight.empty) return;
    this.#quiet();
    this.#quiet = undefined;
  }

  #flush(): void {
    clearTimeout(this.#flushing);
    this.#flushing = undefined;
    if (this.#acks.length === 0) return;
    const deliveryIds = this.#acks;
    this.#acks = [];
    this.#write({ request: { $case: "ack", value: { deliveryIds } } });
  }

  #write(request: ConsumeRequest): void {
    this.#stream?.write(encodeConsume(request));
  }

  #connect(): void {
    const address = this.#addresses.current;
    const stream = address.consume();
    this.#number++;
    this.#acks = [];
    this.#inFlight = new InFlight();
    this.#quiet = undefined;
    this.#drained = false;
    this.#stream = stream;
    let over = false;
    const end = (err?: ServiceError) => {
      if (over) return;
      over = true;
      this.#stream = undefined;
      this.#number++; // settling what it brought does nothing any more
      if (this.#leaving) return this.#done?.resolve();
      this.#addresses.advance(address);
      this.#ended(err ? FanoutdError.fromCall(err, address.name) : new FanoutdError("UNAVAILABLE", "fanoutd ended the stream of events"));
    };
    stream.on("data", (response: ConsumeResponse) => {
      if (!over) apart(() => this.#take(stream, response));
    });
    stream.on("error", end);
    stream.on("end", () => end());
    stream.write(this.#opening);
  }

  #ended(err: FanoutdError): void {
    if (isFinal(err)) return this.#done?.reject(err);
    this.#retry = setTimeout(() => this.#connect(), this.#backoff.next());
    apart(() => this.#handlers.disconnected?.(err));
  }

  #take(stream: EncodedStream<ConsumeResponse>, { response }: ConsumeResponse): void {
    const handlers = this.#handlers;
    switch (response?.$case) {
      case "events":
        for (const event of response.value.events ?? []) {
          const delivery = this.#inFlight.add(event, this.#number);
          apart(() => handlers.delivery(delivery));
        }
        return;
      case "assigned":
        return handlers.assigned?.(response.value.connections ?? [], response.value.tooLarge ?? []);
      case "released":
        return handlers.released?.(response.value.connectionIds ?? []);
      case "changed":
        return handlers.changed?.(response.value.connections ?? [], response.value.tooLarge ?? []);
      case "published":
        return handlers.published?.(response.value);
      case "cancelled": {
        const ids = response.value.deliveryIds ?? [];
        apart(() => handlers.cancelled?.(ids, response.value.reason!));
        this.#inFlight.removeIds(ids);
        return this.#lookQuiet();
      }
      case "rejected": {
        const { deliveryId = "", request, status = {} } = response.value;
        apart(() => handlers.rejected?.(response.value));
        const err = FanoutdError.fromStatus(status);
        if (request !== ConsumeResponse_Rejected_Request.VERDICT || err.code !== "INVALID_ARGUMENT") return;
        // The client still waits, for another member where this one has left. Nothing of a refusal without words can be at fault.
        if (!stream.writableEnded) this.#decide(deliveryId, { $case: "refuse", value: {} });
        return handlers.refused?.(deliveryId, err);
      }
      case "ready":
        this.#backoff.reset();
        return handlers.ready?.(response.value);
      case "draining":
        this.#drained = true;
        // The daemon's own end comes when all is settled; the answer to leave waits for this side.
        if (!this.#leaving) return;
        this.#quiet = () => {
          this.#flush();
          stream.end();
        };
        this.#lookQuiet();
    }
  }
}

function isFinal({ code, reason }: FanoutdError): boolean {
  if (code === "ABORTED") return reason === "CONSUMER_REPLACED" || reason === "GROUP_DELETED";
  return code === "INVALID_ARGUMENT" || code === "UNAUTHENTICATED" || code === "PERMISSION_DENIED" || code === "UNIMPLEMENTED";
}
