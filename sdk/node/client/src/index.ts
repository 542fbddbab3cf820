export type { AddressOptions, TlsOptions } from "./address.js";
export { Address } from "./address.js";
export { apart } from "./apart.js";
export { type Arg, decodeArgs, type EncodedArgs, encodeArgs } from "./args.js";
export { type Addresses, Commands, type ResultHandler, type SendOptions } from "./commands.js";
export {
  type Admission,
  type ConnectingHandler,
  Consumer,
  type ConsumerEvent,
  type ConsumerOptions,
  type EventHandler,
  type LifecycleHandler,
  Refusal,
  Reply,
} from "./consumer.js";
export { type Ack, type Acks, type Affected, Daemon, type EmitOptions, type ReadOptions } from "./daemon.js";
export { type Code, FanoutdError, PartialError } from "./errors.js";
export type { JsonValue } from "./json.js";
export { type Delivery, Subscription, type SubscriptionHandlers } from "./subscription.js";
export { duration } from "./time.js";

// The contract: messages, enums and stubs.
export * from "./gen/fanout/v1/admin.js";
export * from "./gen/fanout/v1/block.js";
export * from "./gen/fanout/v1/emitter.js";
export * from "./gen/fanout/v1/event.js";
export * from "./gen/fanout/v1/registry.js";
export * from "./gen/fanout/v1/status.js";
export * from "./gen/fanout/v1/target.js";
