"""`Sender`: sends submitted commands when they are due, and notes how they ended.

Invariants: a command is sent under the id it was submitted with, so once in effect however often it is sent; it is sent
only while its submission waits; a submission that is being sent can no longer be cancelled.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog

from actorium.actors.commands import Command, Envelope
from actorium.actors.errors import AlreadyExists, CommandConflict, CommandFailed, NotFound, Rejected
from actorium.actors.kind import ActorKind
from actorium.runtime.dispatcher import Dispatcher
from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.retry import Retry
from actorium.sagas.executor import said
from actorium.sagas.submissions import Conclude, Submission
from actorium.store.errors import ActoriumError, ConfigurationError, WrongExpectedVersion
from actorium.store.source import Source

log = structlog.get_logger("actorium.sagas")

_FINAL = (Rejected, NotFound, AlreadyExists, CommandConflict, WrongExpectedVersion, ConfigurationError)
_RETRY = Retry(attempts=1, backoff_s=0.2, backoff_max_s=30.0)
# A command whose handler fails is tried so often, then concluded with the error.
_FAILED_ATTEMPTS_MAX = 5


class Sender:
    """Carries out submitted commands."""

    def __init__(
        self,
        kind: ActorKind,
        commands: Mapping[str, type[Command]],
        send: Callable[..., Any],
        dispatcher: Dispatcher,
        source: Source,
        *,
        max_running: int,
        timeout_s: float,
    ) -> None:
        self._kind = kind
        self._commands = commands
        self._send = send
        self._dispatcher = dispatcher
        self._source = source
        self._max_running = max_running
        self._timeout_s = timeout_s
        self._running: dict[str, asyncio.Task[None]] = {}
        self._line: deque[str] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._running) + len(self._line)

    def is_busy_with(self, id: str) -> bool:
        """Say whether a submission is being sent, or about to be."""
        return id in self._running or id in self._line

    def start(self, id: str) -> None:
        """Send a submitted command, unless it is being sent."""
        if self._closed or id in self._running:
            return
        if len(self._running) >= self._max_running:
            self._line.append(id)
            return
        task = asyncio.get_running_loop().create_task(self._carry_out(id))
        self._running[id] = task
        task.add_done_callback(lambda done: self._ended(id, done))

    async def close(self) -> None:
        """Stop; what is under way is sent again by the next run."""
        self._closed = True
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, id: str, task: asyncio.Task[None]) -> None:
        self._running.pop(id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("submission_left", command_id=id, error=repr(error))
        while self._line and len(self._running) < self._max_running and not self._closed:
            self.start(self._line.popleft())

    async def _carry_out(self, id: str) -> None:
        attempt = failures = 0
        while True:
            attempt += 1
            try:
                submission: Submission = await self._dispatcher.ask(
                    self._kind, Envelope(id, None, None), self._timeout_s
                )
                if submission.status != "waiting" or submission.command is None:
                    return
                error = await self._sent(id, submission)
                await self._conclude(id, error)
                return
            except RuntimeClosed:
                return
            except CommandFailed as failure:
                failures += 1
                if failures >= _FAILED_ATTEMPTS_MAX:
                    await self._conclude(id, failure)
                    return
            except ActoriumError as trouble:
                log.warning("submission_waits", command_id=id, error=str(trouble), attempt=attempt)
            await asyncio.sleep(_RETRY.wait_s(attempt, self._source))

    async def _sent(self, id: str, submission: Submission) -> Exception | None:
        assert submission.command is not None, "a waiting submission holds its command"
        issued = submission.command
        command_class = self._commands.get(issued.type)
        if command_class is None:
            raise CommandFailed(f"no aggregate of this runtime handles {issued.type}: register the one that does")
        try:
            await self._send(msgspec.convert(issued.fields, command_class), command_id=id)
        except _FINAL as refusal:
            return refusal
        return None

    async def _conclude(self, id: str, error: Exception | None) -> None:
        envelope = Envelope(
            id,
            Conclude(id, *said(error)),
            self._kind.definition.handlers[Conclude],
            command_id=self._source.new_id(),
        )
        await self._dispatcher.ask(self._kind, envelope, self._timeout_s)
