"""Operations in one order, over EmitterService.Execute."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable

import grpc
import grpc.aio

from . import errors, v1
from ._channel import Backoff, Channels, connected

MAX_OPEN = 4096  # commands without a result, beyond which callers wait

AWAITED = ("call", "emit_with_ack")  # what browsers answer


class Command:
    """One operation until its last result."""

    def __init__(self, operation: v1.Operation, repeatable: bool, heard: Callable[[v1.OperationResult], None] | None) -> None:
        self.operation = operation
        self.repeatable = repeatable  # doing it twice is doing it once
        self.heard = heard  # called with each result but the last
        self.sequence = 0  # 0: not handed to a stream yet
        self.done: asyncio.Future[v1.OperationResult] = asyncio.get_running_loop().create_future()

    @property
    def awaits(self) -> bool:
        return self.operation.WhichOneof("operation") in AWAITED


class Commands:
    """Sends commands in the order of submit, without waiting for one to send the next.

    Opens its stream with the first command, and again, at the next address, when it is
    lost. Commands that were under way then are sent again if they are repeatable, and are
    OutcomeUnknownError otherwise. Those that are not sent within patience are
    UnavailableError. For one event loop.
    """

    def __init__(self, channels: Channels, log: logging.Logger, patience: float = 30.0, opening: v1.ExecuteRequest.Open | None = None) -> None:
        self._opening = opening
        self._channels = channels
        self._log = log
        self._patience = patience
        self._waiting: deque[Command] = deque()  # in order; not handed to a stream
        self._open: dict[int, Command] = {}  # by sequence: handed to the stream
        self._cancels: deque[int] = deque()
        self._sequence = 0
        self._slots = asyncio.Semaphore(MAX_OPEN)
        self._more = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def run(self, operation: v1.Operation, *, repeatable: bool = False) -> v1.OperationResult:
        """Carries one out, and returns its result; FanoutdError if the daemon refuses."""
        command = await self.submit(operation, repeatable=repeatable)
        return await self.result(command)

    async def submit(
        self,
        operation: v1.Operation,
        *,
        repeatable: bool = False,
        heard: Callable[[v1.OperationResult], None] | None = None,
    ) -> Command:
        """Gives one its place in the order. Waits only while very many are under way."""
        if operation.WhichOneof("operation") in AWAITED:
            return self.enqueue(operation, repeatable=repeatable, heard=heard)
        await self._slots.acquire()
        command = self.enqueue(operation, repeatable=repeatable, heard=heard)
        command.done.add_done_callback(lambda _: self._slots.release())
        return command

    def enqueue(
        self,
        operation: v1.Operation,
        *,
        repeatable: bool = False,
        heard: Callable[[v1.OperationResult], None] | None = None,
    ) -> Command:
        """As submit, however many are under way."""
        command = Command(operation, repeatable, heard)
        command.done.add_done_callback(_retrieved)
        if self._closing:
            command.done.set_exception(errors.UnavailableError("this client is closed"))
            return command
        self._waiting.append(command)
        self._more.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep())
        loop = asyncio.get_running_loop()
        late = loop.call_later(self._patience, self._give_up, command)
        command.done.add_done_callback(lambda _: late.cancel())
        return command

    async def result(self, command: Command) -> v1.OperationResult:
        """The last result of a command. Who is cancelled here waits for it no longer."""
        try:
            return await asyncio.shield(command.done)
        except asyncio.CancelledError:
            if not command.done.done():
                self.cancel(command)
            raise

    def cancel(self, command: Command) -> None:
        """Awaits no further answers to a call or an emit_with_ack; others go on."""
        if command.sequence and command.awaits:
            self._cancels.append(command.sequence)
            self._more.set()

    async def close(self, grace: float = 5.0) -> None:
        """Ends when what was submitted is carried out, or after the grace."""
        self._closing = True
        self._more.set()
        if self._task is not None:
            for command in [*self._open.values()]:
                self.cancel(command)
            await asyncio.wait([self._task], timeout=grace)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._fail([*self._waiting, *self._open.values()], errors.UnavailableError("this client is closed"))

    def _give_up(self, command: Command) -> None:
        if command.sequence == 0 and not command.done.done():
            self._waiting.remove(command)
            command.done.set_exception(errors.UnavailableError(f"no daemon at {', '.join(self._channels.addresses)} answers"))

    def _fail(self, commands: list[Command], err: errors.FanoutdError) -> None:
        for command in commands:
            if not command.done.done():
                command.done.set_exception(err)

    async def _keep(self) -> None:
        backoff = Backoff()
        while not (self._closing and not self._waiting and not self._open):
            channel = self._channels.channel
            if not await connected(channel):
                self._channels.next(channel)
                await backoff.wait()
                continue
            stopping = asyncio.Event()
            call = v1.EmitterServiceStub(channel).Execute(self._requests(stopping), metadata=self._channels.metadata)
            try:
                async for response in call:
                    backoff.reset()
                    self._take(response)
                    if response.draining:
                        stopping.set()
                        self._more.set()
                if self._closing:
                    break
            except grpc.aio.AioRpcError as err:
                failure = errors.of_rpc(err)
                self._lost(failure, again=failure.code != grpc.StatusCode.RESOURCE_EXHAUSTED)
                if isinstance(failure, (errors.PermissionDeniedError, errors.InvalidArgumentError)):
                    self._fail([*self._waiting], failure)
                    self._waiting.clear()
                    return
                self._log.debug("the stream of commands to %s ended: %s", self._channels.address, failure)
            finally:
                stopping.set()
                self._more.set()
                call.cancel()
            self._lost(errors.UnavailableError("the stream ended"))
            self._channels.next(channel)
            if not self._closing or self._waiting:
                await backoff.wait()

    def _lost(self, failure: errors.FanoutdError, again: bool = True) -> None:
        """Puts back what may be sent again, and fails the rest of what was under way. A message that
        was larger than the daemon takes would end the next stream too."""
        repeated = []
        for command in [self._open[s] for s in sorted(self._open)]:
            if command.repeatable and again:
                command.sequence = 0
                repeated.append(command)
            elif command.repeatable:
                self._fail([command], failure)
            else:
                unknown = errors.OutcomeUnknownError(f"the daemon went away before it answered: {failure}")
                self._fail([command], unknown)
        self._open.clear()
        self._cancels.clear()
        self._waiting.extendleft(reversed(repeated))

    async def _requests(self, stopping: asyncio.Event) -> AsyncIterator[v1.ExecuteRequest]:
        if self._opening is not None:
            yield v1.ExecuteRequest(open=self._opening)
        while True:
            while self._cancels and not stopping.is_set():
                yield v1.ExecuteRequest(cancel=v1.ExecuteRequest.Cancel(sequence=self._cancels.popleft()))
            while self._waiting and not stopping.is_set():
                command = self._waiting.popleft()
                if command.done.done():
                    continue
                self._sequence += 1
                wanted = v1.ExecuteRequest.Command(sequence=self._sequence, operation=command.operation)
                request = v1.ExecuteRequest(command=wanted)
                if request.ByteSize() > self._channels.max_request_bytes:
                    command.done.set_exception(self._too_large(request))
                    continue
                command.sequence = self._sequence
                self._open[command.sequence] = command
                yield request
            if stopping.is_set() or (self._closing and not self._waiting):
                return
            self._more.clear()
            await self._more.wait()

    def _too_large(self, request: v1.ExecuteRequest) -> errors.FanoutdError:
        """Why a command is not sent that would end the stream, and all that waits there."""
        limit = self._channels.max_request_bytes
        what = f"a command of {request.ByteSize()} bytes cannot be sent: the daemon takes {limit}, its control-max-request, by max_request_bytes"
        return errors.FanoutdError(what, grpc.StatusCode.RESOURCE_EXHAUSTED)

    def _take(self, response: v1.ExecuteResponse) -> None:
        for result in response.results:
            command = self._open.get(result.sequence)
            if command is None:
                continue
            outcome = result.result
            if not result.last:
                if command.heard is not None:
                    command.heard(outcome)
                continue
            del self._open[result.sequence]
            if command.done.done():
                continue
            if outcome.HasField("status") and outcome.status.code != 0:
                command.done.set_exception(errors.of_status(outcome.status))
            else:
                command.done.set_result(outcome)


def _retrieved(done: asyncio.Future[v1.OperationResult]) -> None:
    """An error is the caller's to look at, and none of asyncio's log if there is no caller any more."""
    if not done.cancelled():
        done.exception()
