"""python-socketio with the handlers that the benchmark needs: see ../socketio.mjs.

    python socketio_peer.py PORT
"""

import sys

import socketio
from aiohttp import web

io = socketio.AsyncServer(async_mode="aiohttp")
app = web.Application()
io.attach(app)


@io.event
async def connect(sid, environ):
    await io.enter_room(sid, "bench")


@io.event
async def echo(sid, value):
    return value


async def emit(request):
    body = await request.text()
    for _ in range(int(request.query["n"])):
        await io.emit("m", body, room="bench")
    return web.Response(text="ok")


app.router.add_post("/emit", emit)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
