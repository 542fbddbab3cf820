"""The exceptions of python-socketio, under the same names."""

from __future__ import annotations

from typing import Any


class SocketIOError(Exception):
    """What this package raises, besides errors of fanoutd."""


class ConnectionError(SocketIOError):
    """Something about a connection."""


class ConnectionRefusedError(ConnectionError):
    """Raised by a connect handler: the client may not connect. The first argument is the
    message that its connect_error gets; those after it are its data."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.error_args: dict[str, Any] = {"message": str(args[0]) if args else "Connection rejected by server"}
        if len(args) == 2:
            self.error_args["data"] = args[1]
        elif len(args) > 2:
            self.error_args["data"] = args[1:]


class TimeoutError(SocketIOError):
    """No answer to a call came in time."""


class BadNamespaceError(SocketIOError):
    """A namespace that is not connected."""


class DisconnectedError(SocketIOError):
    """The connection has ended."""


class CallDisconnectedError(TimeoutError, DisconnectedError):
    """The client of a call is gone, and will not answer: known at once, where python-socketio
    waits for the timeout, and a TimeoutError as it is there."""
