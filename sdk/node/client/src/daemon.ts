import { Metadata, type ServiceError } from "@grpc/grpc-js";

import { Address, addresses, type AddressOptions } from "./address.js";
import { type Arg, decodeArgs, encodeArgs } from "./args.js";
import { type Addresses, Commands, type ResultHandler } from "./commands.js";
import { Consumer, type ConsumerOptions } from "./consumer.js";
import { FanoutdError, PartialError } from "./errors.js";
import type { EmitRequest, EmitResponse, EmitWithAckResponse_Summary, Operation, OperationResult } from "./gen/fanout/v1/emitter.js";
import type {
  Connection,
  Connection_View,
  CountConnectionsResponse,
  DisconnectRequest_Mode,
  DisconnectResponse,
  JoinResponse,
  LeaveResponse,
  ListConnectionsResponse,
  UpdateConnectionRequest,
} from "./gen/fanout/v1/registry.js";
import type { Target } from "./gen/fanout/v1/target.js";
import type { JsonValue } from "./json.js";
import { duration } from "./time.js";

/** How an event is sent. */
export type EmitOptions = Pick<EmitRequest, "volatile" | "compress" | "conflateKey" | "idempotencyKey" | "wait">;

/** How connections are counted and listed. */
export interface ReadOptions {
  /** While nodes of a cluster do not answer, what the others have will do. Default: it fails with a PartialError. */
  allowPartial?: boolean;
}

/** What a join, a leave or a disconnect came to. */
export interface Affected {
  /** How many connections it reached. */
  affected: number;
  /** Whether it may have missed some: nodes did not answer, or of several namespaces one refused it. */
  partial: boolean;
  /** The names of the nodes of a cluster that did not answer: whether they have done it is not known. */
  unreachable: string[];
}

/** What one connection answered to an emit with acks. */
export interface Ack {
  connectionId: string;
  args: JsonValue[];
}

/** What came of an emit with acks. */
export interface Acks {
  acks: Ack[];
  /** How many were asked, and what became of them. `unreachable` has the names of the nodes of a cluster whose connections may not have been asked. */
  summary: EmitWithAckResponse_Summary;
}

// Long enough for an answer about all nodes of a cluster.
const callTimeoutMs = 10_000;

/**
 * The daemon, as a backend calls it. What changes something, and what is sent, goes by one ordered stream: two
 * calls take effect in the order in which they were made, awaited or not. It connects when it is first used, and comes back
 * by itself. Every method may fail with a FanoutdError.
 */
export class Daemon implements Addresses {
  /** The ordered stream itself. */
  readonly commands: Commands;
  readonly #addresses: Address[];
  #current = 0;

  constructor(options: AddressOptions = {}) {
    this.#addresses = addresses(options);
    this.commands = new Commands(this, { maxRequestBytes: options.maxRequestBytes });
  }

  /** The address in use, with the generated stubs of the services there. */
  get current(): Address {
    return this.#addresses[this.#current]!;
  }

  /** Says that an address did not answer, so that the next one is used. */
  advance(failed: Address): void {
    if (failed === this.current) this.#current = (this.#current + 1) % this.#addresses.length;
  }

  /** A consumer: hears what browsers do. */
  consumer(options: ConsumerOptions): Consumer {
    return new Consumer(this, options);
  }

  /**
   * Sends an event to every connection of a target. Binary arguments may stand anywhere. Where nodes of a cluster did not take it, the answer is
   * `partial` and names them in `unreachable`; the others have sent it.
   */
  emit(to: Target, event: string, ...args: Arg[]): Promise<EmitResponse> {
    return this.emitWith({}, to, event, ...args);
  }

  async emitWith(options: EmitOptions, to: Target, event: string, ...args: Arg[]): Promise<EmitResponse> {
    const answer = await this.execute({ operation: { $case: "emit", value: { ...options, to: target(to), event, ...encodeArgs(args) } } });
    return answer?.$case === "emit" ? answer.value : {};
  }

  /** Sends an event to one connection and answers what its client hands to the callback. */
  async call(connection: { namespace?: string; id: string }, timeoutMs: number, event: string, ...args: Arg[]): Promise<JsonValue[]> {
    const { namespace, id } = connection;
    const answer = await this.execute({ operation: { $case: "call", value: { namespace, id, event, timeout: duration(timeoutMs), ...encodeArgs(args) } } });
    return answer?.$case === "call" ? decodeArgs(answer.value.argsJson ?? "", answer.value.attachments) : [];
  }

  /** Sends an event to every connection of a target and gathers what their clients answer until all have, or time runs out. */
  async emitWithAck(to: Target, timeoutMs: number, event: string, ...args: Arg[]): Promise<Acks> {
    const acks: Ack[] = [];
    const operation: Operation = {
      operation: { $case: "emitWithAck", value: { emit: { to: target(to), event, ...encodeArgs(args) }, timeout: duration(timeoutMs) } },
    };
    return new Promise((resolve, reject) => {
      this.commands.send(operation, (result) => {
        if (result instanceof FanoutdError) return reject(result);
        if (result.status?.code) return reject(FanoutdError.fromStatus(result.status));
        const response = result.answer?.$case === "emitWithAck" ? result.answer.value.response : undefined;
        if (response?.$case === "ack") {
          const { connectionId = "", argsJson = "", attachments } = response.value;
          acks.push({ connectionId, args: decodeArgs(argsJson, attachments) });
        }
        if (response?.$case === "summary") resolve({ acks, summary: response.value });
      });
    });
  }

  /** Puts the connections of a target into rooms; answers how many there are, and whether any may be missing. */
  async join(to: Target, ...rooms: string[]): Promise<Affected> {
    const answer = await this.execute({ operation: { $case: "join", value: { to: target(to), rooms } } });
    return affected(answer?.$case === "join" ? answer.value : {});
  }

  /** Takes the connections of a target out of rooms; answers as `join` does. */
  async leave(to: Target, ...rooms: string[]): Promise<Affected> {
    const answer = await this.execute({ operation: { $case: "leave", value: { to: target(to), rooms } } });
    return affected(answer?.$case === "leave" ? answer.value : {});
  }

  /** Ends the connections of a target; answers as `join` does. Mode NAMESPACE: their clients stay away. */
  async disconnect(to: Target, mode?: DisconnectRequest_Mode, reason?: string): Promise<Affected> {
    const answer = await this.execute({ operation: { $case: "disconnect", value: { to: target(to), mode, reason } } });
    return affected(answer?.$case === "disconnect" ? answer.value : {});
  }

  /** Changes what is kept with a connection. */
  async update(request: UpdateConnectionRequest): Promise<Connection | undefined> {
    const answer = await this.execute({ operation: { $case: "update", value: request } });
    return answer?.$case === "update" ? answer.value.connection : undefined;
  }

  /** Answers the callback of a browser's event, in its place among what is sent. */
  async reply(deliveryId: string, ...args: Arg[]): Promise<void> {
    await this.execute({ operation: { $case: "reply", value: { deliveryId, ...encodeArgs(args) } } });
  }

  /** The connections of a target, page by page. If any are missing, it fails with a PartialError after the last one that there is. */
  async *list(to: Target, view?: Connection_View, { allowPartial = false }: ReadOptions = {}): AsyncGenerator<Connection> {
    let pageToken = "";
    let listed = 0;
    const away = new Set<string>();
    do {
      const page = await this.unary<ListConnectionsResponse>(({ registry }, metadata, options, done) => registry.listConnections({ to: target(to), view, pageSize: 1000, pageToken }, metadata, options, done));
      const { connections = [], unreachable = [] } = page;
      for (const name of unreachable) away.add(name);
      listed += connections.length;
      yield* connections;
      pageToken = page.nextPageToken ?? "";
    } while (pageToken !== "");
    if (away.size > 0 && !allowPartial) throw new PartialError(listed, [...away]);
  }

  /** How many connections a target has. If any are missing, it fails with a PartialError. */
  async count(to: Target, { allowPartial = false }: ReadOptions = {}): Promise<number> {
    const { total = 0, unreachable = [] } = await this.unary<CountConnectionsResponse>(({ registry }, metadata, options, done) => registry.countConnections({ to: target(to) }, metadata, options, done));
    if (unreachable.length > 0 && !allowPartial) throw new PartialError(total, unreachable);
    return total;
  }

  /** Carries out any operation in the order of the stream; answers what it was answered. */
  execute(operation: Operation): Promise<OperationResult["answer"]> {
    return new Promise((resolve, reject) => {
      this.commands.send(operation, settle(resolve, reject));
    });
  }

  /**
   * Calls a unary RPC that only reads, at the address in use, and once at each of the others when one is UNAVAILABLE:
   *
   *     daemon.unary(({ admin }, metadata, options, done) => admin.getServerInfo({}, metadata, options, done))
   */
  async unary<T>(call: (address: Address, metadata: Metadata, options: { deadline: number }, done: (err: ServiceError | null, answer: T) => void) => unknown): Promise<T> {
    for (let tries = 1; ; tries++) {
      const address = this.current;
      try {
        return await new Promise<T>((resolve, reject) => {
          call(address, new Metadata(), { deadline: Date.now() + callTimeoutMs }, (err, answer) => (err ? reject(FanoutdError.fromCall(err, address.name)) : resolve(answer)));
        });
      } catch (err) {
        if (!(err instanceof FanoutdError) || err.code !== "UNAVAILABLE" || tries >= this.#addresses.length) throw err;
        this.advance(address);
      }
    }
  }

  /** Has everything that was given carried out, or gives up after `withinMs`, and closes the connections. */
  async close(withinMs = 5_000): Promise<void> {
    const hurry = setTimeout(() => this.commands.abort(), withinMs);
    await this.commands.close();
    clearTimeout(hurry);
    for (const address of this.#addresses) address.close();
  }
}

// A text can be walked through as a list can, letter by letter: it would be taken for names of one letter.
function target(to: Target): Target {
  for (const field of ["rooms", "ids", "users", "except"] as const) {
    const names: unknown = to?.[field];
    if (typeof names === "string") throw new FanoutdError("INVALID_ARGUMENT", `to.${field}: ${JSON.stringify(names)} is no array`);
  }
  return to;
}

function affected({ affected = 0, partial = false, unreachable = [] }: JoinResponse | LeaveResponse | DisconnectResponse): Affected {
  return { affected, partial, unreachable };
}

function settle(resolve: (answer: OperationResult["answer"]) => void, reject: (err: FanoutdError) => void): ResultHandler {
  return (result) => {
    if (result instanceof FanoutdError) reject(result);
    else if (result.status?.code) reject(FanoutdError.fromStatus(result.status));
    else resolve(result.answer);
  };
}
