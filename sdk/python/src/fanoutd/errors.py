"""What a daemon refuses, and what becomes of it when there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf import any_pb2

CODES = {code.value[0]: code for code in grpc.StatusCode}


class FanoutdError(Exception):
    """Something that the daemon did not do.

    code is gRPC's, such as grpc.StatusCode.NOT_FOUND. reason is what the daemon names it for
    programs, such as "DISCONNECTED"; empty if it has no name.
    """

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN

    def __init__(self, message: str, code: grpc.StatusCode | None = None, reason: str = "") -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        self.reason = reason


class InvalidArgumentError(FanoutdError, ValueError):
    """The request is wrong, and would be wrong again; the message names the field."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFoundError(FanoutdError, LookupError):
    """No such connection, group or consumer is there now."""

    code = grpc.StatusCode.NOT_FOUND


class DeadlineExceededError(FanoutdError, TimeoutError):
    """No answer came in time."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class PermissionDeniedError(FanoutdError, PermissionError):
    """The key may not do this, or is none that the daemon knows."""

    code = grpc.StatusCode.PERMISSION_DENIED


class UnavailableError(FanoutdError, ConnectionError):
    """No daemon answered, and nothing was done."""

    code = grpc.StatusCode.UNAVAILABLE


class PartialError(UnavailableError):
    """Nodes of a cluster did not answer, so that their connections are missing: it may be
    complete later. count is how many the others have, those counted, or listed before this;
    unreachable has the names of the nodes. With allow_partial=True it is not raised."""

    def __init__(self, count: int, unreachable: Sequence[str]) -> None:
        super().__init__(f"only {count} counted: no answer from {', '.join(unreachable)}", reason="NODE_UNREACHABLE")
        self.count = count
        self.unreachable = list(unreachable)


class OutcomeUnknownError(UnavailableError):
    """The daemon went away before it answered: it may have been done, or not."""


class DisconnectedError(FanoutdError, ConnectionError):
    """The connection ended before its browser had answered."""

    code = grpc.StatusCode.ABORTED


KINDS: dict[grpc.StatusCode, type[FanoutdError]] = {
    kind.code: kind
    for kind in (InvalidArgumentError, NotFoundError, DeadlineExceededError, PermissionDeniedError, UnavailableError)
}
KINDS[grpc.StatusCode.UNAUTHENTICATED] = PermissionDeniedError


def of_code(code: grpc.StatusCode, message: str, details: Any = ()) -> FanoutdError:
    """The error for a status, with the reason that its details name."""
    reason = next((r for r in map(_reason, details) if r), "")
    if code == grpc.StatusCode.ABORTED and reason == "DISCONNECTED":
        return DisconnectedError(message, reason=reason)
    return KINDS.get(code, FanoutdError)(message, code, reason)


def of_status(status: Any) -> FanoutdError:
    """The error for a fanoutd.v1.Status that is not OK."""
    return of_code(CODES.get(status.code, grpc.StatusCode.UNKNOWN), status.message, status.details)


def of_rpc(err: grpc.aio.AioRpcError) -> FanoutdError:
    """The error for a call that failed."""
    details = []
    for name, value in err.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            from . import v1

            details = list(v1.Status.FromString(value if isinstance(value, bytes) else value.encode()).details)
    return of_code(err.code(), err.details() or err.code().name, details)


def _reason(detail: any_pb2.Any) -> str:
    """The reason of a google.rpc.ErrorInfo: its first field."""
    if not detail.type_url.endswith("/google.rpc.ErrorInfo"):
        return ""
    value = detail.value
    if len(value) < 2 or value[0] != 0x0A or value[1] >= 0x80:
        return ""
    return value[2 : 2 + value[1]].decode("utf-8", "replace")
