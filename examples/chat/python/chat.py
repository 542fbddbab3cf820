"""A small chat on fanoutd, with its Python package: everybody hears everybody, rooms are
heard by who is in them, and the number of people is always up to date. It keeps nothing: run
as many of it as you like.

    pip install fanoutd  # in a checkout: pip install ./sdk/python
    python chat.py [address of the control API]

A key is taken from $FANOUTD_CONTROL_KEY.
"""

import asyncio
import logging
import signal
import sys

import fanoutd

OK = {"ok": True}


def wrong(why):
    """What is said to be wrong is told, not retried: it would be wrong again."""
    return {"error": why}


def is_text(value, longest, shortest=0):
    return isinstance(value, str) and shortest <= len(value) <= longest


def room_of(event):
    room = event.args[0] if event.args else None
    return room if is_text(room, 100, 1) else None


async def main():
    address = sys.argv[1] if len(sys.argv) > 1 else "localhost:8081"
    async with fanoutd.Client(address) as daemon:
        consumer = daemon.consumer("chat", namespaces=["/"])
        counting = asyncio.Lock()

        async def users():
            # While a node of a cluster does not answer, those of the others.
            return await daemon.count(fanoutd.everybody(), allow_partial=True)

        # What a handler returns is the reply. One that raises has the event come again.

        @consumer.on("send message")
        async def send_message(event):
            msg, more = (*event.args, None, None)[:2]
            more = more if isinstance(more, dict) else {}
            name, room = more.get("name", ""), more.get("room", "")
            if not (is_text(msg, 2000, 1) and is_text(name, 100) and is_text(room, 100)):
                return wrong("a message is (text, {name, room})")
            to = fanoutd.rooms(room) if room else fanoutd.everybody()
            # With its key, a message is sent once even if the event comes again.
            await daemon.emit(to, "new message", {"msg": msg, "name": name, "room": room}, idempotency_key=event.key)
            return OK

        @consumer.on("join room")
        async def join_room(event):
            if not (room := room_of(event)):
                return wrong("a room is a name")
            await daemon.join(fanoutd.connections(event.connection_id), room)
            return OK

        @consumer.on("leave room")
        async def leave_room(event):
            if not (room := room_of(event)):
                return wrong("a room is a name")
            await daemon.leave(fanoutd.connections(event.connection_id), room)
            return OK

        @consumer.on("users count")
        async def users_count(event):
            return await users()

        @consumer.on_connect
        @consumer.on_disconnect
        async def say_count(event):
            async with counting:  # the latest count is to be told last
                await daemon.emit(fanoutd.everybody(), "users count", await users())

        running = asyncio.create_task(consumer.run())
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        try:
            await running
        except asyncio.CancelledError:
            pass  # what was in hand is settled


logging.basicConfig(level=logging.INFO)
asyncio.run(main())
