"""Which of python-socketio's tests are left out, and why. LEFT_OUT.md is written from it."""

from __future__ import annotations

import re

MANAGER = "it is about what is handed to a client manager, of which there are none"
ENGINE = "it is about Engine.IO and its packets, which are the daemon's"

# By what the name of a test matches, all of it.
LEFT_OUT: dict[str, str] = {
    "test_create|test_attach|test_handle_request|test_transport|test_shutdown|test_sleep|test_start_background_task": ENGINE,
    "test_emit.*|test_send|test_enter_room.*|test_leave_room.*|test_close_room.*|test_rooms.*": MANAGER,
    "test_call|test_call_with_timeout": MANAGER,
    "test_send_packet|test_send_eio_packet|test_send_with_ack.*|test_handle_event_binary.*|test_handle_event_with_ack_binary": ENGINE,
    "test_handle_error_packet|test_handle_invalid_packet|test_.*_with_partial_binary_packet|test_engineio_logger|test_custom_.*": ENGINE,
    "test_async_handlers|test_handle_disconnect_unknown_client|test_session": "it looks at private parts",
    ".*rejected_always_connect": "the DISCONNECT packet has no data here, of which clients of Socket.IO know nothing",
    "test_handle_connect_namespace_twice": ENGINE,
    "test_get_environ": "an environ is made of what the daemon shows of a handshake, whenever it is asked for",
    "test_serializer_args.*|test_msgpack": "both serializers are the daemon's, and their options with them",
    "test_logger": "no handler is added to the log, and its level is left, unless logger=True asks for it",
}
# The modules that are run.
MODULES = ("async/test_server.py", "async/test_namespace.py", "common/test_server.py", "common/test_namespace.py")

# The others, by what their names match.
MODULES_LEFT_OUT: dict[str, str] = {
    ".*client.*|.*packet.*": "they are about clients and packets, which are python-socketio's and the daemon's",
    ".*manager.*": "there are no client managers",
    ".*admin.*": "there is no Admin UI",
    ".*/test_middleware.py": "the old names of WSGIApp: tests of this package look at what it serves",
    "performance/.*": "they measure",
}


def why_not(name: str, node: str) -> str | None:
    for pattern, why in LEFT_OUT.items():
        if "test_server" in node and re.fullmatch(pattern, name):
            return why
    if "Client" in node or "client_namespace" in name:
        return "it is about clients"
    return None


def document(modules: list[str], tests: list[tuple[str, str]]) -> str:
    """What LEFT_OUT.md says: modules are all that upstream has, tests those that are left out
    of those that are run, each with the reason."""
    lines = [
        "# python-socketio's tests that are not run",
        "",
        "Written by `python upstream/run.py --write`, of what stands in `chosen.py`; a test compares. What is not here",
        "is run against this package.",
        "",
        "| module | why not |",
        "|---|---|",
    ]
    for module in modules:
        if module not in MODULES:
            why = next((why for pattern, why in MODULES_LEFT_OUT.items() if re.fullmatch(pattern, module)), "?")
            lines.append(f"| {module} | {why} |")
    for why in sorted({why for _, why in tests}):
        lines += ["", f"## Since {why}", ""]
        lines += [f"- {name}" for name in sorted({name for name, reason in tests if reason == why})]
    return "\n".join(lines) + "\n"
