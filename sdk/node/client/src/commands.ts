import type { ServiceError } from "@grpc/grpc-js";

import { type Address, encodeExecute, type EncodedStream } from "./address.js";
import { apart } from "./apart.js";
import { Backoff } from "./backoff.js";
import { FanoutdError } from "./errors.js";
import { ExecuteRequest_Command, type ExecuteResponse, type Operation, type OperationResult } from "./gen/fanout/v1/emitter.js";

/** Takes the results of one command. Of all but an emit with acks there is one. What it throws is an uncaught exception of the process; the commands go on. */
export type ResultHandler = (result: OperationResult | FanoutdError, last: boolean) => void;

/** What there is to choose from, and which is used. */
export interface Addresses {
  readonly current: Address;
  /** Says that `failed` did not answer: if it is the one in use, the next takes its place. */
  advance(failed: Address): void;
}

/** How a command is given. */
export interface SendOptions {
  /** Its handler hears of it only if it fails; the daemon then says nothing of it but how far it is, now and then. */
  quiet?: boolean;
}

/** What bounds commands. */
export interface CommandsOptions {
  /** How many wait for a stream at most. */
  maxWaiting?: number | undefined;
  /** As in AddressOptions. */
  maxRequestBytes?: number | undefined;
}

type Stream = EncodedStream<ExecuteResponse>;

interface Pending extends ExecuteRequest_Command {
  readonly sequence: number;
  readonly operation: Operation;
  readonly quiet: boolean;
  readonly onResult: ResultHandler | undefined;
}

// Of one message: the contract's bound, and far less than the daemon takes.
const maxCommands = 1000;
const maxBytes = 256 << 10;

// How many quiet commands are sent, and for how long, before the daemon is asked how far they are.
const quietCommands = 1000;
const quietMs = 500;

/**
 * Commands to the daemon, in one order: EmitterService.Execute, a stream that is opened with the first command
 * and comes back by itself. What is given to `send` takes effect in the order in which it was given; what is given in one turn
 * of the event loop is sent together, at its end. While there is no
 * stream, commands wait, up to `maxWaiting`; one that was sent when the stream broke fails as UNAVAILABLE,
 * since it may have been carried out, unless it has an idempotency key: then it is sent once more, but after a message that
 * was larger than the daemon takes.
 */
export class Commands {
  /** Commands that wait for a stream at most; further ones fail as RESOURCE_EXHAUSTED. */
  readonly maxWaiting: number;

  /** Whose commands these are: that consumer is not told of what they change, as `changed`. Set it before the first. */
  consumer: { group: string; consumerId: string } | undefined;

  readonly #addresses: Addresses;
  readonly #maxRequestBytes: number;
  readonly #backoff = new Backoff();
  // By number, which is the order they were given in: all that have no last result.
  readonly #pending = new Map<number, Pending>();
  // Those of them that were not sent, and what the arguments of these take.
  #waiting: Pending[] = [];
  #bytes = 0;
  // The numbers of those that are quiet: their place in #pending goes when it is known how far the commands are.
  #quiet: number[] = [];
  #last = 0;
  #stream: Stream | undefined;
  #opening = false;
  #retry: NodeJS.Timeout | undefined;
  #flushing = false;
  #through = 0;
  #barriers: { last: number; resolve: () => void }[] = [];
  // The daemon was asked how far it is after this one; when it is to be asked again, in milliseconds of performance.now().
  #asked = 0;
  #askAt = Infinity;
  #asking: NodeJS.Timeout | undefined;
  #closing: (() => void) | undefined;
  #closed = false;

  constructor(addresses: Addresses, { maxWaiting = 100_000, maxRequestBytes = 16 << 20 }: CommandsOptions = {}) {
    this.#addresses = addresses;
    this.maxWaiting = maxWaiting;
    this.#maxRequestBytes = maxRequestBytes;
  }

  /** How many commands have no last result yet. Of quiet ones it may take a while to be known. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Gives a command; `onResult` hears what becomes of it. Returns its number, for `cancel`. */
  send(operation: Operation, onResult?: ResultHandler, { quiet = false }: SendOptions = {}): number {
    const sequence = ++this.#last;
    if (this.#closed || this.#closing) {
      onResult?.(new FanoutdError("CANCELLED", "the connection to fanoutd was closed by this program"), true);
      return sequence;
    }
    if (this.#waiting.length >= this.maxWaiting) {
      onResult?.(new FanoutdError("RESOURCE_EXHAUSTED", `${this.maxWaiting} commands wait for fanoutd already`), true);
      return sequence;
    }
    const pending: Pending = { sequence, operation, quiet, onResult };
    this.#pending.set(sequence, pending);
    this.#waiting.push(pending);
    this.#bytes += sizeOf(operation);
    if (!this.#stream) this.#open();
    else if (this.#waiting.length >= maxCommands || this.#bytes >= maxBytes) this.#flush();
    else this.#flushSoon();
    return sequence;
  }

  /** Ends the waiting for the answers to an emit with acks or a call; any other command goes on. */
  cancel(sequence: number): void {
    if (!this.#pending.has(sequence)) return;
    this.#flush();
    this.#stream?.write(encodeExecute({ request: { $case: "cancel", value: { sequence } } }));
  }

  /**
   * Resolves when all that was given before has been carried out, or failed; awaited answers do not count. Who can wait a little longer,
   * so many milliseconds, spares the daemon and this process messages.
   */
  barrier(withinMs = 0): Promise<void> {
    const last = this.#last;
    if (this.#through >= last || this.#pending.size === 0) return Promise.resolve();
    this.#ask(withinMs);
    return new Promise((resolve) => this.#barriers.push({ last, resolve }));
  }

  // Has the daemon asked how far the commands are, in so many milliseconds at most.
  #ask(withinMs: number): void {
    if (this.#asked >= this.#last) return;
    const at = performance.now() + withinMs;
    if (this.#askAt <= at) return;
    this.#askAt = at;
    clearTimeout(this.#asking);
    this.#asking = undefined;
    if (withinMs === 0) this.#flushSoon();
    else {
      this.#asking = setTimeout(() => {
        this.#askAt = 0;
        this.#flush();
      }, withinMs);
    }
  }

  #advance(through: number): void {
    if (through > this.#through) this.#through = through;
    let known = 0;
    while (known < this.#quiet.length && this.#quiet[known]! <= this.#through) this.#pending.delete(this.#quiet[known++]!);
    if (known > 0) this.#quiet.splice(0, known);
    while (this.#barriers.length > 0 && (this.#barriers[0]!.last <= this.#through || this.#pending.size === 0)) this.#barriers.shift()!.resolve();
  }

  /** Has all commands carried out, then ends. */
  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#closing = resolve;
      if (this.#pending.size === 0) this.#finish();
      else this.#ask(0);
    });
  }

  /** Ends at once; what has no result fails as CANCELLED. */
  abort(): void {
    this.#closed = true;
    for (const sequence of [...this.#pending.keys()]) this.#fail(sequence, new FanoutdError("CANCELLED", "the connection to fanoutd was closed by this program"));
    this.#finish();
  }

  #finish(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#asking);
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.end();
    this.#closing?.();
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  // Sends what waits, and asks how far it is when that is due.
  #flush(): void {
    const stream = this.#stream;
    if (!stream) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    let commands: Pending[] = [];
    let bytes = 0;
    const write = () => {
      this.#write(stream, commands);
      commands = [];
      bytes = 0;
    };
    for (const pending of waiting) {
      const size = sizeOf(pending.operation);
      if (commands.length >= maxCommands || (bytes > 0 && bytes + size > maxBytes)) write();
      commands.push(pending);
      bytes += size;
      if (pending.quiet) this.#quiet.push(pending.sequence);
    }
    write();
    const many = this.#quiet.length >= quietCommands && this.#quiet[this.#quiet.length - quietCommands]! > this.#asked;
    if (many || this.#askAt <= performance.now()) {
      clearTimeout(this.#asking);
      this.#asking = undefined;
      this.#askAt = Infinity;
      this.#asked = this.#last;
      stream.write(encodeExecute({ request: { $case: "sync", value: {} } }));
    } else if (this.#quiet.length > 0) this.#ask(quietMs);
  }

  // Sends commands in one message. One that cannot be encoded, as a date that is none, fails alone, and so does one that is too large.
  #write(stream: Stream, commands: Pending[]): void {
    if (commands.length === 0) return;
    let message: Buffer;
    try {
      message = encodeExecute({ request: { $case: "commands", value: { commands } } });
    } catch (err) {
      if (commands.length > 1) for (const command of commands) this.#write(stream, [command]);
      else this.#fail(commands[0]!.sequence, new FanoutdError("INVALID_ARGUMENT", `the command cannot be sent: ${(err as Error).message}`));
      return;
    }
    if (message.length <= this.#maxRequestBytes) stream.write(message);
    else if (commands.length > 1) for (const command of commands) this.#write(stream, [command]);
    else {
      const what = `the command cannot be sent: it has ${message.length} bytes, and fanoutd takes ${this.#maxRequestBytes}, by its setting control-max-request and maxRequestBytes here`;
      this.#fail(commands[0]!.sequence, new FanoutdError("RESOURCE_EXHAUSTED", what));
    }
  }

  #open(): void {
    if (this.#opening || this.#closed) return;
    const address = this.#addresses.current;
    const stream = address.execute();
    let over = false;
    const end = (err?: ServiceError) => {
      if (over) return;
      over = true;
      this.#ended(stream, address, err);
    };
    stream.on("data", (response: ExecuteResponse) => this.#take(stream, response));
    stream.on("error", end);
    stream.on("end", () => end());
    // grpc-js keeps what is written until the connection is there; a failure is told by "error".
    this.#stream = stream;
    this.#asked = 0;
    if (this.#barriers.length > 0 || this.#closing) this.#askAt = 0;
    if (this.consumer) stream.write(encodeExecute({ request: { $case: "open", value: this.consumer } }));
    this.#flushSoon();
  }

  #take(stream: Stream, response: ExecuteResponse): void {
    this.#backoff.reset();
    for (const { sequence = 0, result = {}, last = false } of response.results ?? []) {
      const pending = this.#pending.get(sequence);
      if (!pending) continue;
      if (last) this.#pending.delete(sequence);
      apart(() => pending.onResult?.(result, last));
    }
    this.#advance(response.ackedThrough ?? 0);
    // What comes now waits for the next stream, so that order is kept.
    if (response.draining && this.#stream === stream) {
      this.#stream = undefined;
      this.#opening = true;
      stream.end();
    }
    if (this.#closing && this.#pending.size === 0) this.#finish();
  }

  #ended(stream: Stream, address: Address, err?: ServiceError): void {
    if (this.#stream === stream) this.#stream = undefined;
    if (this.#closed) return;
    this.#opening = true; // what handlers give meanwhile waits, behind what is sent once more
    const failure = err ? FanoutdError.fromCall(err, address.name) : new FanoutdError("UNAVAILABLE", "fanoutd ended the stream of commands");
    this.#addresses.advance(address);
    const waiting = new Set(this.#waiting);
    const again: Pending[] = [];
    const unsent = failure.reason === "NOT_CONNECTED";
    const tooLarge = failure.code === "RESOURCE_EXHAUSTED"; // the same message would end the next stream
    for (const pending of [...this.#pending.values()]) {
      if (waiting.has(pending)) continue;
      if (unsent || (hasKey(pending.operation) && !tooLarge)) again.push(pending);
      else this.#fail(pending.sequence, failure);
    }
    this.#quiet = [];
    this.#waiting = [...again, ...this.#waiting];
    if (this.#closing && this.#pending.size === 0) return this.#finish();
    if (failure.code === "UNAUTHENTICATED" || failure.code === "PERMISSION_DENIED") {
      for (const { sequence } of this.#waiting.splice(0)) this.#fail(sequence, failure);
    }
    if (this.#waiting.length === 0) this.#advance(this.#last);
    if (this.#waiting.length === 0) {
      this.#opening = false; // the next command opens it
      return;
    }
    this.#retry = setTimeout(() => {
      this.#opening = false;
      this.#open();
    }, this.#backoff.next());
  }

  #fail(sequence: number, err: FanoutdError): void {
    const pending = this.#pending.get(sequence);
    this.#pending.delete(sequence);
    apart(() => pending?.onResult?.(err, true));
  }
}

function hasKey({ operation }: Operation): boolean {
  return operation !== undefined && "idempotencyKey" in operation.value && Boolean(operation.value.idempotencyKey);
}

// About how long an operation is: that of its arguments, which may be long.
function sizeOf({ operation }: Operation): number {
  const args = operation?.$case === "emitWithAck" ? operation.value.emit : operation?.value;
  if (!args || !("argsJson" in args)) return 100;
  let size = 100 + (args.argsJson?.length ?? 0);
  for (const attachment of args.attachments ?? []) size += attachment.length;
  return size;
}
