"""Three nodes, one of which is killed."""

from __future__ import annotations

import asyncio
import signal

import pytest

import fanoutd
from daemon import free_ports
from fanoutd import socketio, v1
from waiting import until


async def test_a_node_is_killed(start_daemon, browser):
    """A program that was connected to it goes on at the next node: those at other nodes keep
    their connections and sessions, and hear and are heard."""
    listens = [f"127.0.0.1:{port}" for port in free_ports(3)]
    nodes = [start_daemon(node_name=name, cluster_listen=at, cluster_peers=",".join(listens)) for name, at in zip("abc", listens, strict=True)]
    addresses = [n.control for n in nodes]
    async with fanoutd.Client(addresses) as client, fanoutd.Client(addresses[2]) as looks:

        async def alive() -> int:
            answer = await v1.AdminServiceStub(looks.channel).ListNodes(v1.ListNodesRequest(), metadata=looks.metadata)
            return sum(n.state == v1.ListNodesResponse.Node.ALIVE for n in answer.nodes)

        async def joined_at() -> list[str]:
            answer = await v1.AdminServiceStub(looks.channel).ListConsumers(v1.ListConsumersRequest(group="cluster"), metadata=looks.metadata)
            return [c.node for g in answer.groups for c in g.consumers]

        async def is_alive(n: int) -> bool:
            return await alive() == n

        async def is_joined_at(name: str) -> bool:
            return await joined_at() == [name]

        await until(lambda: is_alive(3), "the nodes know each other")
        sio = socketio.AsyncServer(addresses=addresses, group="cluster")
        ended: list[str] = []

        @sio.event
        async def connect(sid, environ):
            await sio.save_session(sid, {"n": 0})

        @sio.event
        async def add(sid, n):
            async with sio.session(sid) as session:
                session["n"] += n
            return session["n"]

        @sio.event
        async def disconnect(sid, reason):
            ended.append(sid)

        await sio.start()
        assert await joined_at() == ["a"]
        lost = await browser(nodes[0], reconnection=False).connect()
        b, c = await browser(nodes[1]).connect(), await browser(nodes[2]).connect()
        sids = [b.sid, c.sid]
        for one in (lost, b, c):
            assert await one.io.call("add", 1) == 1
        assert await client.emit(fanoutd.everybody(), "n", 1) >= 1

        await asyncio.to_thread(nodes[0].stop, signal.SIGKILL)
        asking = [asyncio.create_task(one.io.call("add", 2, timeout=30)) for one in (b, c)]
        await until(lambda: emitted(client), "the emit has found a node")
        assert await asyncio.gather(*asking) == [3, 3]
        await until(lambda: is_joined_at("b"), "the program has joined at the next node")
        await until(lambda: all(("n", 2) in one.heard for one in (b, c)), "both hear the second emit")
        for one in (b, c):
            assert [x for x in one.heard if x[0] == "n"] == [("n", 1), ("n", 2)]
        assert [b.sid, c.sid] == sids
        assert not set(sids) & set(ended)
        await sio.shutdown()


async def test_what_lacks_a_node_is_an_error(start_daemon, browser):
    """Unless the caller can do with less."""
    listens = [f"127.0.0.1:{port}" for port in free_ports(2)]
    nodes = [start_daemon(node_name=name, cluster_listen=at, cluster_peers=",".join(listens)) for name, at in zip("ab", listens, strict=True)]
    async with fanoutd.Client(nodes[0].control) as client:

        async def are_both_counted() -> bool:
            return await client.count(fanoutd.everybody(), allow_partial=True) == 2

        here = await browser(nodes[0]).connect()
        await browser(nodes[1], reconnection=False).connect()
        await until(are_both_counted, "the nodes know each other")
        assert await client.count(fanoutd.everybody()) == 2
        await asyncio.to_thread(nodes[1].stop, signal.SIGKILL)
        with pytest.raises(fanoutd.PartialError, match="no answer from b") as counting:
            await client.count(fanoutd.everybody())
        assert (counting.value.count, counting.value.unreachable, counting.value.reason) == (1, ["b"], "NODE_UNREACHABLE")
        assert await client.count(fanoutd.everybody(), allow_partial=True) == 1
        listed: list[str] = []
        with pytest.raises(fanoutd.PartialError) as listing:
            async for connection in client.list_connections(fanoutd.everybody()):
                listed.append(connection.id)
        assert (listed, listing.value.count, listing.value.unreachable) == ([here.sid], 1, ["b"])
        assert [c.id async for c in client.list_connections(fanoutd.everybody(), allow_partial=True)] == [here.sid]

        # What is done does not fail, and says that it may have missed some.
        answers = await client.emit_with_ack(fanoutd.everybody(), "ask", 2, timeout=0.5)
        assert ([answer.connection_id for answer in answers], answers.unreachable) == ([here.sid], ("b",))
        for does in (
            client.join(fanoutd.everybody(), "tea"),
            client.leave(fanoutd.everybody(), "tea"),
            client.disconnect(fanoutd.everybody()),
        ):
            reached = await does
            assert (reached, reached.partial, reached.unreachable) == (1, True, ("b",))


async def emitted(client: fanoutd.Client) -> bool:
    """Whether the second emit was taken. The node that is gone took none."""
    try:
        return await client.emit(fanoutd.everybody(), "n", 2) >= 1
    except fanoutd.OutcomeUnknownError:
        return False
