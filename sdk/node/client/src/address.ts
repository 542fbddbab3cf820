import { readFileSync } from "node:fs";
import path from "node:path";

import * as grpc from "@grpc/grpc-js";

import { AdminServiceClient } from "./gen/fanout/v1/admin.js";
import { EmitterServiceClient, EmitterServiceService, ExecuteRequest, type ExecuteResponse } from "./gen/fanout/v1/emitter.js";
import { ConsumeRequest, type ConsumeResponse, EventServiceClient, EventServiceService } from "./gen/fanout/v1/event.js";
import { RegistryServiceClient } from "./gen/fanout/v1/registry.js";

/** How the daemon is reached by TLS. PEM text, or the bytes of it. */
export interface TlsOptions {
  /** The authorities of the daemon's certificate. Unset: those that Node.js knows. */
  ca?: string | Buffer;
  /** The backend's own certificate, and its key, where the daemon asks for one. */
  cert?: string | Buffer;
  key?: string | Buffer;
  /** Reads the three from files instead. */
  caFile?: string;
  certFile?: string;
  keyFile?: string;
}

/** Where the daemon is, and how it is called. */
export interface AddressOptions {
  /**
   * The daemon's control listener, `host:port`, `[ipv6]:port` or `unix:/path`, or those of several nodes of a
   * cluster: one is used at a time, and the next one when it does not answer. Unset: $FANOUTD_ADDRESS, a list
   * separated by commas, or localhost:8081.
   */
  address?: string | readonly string[];
  /** The bearer key. Unset: $FANOUTD_CONTROL_KEY, if that is set. */
  key?: string;
  /** True, or how: by TLS. Unset: without. */
  tls?: boolean | TlsOptions;
  /**
   * What the daemon takes in one message, in bytes: its setting `control-max-request`. A larger command fails alone, as
   * RESOURCE_EXHAUSTED, and is not sent. Unset: that setting's default, 16 MiB.
   */
  maxRequestBytes?: number;
}

/** A stream that is written what is encoded already: gRPC ends a stream over a message that it cannot encode, with all that goes by it. */
export type EncodedStream<Response> = grpc.ClientDuplexStream<Buffer, Response>;

/** One address, with the stubs of the services there. */
export class Address {
  readonly emitter: EmitterServiceClient;
  readonly events: EventServiceClient;
  readonly registry: RegistryServiceClient;
  readonly admin: AdminServiceClient;
  readonly #channel: grpc.Channel;

  constructor(
    readonly name: string,
    credentials: grpc.ChannelCredentials,
    interceptors: grpc.Interceptor[],
  ) {
    this.#channel = new grpc.Channel(name, credentials, channelOptions);
    const options = { channelOverride: this.#channel, interceptors };
    this.emitter = new EmitterServiceClient(name, credentials, options);
    this.events = new EventServiceClient(name, credentials, options);
    this.registry = new RegistryServiceClient(name, credentials, options);
    this.admin = new AdminServiceClient(name, credentials, options);
  }

  /** EmitterService.Execute, of `encodeExecute`. */
  execute(): EncodedStream<ExecuteResponse> {
    const { path, responseDeserialize } = EmitterServiceService.execute;
    return this.emitter.makeBidiStreamRequest(path, (request: Buffer) => request, responseDeserialize, new grpc.Metadata());
  }

  /** EventService.Consume, of `encodeConsume`. */
  consume(): EncodedStream<ConsumeResponse> {
    const { path, responseDeserialize } = EventServiceService.consume;
    return this.events.makeBidiStreamRequest(path, (request: Buffer) => request, responseDeserialize, new grpc.Metadata());
  }

  close(): void {
    this.#channel.close();
  }
}

/** Throws if a value is none that its field takes. */
export function encodeExecute(request: ExecuteRequest): Buffer {
  return asBuffer(ExecuteRequest.encode(request).finish());
}

/** Throws if a value is none that its field takes. */
export function encodeConsume(request: ConsumeRequest): Buffer {
  return asBuffer(ConsumeRequest.encode(request).finish());
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

// The level of the API that this package was written for; a daemon that has less refuses its calls.
const apiLevel = "1";

const { version } = JSON.parse(readFileSync(path.join(__dirname, "../package.json"), "utf8")) as { version: string };

const channelOptions: grpc.ChannelOptions = {
  "grpc.primary_user_agent": `fanoutd-node/${version}`,
  "grpc.keepalive_time_ms": 20_000, // a dead daemon is found within 30 s
  "grpc.keepalive_timeout_ms": 10_000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 5_000,
  "grpc.max_receive_message_length": -1, // the daemon's own limits hold
  "grpc.max_send_message_length": -1,
};

/** The addresses of `options`, each with its own channel, which connects when it is used. */
export function addresses(options: AddressOptions): Address[] {
  const { address = process.env.FANOUTD_ADDRESS || "localhost:8081", key = process.env.FANOUTD_CONTROL_KEY, tls } = options;
  const names = (typeof address === "string" ? address.split(",") : [...address]).map((name) => name.trim()).filter((name) => name !== "");
  if (names.length === 0) throw new TypeError("address names no address of fanoutd's control listener");
  const credentials = tls ? secure(tls === true ? {} : tls) : grpc.credentials.createInsecure();
  const interceptors = [headers(key ? { "fanoutd-api-level": apiLevel, authorization: `Bearer ${key}` } : { "fanoutd-api-level": apiLevel })];
  return names.map((name) => new Address(name, credentials, interceptors));
}

function secure(tls: TlsOptions): grpc.ChannelCredentials {
  const pem = (text?: string | Buffer, file?: string) => (text !== undefined ? Buffer.from(text) : file !== undefined ? readFileSync(file) : null);
  return grpc.credentials.createSsl(pem(tls.ca, tls.caFile), pem(tls.key, tls.keyFile), pem(tls.cert, tls.certFile));
}

function headers(all: Record<string, string>): grpc.Interceptor {
  return (options, next) =>
    new grpc.InterceptingCall(next(options), {
      start(metadata, listener, start) {
        for (const [name, value] of Object.entries(all)) metadata.set(name, value);
        start(metadata, listener);
      },
    });
}
