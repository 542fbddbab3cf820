import { BinaryReader } from "@bufbuild/protobuf/wire";
import { status as codes, type ServiceError } from "@grpc/grpc-js";

import { Status } from "./gen/fanout/v1/status.js";

/** The name of a gRPC status code, such as "INVALID_ARGUMENT". */
export type Code = keyof typeof codes;

/** What the daemon refused, or what kept a request from it. */
export class FanoutdError extends Error {
  override readonly name: string = "FanoutdError";

  constructor(
    /** The code for programs. */
    readonly code: Code,
    message: string,
    /** The reason within the code, such as "CONSUMER_REPLACED"; empty if there is none. */
    readonly reason: string = "",
    /** What is known beside the reason, such as the `node` of a NODE_UNREACHABLE. */
    readonly metadata: Readonly<Record<string, string>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** Whether the same request may succeed later, or at another address. */
  get temporary(): boolean {
    return this.code === "UNAVAILABLE" || this.code === "RESOURCE_EXHAUSTED";
  }

  /** From the status of one operation of many. */
  static fromStatus(status: Status): FanoutdError {
    const { reason, metadata } = errorInfo(status);
    return new FanoutdError(codeName(status.code ?? 2), status.message ?? "", reason, metadata);
  }

  /** From what a gRPC call at this address failed with. Reason NOT_CONNECTED: nothing of it has reached the daemon. */
  static fromCall(err: ServiceError | Error, address = "its address"): FanoutdError {
    if (err instanceof FanoutdError) return err;
    if (!("code" in err) || typeof err.code !== "number") return new FanoutdError("UNKNOWN", err.message, "", {}, { cause: err });
    if (err.code === codes.UNAVAILABLE && notConnected.test(err.details)) {
      const why = err.details.replace(/^No connection established\.( Last error: (Error: )?)?/, "").replace(/( \(\d{4}-[\d-]+T[\d:.]+Z\))?\. Resolution note: *.*$/, "");
      const message = `no answer at ${address} (${why}): start fanoutd, in development with "npx fanoutd", or name its control listener by the option address or by $FANOUTD_ADDRESS`;
      return new FanoutdError("UNAVAILABLE", message, "NOT_CONNECTED", {}, { cause: err });
    }
    const [bytes] = err.metadata?.get("grpc-status-details-bin") ?? [];
    const { reason, metadata } = Buffer.isBuffer(bytes) ? errorInfo(Status.decode(bytes)) : noInfo;
    return new FanoutdError(codeName(err.code), err.details || err.message, reason, metadata, { cause: err });
  }
}

/**
 * What a count or a list fails with that lacks the connections of some nodes of a cluster, since these did not answer: it may be
 * complete later. With the option `allowPartial` it does not fail.
 */
export class PartialError extends FanoutdError {
  override readonly name = "PartialError";

  constructor(
    /** How many connections the other nodes have: those counted, or listed before this. */
    readonly count: number,
    /** The names of the nodes that did not answer. */
    readonly unreachable: readonly string[],
  ) {
    super("UNAVAILABLE", `only ${count} counted: no answer from ${unreachable.join(", ")}`, "NODE_UNREACHABLE", { node: unreachable[0] ?? "" });
  }
}

// How grpc-js says that it has no connection to send by.
const notConnected = /^(No connection established|Name resolution failed)/;

function codeName(code: number): Code {
  return (codes[code] as Code | undefined) ?? "UNKNOWN";
}

interface ErrorInfo {
  reason: string;
  metadata: Record<string, string>;
}

const noInfo: ErrorInfo = { reason: "", metadata: {} };

// The google.rpc.ErrorInfo among the details: reason is field 1, metadata field 3.
function errorInfo(status: Status): ErrorInfo {
  const any = status.details?.find(({ typeUrl }) => typeUrl?.endsWith("/google.rpc.ErrorInfo"));
  if (!any?.value) return noInfo;
  const info: ErrorInfo = { reason: "", metadata: {} };
  const reader = new BinaryReader(any.value);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1) info.reason = reader.string();
    else if (field === 3) {
      const [key, value] = entry(reader.bytes());
      info.metadata[key] = value;
    } else reader.skip(type);
  }
  return info;
}

function entry(bytes: Uint8Array): [string, string] {
  const reader = new BinaryReader(bytes);
  const pair: [string, string] = ["", ""];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1 || field === 2) pair[field - 1] = reader.string();
    else reader.skip(type);
  }
  return pair;
}
