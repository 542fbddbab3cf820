"""python-socketio's client on asyncio: client_async.py URL TRANSPORT TOKEN"""

import asyncio
import sys

import socketio


async def main(url, transport, token):
    sio = socketio.AsyncClient(reconnection_delay=0.05, reconnection_delay_max=0.5)

    @sio.on("echo")
    async def echo(*args):
        await sio.emit("echoed", args)

    @sio.on("call me")
    async def call_me(*args):
        async def answered(*answer):
            await sio.emit("answer", answer)

        await sio.emit("question", args, callback=answered)

    @sio.on("ask")
    async def ask(*args):
        return args

    @sio.on("bye")
    async def bye(_why):
        await sio.disconnect()

    @sio.on("connect_error")
    async def connect_error(why):
        print("refused:", why, flush=True)

    transports = ["polling", "websocket"] if transport == "upgrade" else [transport]
    await sio.connect(url, transports=transports, auth={"token": token}, wait_timeout=60)
    await sio.wait()


asyncio.run(main(*sys.argv[1:]))
