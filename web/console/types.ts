// What of the contract's messages the pages show; fields that have their default are left out
// of answers.

export interface Connection {
  id: string;
  namespace: string;
  userId?: string;
  rooms?: string[];
  transport?: string;
  protocol?: number;
  node?: string;
  handshake?: Handshake;
  connectedAt?: string;
  remoteAddress?: string;
  data?: unknown;
  dataJson?: string;
  queuedBytes?: number;
  expiresAt?: string;
  recovered?: boolean;
  volatileDropped?: number;
  session?: string;
}

export interface Handshake {
  headers?: Record<string, string>;
  query?: Record<string, string>;
  url?: string;
  secure?: boolean;
  address?: string;
  issuedAt?: string;
  auth?: unknown;
  authJson?: string;
}

export interface Target {
  namespace?: string;
  all?: boolean;
  rooms?: string[];
  ids?: string[];
  users?: string[];
  except?: string[];
}

export interface Event {
  kind?: string;
  namespace?: string;
  connectionId?: string;
  userId?: string;
  sequence?: string;
  event?: string;
  args?: unknown[];
  argsJson?: string;
  attachments?: string[];
  replyExpected?: boolean;
  reason?: string;
  detail?: string;
  receivedAt?: string;
  attempt?: number;
}

export interface Consumer {
  consumerId: string;
  node?: string;
  namespaces?: string[];
  events?: string[];
  lifecycle?: boolean;
  authorize?: boolean;
  maxInFlight?: number;
  inFlight?: number;
  connections?: number;
  queuedBytes?: number;
  leaving?: boolean;
  lastActive?: string;
  topics?: string[];
}

export interface Group {
  name: string;
  consumers?: Consumer[];
  pendingEvents?: number;
  authorizedNamespaces?: string[];
  warning?: string;
  lostEvents?: string;
  pendingBytes?: string;
  inFlight?: number;
  oldestPendingAge?: string;
  delivered?: string;
  redelivered?: string;
  dropped?: string;
  deadLetters?: string;
}

export interface DeadLetter {
  id: string;
  group: string;
  event?: Event;
  reason?: string;
  consumerId?: string;
  node?: string;
  deadAt?: string;
  replaying?: boolean;
  omittedBytes?: string;
}

export interface Node {
  name: string;
  epoch?: string;
  version?: string;
  state?: string;
  since?: string;
  self?: boolean;
  connections?: number;
  load?: number;
  link?: { sent?: string; received?: string; repaired?: string; refused?: string; dropped?: string };
}

export interface Block {
  userId?: string;
  address?: string;
  until?: string;
  reason?: string;
  blockedAt?: string;
  caller?: string;
  node?: string;
}

export interface Page {
  nextPageToken?: string;
  unreachable?: string[];
}

export interface Affected {
  affected?: number;
  partial?: boolean;
  unreachable?: string[];
}
