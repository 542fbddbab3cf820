"""python-socketio's client on threads: client.py URL TRANSPORT TOKEN"""

import sys

import socketio

url, transport, token = sys.argv[1:]
sio = socketio.Client(reconnection_delay=0.05, reconnection_delay_max=0.5)


@sio.on("echo")
def echo(*args):
    sio.emit("echoed", args)


@sio.on("call me")
def call_me(*args):
    sio.emit("question", args, callback=lambda *answer: sio.emit("answer", answer))


@sio.on("ask")
def ask(*args):
    return args


@sio.on("bye")
def bye(_why):
    sio.disconnect()


@sio.on("connect_error")
def connect_error(why):
    print("refused:", why, flush=True)


transports = ["polling", "websocket"] if transport == "upgrade" else [transport]
sio.connect(url, transports=transports, auth={"token": token}, wait_timeout=60)
sio.wait()
