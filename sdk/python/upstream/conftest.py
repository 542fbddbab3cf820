"""A stand-in for the daemon, for tests that speak to python-socketio's servers by packets.

The tests import the modules of python-socketio; the servers and class-based namespaces in
these are replaced by this package's, with the methods through which Engine.IO would call
them. A packet becomes the event that a daemon would deliver, and what comes of that becomes
packets again: both by python-socketio's own packets.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import pathlib
import threading

import pytest
import socketio  # python-socketio
from chosen import document, why_not
from socketio import async_namespace, async_server, base_namespace, exceptions, namespace, packet, server

import fanoutd.socketio as ours
from fanoutd import v1
from fanoutd.socketio import _engine
from fanoutd.socketio._connections import Connection, State


def pytest_collection_modifyitems(items):
    left_out = []
    for item in items:
        why = why_not(item.originalname, item.nodeid)
        if why:
            item.add_marker(pytest.mark.skip(reason=why))
            left_out.append((item.nodeid.split("[")[0], why))
    here = pathlib.Path(__file__).resolve().parent
    modules = sorted(str(p.relative_to(here)) for p in here.rglob("test_*.py"))
    (here / "left_out.md").write_text(document(modules, left_out))


class Standin(_engine.Engine):
    """An engine whose subscription and commands end here."""

    def __init__(self, s) -> None:
        super().__init__(s, None, s._call_handler, logging.getLogger("upstream"))  # type: ignore[arg-type]
        self._subscription = self  # type: ignore[assignment]
        self.actions.operate = self.operate  # type: ignore[method-assign]
        self.outcomes: dict[str, object] = {}
        self.eio_sids: dict[tuple[str, str], str] = {}  # by namespace and id
        self.flying: set[str] = set()
        self.n = 0

    def namespaces_changed(self):
        pass

    # What a subscription does.

    def in_flight(self, delivery_id):
        return delivery_id in self.flying

    def _settled(self, delivery_id, how):
        self.flying.discard(delivery_id)
        self.outcomes[delivery_id] = how

    def ack(self, delivery_id):
        self._settled(delivery_id, None)

    def nack(self, delivery_id, *_):
        self._settled(delivery_id, "nack")

    def reply(self, delivery_id, text, attachments):
        self._settled(delivery_id, (text, attachments))

    def verdict(self, verdict):
        self._settled(verdict.delivery_id, verdict)

    async def deliver(self, **fields):
        """Delivers an event, and returns how it was settled."""
        self.n += 1
        key = str(self.n)
        self.flying.add(key)
        self.on_event(v1.Event(delivery_id=key, **fields))
        while key not in self.outcomes:
            await asyncio.sleep(0)
        return self.outcomes[key]

    async def operate(self, operation, *, repeatable=False):
        if operation.HasField("disconnect"):
            to = operation.disconnect.to
            for sid in to.ids:
                if self.connections.get(to.namespace, sid) is not None:
                    await self.server.say(self.eio_sids[to.namespace, sid], packet.DISCONNECT, to.namespace)
                    await self.gone(to.namespace, sid, cause=v1.Event.BACKEND)
        return v1.OperationResult()

    async def _connect_handler(self, connection):
        try:
            return await super()._connect_handler(connection)
        except Exception as err:
            self.failed = err
            raise

    async def gone(self, ns, sid, **how):
        self.eio_sids.pop((ns, sid), None)
        await self.deliver(kind=v1.Event.DISCONNECTED, namespace=ns, connection_id=sid, **how)
        if hasattr(self.server.manager, "disconnect"):
            await outcome(self.server.manager.disconnect(sid, ns, ignore_queue=True))

    def _environ(self, connection):
        return self.server.environ[self.eio_sids[connection.raw.namespace, connection.raw.id]]


async def outcome(result):
    """What a method returns, be it a coroutine's."""
    return await result if inspect.isawaitable(result) else result


class AsyncFace:
    """The methods by which python-socketio's tests speak to an AsyncServer."""

    def __init__(self, *args, client_manager=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.eio = server.engineio.AsyncServer() if self.is_asyncio_based() else server.engineio.Server()
        self.environ = {}
        self.manager.connect = self._there
        self.manager.sid_from_eio_sid = lambda eio_sid, ns: next((s for (n, s), e in self._up().eio_sids.items() if (n, e) == (ns, eio_sid)), None)

    def _up(self):
        if self._engine is None:
            self._engine = Standin(self)
        return self._engine

    _running = _up

    async def _there(self, eio_sid, ns):
        sid = self.eio.generate_id()
        raw = v1.Connection(id=sid, namespace=ns)
        self._up().connections.put(Connection(raw, State.CONNECTED))
        self._up().eio_sids[ns, sid] = eio_sid
        return sid

    async def say(self, eio_sid, kind, ns, data=None, id=None):
        encoded = packet.Packet(kind, data=data, namespace=ns, id=id).encode()
        for part in encoded if isinstance(encoded, list) else [encoded]:
            await outcome(self.eio.send(eio_sid, part))

    async def _handle_eio_connect(self, eio_sid, environ):
        if not self.environ and hasattr(self.manager, "initialize"):
            self.manager.initialize()
        self.environ[eio_sid] = environ

    async def _trigger_event(self, event, ns, *args):
        handler, args = self.find_handler(event, ns, args)
        if handler is not None:
            await self._call_handler(handler, *args)

    async def _handle_eio_message(self, eio_sid, data):
        engine, pkt = self._up(), packet.Packet(encoded_packet=data)
        ns = pkt.namespace or "/"
        if pkt.packet_type == packet.CONNECT:
            asked = self.consumed_namespaces()
            if asked and ns not in asked:
                return  # a namespace that is nobody's: the daemon refuses it
            sid = self.eio.generate_id()
            engine.eio_sids[ns, sid] = eio_sid
            raw = v1.Connection(id=sid, namespace=ns)
            auth = json.dumps([pkt.data]) if pkt.data else "[]"
            verdict = await engine.deliver(kind=v1.Event.CONNECTING, namespace=ns, connection_id=sid, connection=raw, args_json=auth)
            if verdict.HasField("refuse"):
                if verdict.refuse.retry:
                    raise engine.failed
                why = {"message": verdict.refuse.message}
                if verdict.refuse.data_json:
                    why["data"] = json.loads(verdict.refuse.data_json)
                await self.say(eio_sid, packet.CONNECT_ERROR, ns, why)
                return
            await self.say(eio_sid, packet.CONNECT, ns, {"sid": sid})
            await engine.deliver(kind=v1.Event.CONNECTED, namespace=ns, connection_id=sid, connection=raw)
        elif pkt.packet_type == packet.DISCONNECT:
            await engine.gone(ns, self.manager.sid_from_eio_sid(eio_sid, ns), cause=v1.Event.CLIENT_LEFT)
        elif pkt.packet_type == packet.EVENT:
            sid = self.manager.sid_from_eio_sid(eio_sid, ns)
            if sid is None:
                return
            name, *args = pkt.data
            how = await engine.deliver(
                kind=v1.Event.MESSAGE, namespace=ns, connection_id=sid, event=name, args_json=json.dumps(args), reply_expected=pkt.id is not None
            )
            if isinstance(how, tuple):
                await self.say(eio_sid, packet.ACK, ns, json.loads(how[0]), pkt.id)

    async def _handle_eio_disconnect(self, eio_sid, reason):
        engine = self._up()
        for ns, sid in [k for k, e in engine.eio_sids.items() if e == eio_sid]:
            await engine.gone(ns, sid, reason=reason)
        self.environ.pop(eio_sid, None)


class AsyncServer(AsyncFace, ours.AsyncServer):
    pass


class Server(AsyncFace, ours.Server):
    """The same methods for threads: each runs on the server's event loop, and is waited for."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        there, self.manager.connect = self._there, lambda *a: self._do(lambda _: there(*a))

    def _make_engine(self):
        if self._engine is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._run, args=(self._loop,), daemon=True)
            self._thread.start()

            async def make():
                return Standin(self)

            self._engine = asyncio.run_coroutine_threadsafe(make(), self._loop).result()
        return self._engine

    _up = _make_engine


def _waits(name):
    method = getattr(AsyncFace, name)
    return lambda self, *args: self._do(lambda _: method(self, *args))


for name in ("_handle_eio_connect", "_handle_eio_message", "_handle_eio_disconnect", "_trigger_event"):
    setattr(Server, name, _waits(name))


async_server.AsyncServer = socketio.AsyncServer = AsyncServer
server.Server = socketio.Server = Server
async_namespace.AsyncNamespace = ours.AsyncNamespace
namespace.Namespace = ours.Namespace
base_namespace.BaseServerNamespace = ours.base_namespace.BaseServerNamespace
for name in ("ConnectionRefusedError", "TimeoutError"):
    setattr(exceptions, name, getattr(ours.exceptions, name))
