"""A small chat on fanoutd with nothing but Python's standard library: the daemon sends what
browsers do by HTTP, and does what the answer says. Everybody hears everybody, rooms are heard
by who is in them, and the number of people is always up to date. Any WSGI server can run it;
started by itself, it has one.

    openssl rand -base64 32 > secret
    SECRET_FILE=secret python3 examples/chat/wsgi/chat.py 8000
    bin/fanoutd --demo --webhook-url=http://localhost:8000 --webhook-group=chat \\
        --webhook-lifecycle --webhook-secret-file=secret
"""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import sqlite3
import sys
import tempfile
import time
from wsgiref.simple_server import make_server

EVERYBODY = {"all": True}
STATE_FILE = os.environ.get("STATE_FILE") or os.path.join(tempfile.gettempdir(), "fanoutd-chat.sqlite")


def is_signed(environ, body):
    """Whether fanoutd has sent this, and lately: see https://www.standardwebhooks.com. A file
    with two secrets accepts both."""
    sent, at = environ.get("HTTP_WEBHOOK_ID", ""), environ.get("HTTP_WEBHOOK_TIMESTAMP", "")
    if not at.isdecimal() or abs(time.time() - int(at)) > 300:
        return False  # recorded, and sent again
    signatures = environ.get("HTTP_WEBHOOK_SIGNATURE", "").split()
    for secret in pathlib.Path(os.environ["SECRET_FILE"]).read_text().split():
        key = base64.b64decode(secret.removeprefix("whsec_"))
        digest = hmac.digest(key, f"{sent}.{at}.".encode() + body, hashlib.sha256)
        expected = "v1," + base64.b64encode(digest).decode()
        if any(hmac.compare_digest(expected.encode(), s.encode()) for s in signatures):
            return True
    return False


def people(change=None, connection=None):
    """The number of people, once the change is made. An event that comes once more changes
    nothing."""
    with sqlite3.connect(STATE_FILE) as db:
        db.execute("CREATE TABLE IF NOT EXISTS people (id TEXT PRIMARY KEY)")
        if change:
            db.execute(change, (connection,))
        (count,) = db.execute("SELECT count(*) FROM people").fetchone()
    db.close()
    return count


def is_text(value, longest, shortest=0):
    return isinstance(value, str) and shortest <= len(value) <= longest


def emit(to, event, *args):
    return {"emit": {"to": to, "event": event, "args": args}}


def reply(value, *operations):
    return {"operations": operations, "reply": {"args": [value]}}


def wrong(why):
    """What is said to be wrong is told, not retried: it would be wrong again."""
    return reply({"error": why})


def send_message(event, msg=None, more=None, *_):
    more = more if isinstance(more, dict) else {}
    name, room = more.get("name", ""), more.get("room", "")
    if not (is_text(msg, 2000, 1) and is_text(name, 100) and is_text(room, 100)):
        return wrong("a message is (text, {name, room})")
    to = {"rooms": [room]} if room else EVERYBODY
    return reply({"ok": True}, emit(to, "new message", {"msg": msg, "name": name, "room": room}))


def join_room(event, room=None, *_):
    if not is_text(room, 100, 1):
        return wrong("a room is a name")
    return reply({"ok": True}, {"join": {"to": {"ids": [event["connectionId"]]}, "rooms": [room]}})


def leave_room(event, room=None, *_):
    if not is_text(room, 100, 1):
        return wrong("a room is a name")
    return reply({"ok": True}, {"leave": {"to": {"ids": [event["connectionId"]]}, "rooms": [room]}})


def users_count(event, *_):
    return reply(people())


CHANGES = {"CONNECTED": "INSERT OR IGNORE INTO people VALUES (?)", "DISCONNECTED": "DELETE FROM people WHERE id = ?"}
HANDLERS = {"send message": send_message, "join room": join_room, "leave room": leave_room, "users count": users_count}


def answer(event):
    """What fanoutd is to do. Operations are done in order; if this is asked once more about
    the same event, they are not done twice."""
    if event["kind"] in CHANGES:
        return {"operations": [emit(EVERYBODY, "users count", people(CHANGES[event["kind"]], event["connectionId"]))]}
    handler = HANDLERS.get(event.get("event"))
    return handler(event, *json.loads(event["argsJson"])) if handler else {}


def app(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if not is_signed(environ, body):
        start_response("401 Unauthorized", [("Content-Length", "0")])
        return []
    text = json.dumps(answer(json.loads(body))).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
    return [text]


if __name__ == "__main__":
    with make_server("localhost", int(sys.argv[1]) if len(sys.argv) > 1 else 8000, app) as server:
        server.serve_forever()
