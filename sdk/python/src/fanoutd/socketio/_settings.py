"""What python-socketio's servers take, and is the daemon's to say here."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

# By name: the daemon's setting, and what needs no word since it is the default of both.
DAEMON: dict[str, tuple[str, tuple[Any, ...]]] = {
    "ping_interval": ("--ping-interval", (25,)),
    "ping_timeout": ("--ping-timeout", (20,)),
    "max_http_buffer_size": ("--max-payload", (1_000_000,)),
    "allow_upgrades": ("--transports", (True,)),
    "http_compression": ("--http-compression", ()),
    "compression_threshold": ("--http-compression", (1024,)),
    "cookie": ("--cookie", (None,)),
    "cors_allowed_origins": ("--origins", (None,)),
    "cors_credentials": ("--origins", (True,)),
    "transports": ("--transports", (None, ["polling", "websocket"])),
    "monitor_clients": ("--ping-interval", (True,)),
    "engineio_logger": ("--log-level", (False, None)),
}

MANAGER = (
    "fanoutd has no client managers: the daemon is what connects processes. "
    "Leave client_manager out; a process that only emits makes a server and emits."
)


class SettingWarning(UserWarning):
    """An argument that is a setting of the daemon, and says nothing to it."""


def check(options: Mapping[str, Any], serializer: Any, client_manager: Any) -> None:
    """Raises for what cannot be, and warns of what has to be said to the daemon."""
    if client_manager is not None:
        raise TypeError(MANAGER)
    if serializer not in ("default", "msgpack"):
        raise TypeError("fanoutd speaks JSON and MessagePack, whichever a client does: leave serializer out")
    for name, value in options.items():
        if name not in DAEMON:
            raise TypeError(f"{name} is no argument of this server, nor of python-socketio's")
        flag, silent = DAEMON[name]
        if value not in silent:
            text = f"{name} is a setting of fanoutd here: see {flag}, and leave it out. What it says there holds."
            warnings.warn(text, SettingWarning, stacklevel=5)
