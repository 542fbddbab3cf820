"""A program as one writes it for python-socketio, with ASGI: asgi.py PORT"""

import sys

import uvicorn

from fanoutd import socketio

sio = socketio.AsyncServer(async_mode="asgi")
app = socketio.ASGIApp(sio, static_files={"/": {"filename": __file__, "content_type": "text/plain"}}, proxy=True)


@sio.event
async def connect(sid, environ, auth):
    await sio.enter_room(sid, "everybody")
    await sio.save_session(sid, {"sum": 0})
    await sio.emit("hello", (1, {"you": sid}), to=sid)


@sio.event
async def number(sid, n):
    await sio.emit("got", n, room=sid)


@sio.event
async def add(sid, n):
    async with sio.session(sid) as session:
        session["sum"] += n
    return session["sum"], "everybody" in sio.rooms(sid)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
