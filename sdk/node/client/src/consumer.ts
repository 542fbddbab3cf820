import type { Daemon } from "./daemon.js";
import { apart } from "./apart.js";
import { type Arg, decodeArgs } from "./args.js";
import { FanoutdError } from "./errors.js";
import { type ConsumeRequest_Open, ConsumeRequest_Nack_Reason, type Event, Event_Cause, Event_Kind } from "./gen/fanout/v1/event.js";
import type { Connection, Connection_View } from "./gen/fanout/v1/registry.js";
import type { JsonValue } from "./json.js";
import { type Delivery, Subscription } from "./subscription.js";
import { duration } from "./time.js";

/** Which events a consumer wants. Events of browsers are asked for by `on`. */
export interface ConsumerOptions {
  /** The group: every group gets every event, and one member of it each. */
  group: string;
  /** The namespaces, or patterns of them. Unset: "/" alone. */
  namespaces?: string[];
  /** Events that may be under way at a time; unset: 1000. */
  maxInFlight?: number;
  /** How long a handler may take before the daemon gives its event to another member; the consumer asks for more by itself. Unset: 30 s. */
  ackWaitMs?: number;
  /** Events of browsers carry their connection too, as it is then; it costs several times as much as an event alone. */
  includeConnection?: boolean;
  /** How much of a connection events carry. Unset: all, but with an event of a browser's what is BASIC. */
  view?: Connection_View;
  /** Names this member for good. Unset: one is made up. */
  consumerId?: string;
  /** Hears of handlers that threw, and of streams that ended. Unset: they are written to stderr. */
  onError?: (err: Error, event?: ConsumerEvent) => void;
}

/** Something that a browser did. */
export interface ConsumerEvent {
  readonly kind: Event_Kind;
  readonly namespace: string;
  readonly connectionId: string;
  readonly userId: string;
  /** Names the event, the same at every attempt: good for `idempotencyKey`. */
  readonly deliveryId: string;
  /** 1 at first; more: it was delivered before. */
  readonly attempt: number;
  readonly event: string;
  readonly args: JsonValue[];
  readonly replyExpected: boolean;
  /** Of DISCONNECTED: why, in Socket.IO's words and for programs. */
  readonly reason: string;
  readonly cause: Event_Cause;
  /** Of CONNECTING, CONNECTED and DISCONNECTED: the connection as it was then. Of others where `includeConnection` asks for it. */
  readonly connection: Connection | undefined;
  /** What is kept with that connection, its `dataJson` as a value: {} if nothing is. Undefined where there is no `connection`. */
  readonly data: { [key: string]: JsonValue } | undefined;
  /** The event as it came. */
  readonly raw: Event;
}

/** An answer of several arguments, for who returns it from a handler. */
export class Reply {
  readonly args: Arg[];

  constructor(...args: Arg[]) {
    this.args = args;
  }
}

/** What lets a client in. */
export interface Admission {
  userId?: string;
  rooms?: string[];
  data?: { [key: string]: JsonValue };
  expireAt?: Date;
}

/** Thrown by a handler of `connecting`: turns the client away, with this message and these data. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  constructor(
    message = "not authorized",
    readonly data?: JsonValue,
    /** The client may try again by itself. */
    readonly retry = false,
  ) {
    super(message);
  }
}

/** What a handler returns is the answer to the browser's callback: one argument, or several by a Reply. */
export type EventHandler<A extends unknown[] = JsonValue[]> = (event: ConsumerEvent, ...args: A) => unknown;
export type LifecycleHandler = (event: ConsumerEvent) => unknown;
/** Decides whether a client may connect: returns how, or throws a Refusal. */
export type ConnectingHandler = (event: ConsumerEvent, auth: { [key: string]: JsonValue }) => Admission | void | Promise<Admission | void>;

/**
 * Hears what browsers do. Events of one connection are handled one after the other, those of several at the same
 * time; each is settled when its handler is done. One whose handler throws comes again after a pause.
 */
export class Consumer {
  readonly #daemon: Daemon;
  readonly #options: ConsumerOptions;
  readonly #handlers = new Map<string, EventHandler>();
  #connecting: ConnectingHandler | undefined;
  #connected: LifecycleHandler | undefined;
  #disconnected: LifecycleHandler | undefined;
  #subscription: Subscription | undefined;
  #running: Promise<void> | undefined;
  // The last of each connection's handlers.
  readonly #queues = new Map<string, Promise<void>>();
  readonly #underWay = new Set<Delivery>();
  // By delivery: those whose turn has not come. Who is taken out of it is not wanted, or comes again.
  readonly #waiting = new Map<string, Delivery>();
  // By delivery that was given back: has its connection go on.
  readonly #givenBack = new Map<string, () => void>();

  constructor(daemon: Daemon, options: ConsumerOptions) {
    this.#daemon = daemon;
    this.#options = options;
  }

  /** Handles an event of this name. The types of its arguments are the handler's own word: browsers may send anything. */
  on<A extends unknown[]>(event: string, handler: EventHandler<A>): this {
    this.#handlers.set(event, handler as unknown as EventHandler);
    return this;
  }

  /** Decides on connections; from then on the group does, also while none of its members is there. */
  connecting(handler: ConnectingHandler): this {
    this.#connecting = handler;
    return this;
  }

  /** Hears of connections that came, those that were there before included. */
  connected(handler: LifecycleHandler): this {
    this.#connected = handler;
    return this;
  }

  /** Hears of connections that went. */
  disconnected(handler: LifecycleHandler): this {
    this.#disconnected = handler;
    return this;
  }

  /** Consumes until `close`. Rejects if coming back would be of no use, as with a wrong key. */
  run(): Promise<void> {
    this.#running = this.#consume();
    return this.#running;
  }

  /**
   * Takes no further event. Resolves, as `run` does, when those under way are done, 10 s later at the latest; why `run` rejected, it alone
   * says. A handler that awaits it waits for itself.
   */
  async close(): Promise<void> {
    this.#subscription?.leave();
    await this.#running?.catch(() => {});
  }

  async #consume(): Promise<void> {
    const { group, namespaces = ["/"], maxInFlight, ackWaitMs = 30_000, includeConnection, view, consumerId } = this.#options;
    const open: ConsumeRequest_Open = {
      group,
      consumerId,
      namespaces,
      events: [...this.#handlers.keys()],
      lifecycle: Boolean(this.#connected || this.#disconnected),
      authorize: Boolean(this.#connecting),
      maxInFlight,
      ackWait: duration(ackWaitMs),
      includeConnection,
      view,
    };
    this.#subscription = new Subscription(this.#daemon, open, {
      delivery: (delivery) => this.#take(delivery),
      cancelled: (ids) => {
        for (const id of ids) this.#waiting.delete(id);
        for (const id of ids) this.#goOn(id);
      },
      rejected: ({ deliveryId = "" }) => this.#goOn(deliveryId),
      refused: (_, err) => this.#report(err),
      disconnected: (err) => {
        this.#waiting.clear();
        for (const id of [...this.#givenBack.keys()]) this.#goOn(id);
        this.#report(err);
      },
    });
    const working = setInterval(() => this.#subscription?.working([...this.#underWay]), ackWaitMs / 2);
    try {
      await this.#subscription.run();
    } finally {
      clearInterval(working);
    }
  }

  #take(delivery: Delivery): void {
    const { connectionId = "", deliveryId = "" } = delivery.event;
    this.#underWay.add(delivery);
    this.#waiting.set(deliveryId, delivery);
    const done = (this.#queues.get(connectionId) ?? Promise.resolve())
      .then(() => this.#handle(delivery))
      .finally(() => {
        this.#underWay.delete(delivery);
        if (this.#queues.get(connectionId) === done) this.#queues.delete(connectionId);
      });
    this.#queues.set(connectionId, done);
  }

  async #handle(delivery: Delivery): Promise<void> {
    const subscription = this.#subscription!;
    const { deliveryId = "" } = delivery.event;
    if (this.#waiting.get(deliveryId) !== delivery) return;
    this.#waiting.delete(deliveryId);
    const event = consumerEvent(delivery.event);
    try {
      switch (event.kind) {
        case Event_Kind.CONNECTING:
          return await this.#decide(delivery, event);
        case Event_Kind.CONNECTED:
          await this.#connected?.(event);
          break;
        case Event_Kind.DISCONNECTED:
          await this.#disconnected?.(event);
          break;
        case Event_Kind.MESSAGE: {
          const answer = await this.#handlers.get(event.event)?.(event, ...event.args);
          if (event.replyExpected) await this.#reply(event, answer);
        }
      }
      subscription.ack(delivery);
    } catch (err) {
      this.#report(err as Error, event);
      await this.#giveBack(delivery);
    }
  }

  // Resolves when the daemon has named what it takes back: this event, and those behind it, which are not to overtake it.
  #giveBack(delivery: Delivery): Promise<void> {
    const subscription = this.#subscription!;
    if (!subscription.holds(delivery)) return Promise.resolve();
    this.#underWay.delete(delivery);
    return new Promise((resolve) => {
      this.#givenBack.set(delivery.event.deliveryId ?? "", resolve);
      subscription.nack(delivery, { reason: ConsumeRequest_Nack_Reason.FAILED });
    });
  }

  #goOn(deliveryId: string): void {
    this.#givenBack.get(deliveryId)?.();
    this.#givenBack.delete(deliveryId);
  }

  async #decide(delivery: Delivery, event: ConsumerEvent): Promise<void> {
    const subscription = this.#subscription!;
    try {
      const admission: unknown = await this.#connecting?.(event, (event.args[0] ?? {}) as { [key: string]: JsonValue });
      if (admission instanceof Error) throw admission; // a Refusal that was returned
      if (typeof (admission ?? {}) !== "object") {
        throw new TypeError(`connecting returned ${String(admission)}: an object lets in, or nothing; a Refusal is thrown`);
      }
      const { userId, rooms, data, expireAt } = (admission ?? {}) as Admission;
      if (typeof rooms === "string") throw new TypeError(`rooms: ${JSON.stringify(rooms)} is no array`);
      subscription.verdict(delivery, { $case: "allow", value: { userId, rooms, expireAt, dataJson: data && JSON.stringify(data) } });
    } catch (err) {
      if (!(err instanceof Refusal)) {
        this.#report(err as Error, event);
        return subscription.verdict(delivery, { $case: "refuse", value: { retry: true } });
      }
      const { message, data, retry } = err;
      try {
        subscription.verdict(delivery, { $case: "refuse", value: { message, dataJson: data === undefined ? "" : JSON.stringify(data), retry } });
      } catch (unsendable) {
        this.#report(unsendable as Error, event);
        subscription.verdict(delivery, { $case: "refuse", value: {} });
      }
    }
  }

  // A browser that does not wait any more is nobody's mistake.
  async #reply(event: ConsumerEvent, answer: unknown): Promise<void> {
    const args = answer instanceof Reply ? answer.args : answer === undefined ? [] : [answer];
    try {
      await this.#daemon.reply(event.deliveryId, ...args);
    } catch (err) {
      if (!(err instanceof FanoutdError) || err.code !== "FAILED_PRECONDITION") throw err;
    }
  }

  #report(err: Error, event?: ConsumerEvent): void {
    const { onError } = this.#options;
    if (onError) apart(() => onError(err, event));
    else console.error(`fanoutd: ${event ? `${event.kind} ${event.event} of ${event.connectionId}: ` : ""}${err.message}`);
  }
}

function consumerEvent(raw: Event): ConsumerEvent {
  return {
    kind: raw.kind ?? Event_Kind.UNSPECIFIED,
    namespace: raw.namespace ?? "",
    connectionId: raw.connectionId ?? "",
    userId: raw.userId ?? "",
    deliveryId: raw.deliveryId ?? "",
    attempt: raw.attempt ?? 0,
    event: raw.event ?? "",
    args: decodeArgs(raw.argsJson ?? "", raw.attachments),
    replyExpected: raw.replyExpected ?? false,
    reason: raw.reason ?? "",
    cause: raw.cause ?? Event_Cause.NONE,
    connection: raw.connection,
    data: raw.connection && JSON.parse(raw.connection.dataJson || "{}"),
    raw,
  };
}
