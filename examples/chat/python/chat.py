"""A small chat on fanoutd, with nothing but the stock gRPC library: everybody
hears everybody, rooms are heard by who is in them, and the number of people is
always up to date. It keeps nothing: run as many of it as you like.

    pip install -r requirements.txt
    python chat.py [address of the control API]

A key is taken from $FANOUTD_CONTROL_KEY.
"""

import asyncio
import json
import os
import pathlib
import random
import signal
import sys
import uuid

import grpc

# The contract is read as it is: no generated files, no build step.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "proto"))
emitter_pb, emitter_rpc = grpc.protos_and_services("fanout/v1/emitter.proto")
registry_pb, registry_rpc = grpc.protos_and_services("fanout/v1/registry.proto")
event_pb, event_rpc = grpc.protos_and_services("fanout/v1/event.proto")
target_pb = grpc.protos("fanout/v1/target.proto")

EVERYBODY = target_pb.Target(all=True)
KEY = os.environ.get("FANOUTD_CONTROL_KEY")
METADATA = (("authorization", f"Bearer {KEY}"),) if KEY else ()
SETTINGS = [("grpc.keepalive_time_ms", 20_000), ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 5_000)]
OK = [{"ok": True}]


def wrong(why):
    """What is said to be wrong is told, not retried: it would be wrong again."""
    return [{"error": why}]


def is_text(value, longest, shortest=0):
    return isinstance(value, str) and shortest <= len(value) <= longest


class Chat:
    def __init__(self, channel):
        self.emitter = emitter_rpc.EmitterServiceStub(channel)
        self.registry = registry_rpc.RegistryServiceStub(channel)
        self.events = event_rpc.EventServiceStub(channel)
        self.counting = asyncio.Lock()
        self.consumer_id = str(uuid.uuid4())
        self.queues = {}  # the last task of each connection, across streams
        self.stopping = asyncio.Event()
        self.handlers = {"send message": self.send_message, "join room": self.join_room,
                         "leave room": self.leave_room, "users count": self.users_count}

    async def emit(self, to, event, args, key=""):
        request = emitter_pb.EmitRequest(to=to, event=event, args_json=json.dumps(args), idempotency_key=key)
        await self.emitter.Emit(request, metadata=METADATA, timeout=5)

    # What a handler returns is the reply, as a list of arguments.

    async def send_message(self, event, msg=None, more=None, *_):
        more = more if isinstance(more, dict) else {}
        name, room = more.get("name", ""), more.get("room", "")
        if not (is_text(msg, 2000, 1) and is_text(name, 100) and is_text(room, 100)):
            return wrong("a message is (text, {name, room})")
        to = target_pb.Target(rooms=[room]) if room else EVERYBODY
        # With its key, a message is sent once even if the event comes again.
        await self.emit(to, "new message", [{"msg": msg, "name": name, "room": room}], event.delivery_id)
        return OK

    async def join_room(self, event, room=None, *_):
        if not is_text(room, 100, 1):
            return wrong("a room is a name")
        me = target_pb.Target(ids=[event.connection_id])
        await self.registry.Join(registry_pb.JoinRequest(to=me, rooms=[room]), metadata=METADATA, timeout=5)
        return OK

    async def leave_room(self, event, room=None, *_):
        if not is_text(room, 100, 1):
            return wrong("a room is a name")
        me = target_pb.Target(ids=[event.connection_id])
        await self.registry.Leave(registry_pb.LeaveRequest(to=me, rooms=[room]), metadata=METADATA, timeout=5)
        return OK

    async def users_count(self, *_):
        request = registry_pb.CountConnectionsRequest(to=EVERYBODY)
        return [(await self.registry.CountConnections(request, metadata=METADATA, timeout=5)).total]

    async def say_count(self):
        async with self.counting:  # the latest count is to be told last
            await self.emit(EVERYBODY, "users count", await self.users_count())

    async def handle(self, event):
        if event.kind != event_pb.Event.MESSAGE:  # CONNECTED, DISCONNECTED
            return await self.say_count()
        return await self.handlers[event.event](event, *json.loads(event.args_json))

    async def consume(self):
        """Lives through one stream; raises what ended it."""
        out = asyncio.Queue()  # bounded by the deliveries in flight
        out.put_nowait(event_pb.ConsumeRequest(open=event_pb.ConsumeRequest.Open(
            group="chat", consumer_id=self.consumer_id, namespaces=["/"], events=list(self.handlers), lifecycle=True)))

        async def requests():
            while (request := await out.get()) is not None:
                yield request

        async def settle(event, before):
            """Handles an event after the one before it of the same connection."""
            if before:
                await asyncio.wait([before])
            if stream.done():
                return  # it comes again
            try:
                reply = await self.handle(event)
            except Exception as err:  # without its stream, all that is not settled comes again, in order
                print(f"event {event.delivery_id} failed: {err}", file=sys.stderr)
                stream.cancel()
                return
            if event.reply_expected:
                out.put_nowait(event_pb.ConsumeRequest(reply=event_pb.ReplyRequest(
                    delivery_id=event.delivery_id, args_json=json.dumps(reply or []))))
            else:
                out.put_nowait(event_pb.ConsumeRequest(ack=event_pb.ConsumeRequest.Ack(
                    delivery_ids=[event.delivery_id])))

        async def leave():
            await self.stopping.wait()
            out.put_nowait(event_pb.ConsumeRequest(leave=event_pb.ConsumeRequest.Leave()))

        stream = self.events.Consume(requests(), metadata=METADATA)
        leaving = asyncio.create_task(leave())
        try:
            async for response in stream:
                match response.WhichOneof("response"):
                    case "events":
                        # One after the other for each connection, those of others meanwhile.
                        for event in response.events.events:
                            queue = event.connection_id
                            task = asyncio.create_task(settle(event, self.queues.get(queue)))
                            self.queues[queue] = task
                            task.add_done_callback(lambda t, queue=queue: self.queues.get(queue) is t and self.queues.pop(queue))
                    case "draining" if self.stopping.is_set():
                        if self.queues:  # nothing follows; once all is settled, so is the stream
                            await asyncio.wait(list(self.queues.values()))
                        out.put_nowait(None)
        finally:
            leaving.cancel()
            stream.cancel()

    async def run(self):
        failures = 0
        while not self.stopping.is_set():
            began = asyncio.get_running_loop().time()
            try:
                await self.consume()
            except (grpc.aio.AioRpcError, asyncio.CancelledError) as err:
                if self.stopping.is_set():
                    return
                reason = err.details() if isinstance(err, grpc.aio.AioRpcError) else "an event failed"
                print(f"the stream ended, trying again: {reason}", file=sys.stderr)
            failures = 0 if asyncio.get_running_loop().time() - began > 10 else failures + 1
            await asyncio.sleep(min(0.1 * 2**failures, 5) * random.uniform(0.5, 1))


async def main():
    async with grpc.aio.insecure_channel(sys.argv[1] if len(sys.argv) > 1 else "localhost:8081", SETTINGS) as channel:
        chat = Chat(channel)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, chat.stopping.set)
        await chat.run()


asyncio.run(main())
