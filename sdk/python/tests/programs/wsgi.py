"""A program as one writes it for python-socketio, with Flask: wsgi.py PORT, or with gunicorn."""

import sys

from flask import Flask

from fanoutd import socketio

sio = socketio.Server(async_mode=None)
app = Flask(__name__)
app.wsgi_app = socketio.WSGIApp(sio, app.wsgi_app, proxy=True)  # type: ignore[method-assign]


@app.route("/")
def index():
    return "the page"


@sio.event
def connect(sid, environ):
    sio.enter_room(sid, "everybody")
    sio.save_session(sid, {"sum": 0})
    sio.emit("hello", (1, {"you": sid}), to=sid)


@sio.event
def number(sid, n):
    sio.emit("got", n, room=sid)


@sio.event
def add(sid, n):
    with sio.session(sid) as session:
        session["sum"] += n
    return session["sum"], "everybody" in sio.rooms(sid)


if __name__ == "__main__":
    app.run(port=int(sys.argv[1]), threaded=True)
