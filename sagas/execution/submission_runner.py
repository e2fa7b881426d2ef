"""`SubmissionRunner`: sends submitted commands when they are due, and notes how they ended.

Invariants: a command is sent under the id it was submitted with, so once in effect however often it is sent; it is sent
only while its submission waits; a submission that is being sent can no longer be cancelled, and one that is being
cancelled is not sent; what is beyond the limit waits in line, once, and what is beyond that is left to the agenda.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import msgspec

from actorium.actors.actor import Actor
from actorium.actors.commands import Command, Envelope
from actorium.actors.errors import CommandFailed
from actorium.actors.kind import ActorKind
from actorium.runtime.commands.dispatcher import Dispatcher
from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.retry import Retry
from actorium.sagas.execution.reports import said
from actorium.sagas.model.plan import command_of
from actorium.sagas.model.submissions import CommandSubmitted, Conclude, Submission
from actorium.store.errors import ActoriumError, DamagedLog, Refused, Transient
from actorium.store.log import logger
from actorium.store.source import Source

log = logger("actorium.sagas")

_RETRY = Retry(attempts=1, backoff_s=0.2, backoff_max_s=30.0)
# A command that fails for good reason, a bug in its handler mostly, is tried so often, then concluded with the error.
_FAILED_ATTEMPTS_MAX = 5


class SubmissionRunner:
    """Carries out submitted commands."""

    def __init__(
        self,
        kind: ActorKind[Actor],
        commands: Mapping[str, type[Command]],
        send: Callable[..., Any],
        dispatcher: Dispatcher,
        source: Source,
        *,
        max_running: int,
        max_waiting: int,
        timeout_s: float,
    ) -> None:
        self._kind = kind
        self._commands = commands
        self._send = send
        self._dispatcher = dispatcher
        self._source = source
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._timeout_s = timeout_s
        self._running: dict[str, asyncio.Task[None]] = {}
        self._line: dict[str, None] = {}
        self._held: set[str] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._running) + len(self._line)

    def is_busy_with(self, id: str) -> bool:
        """Say whether a submission is being sent, or about to be."""
        return id in self._running or id in self._line

    @property
    def has_room(self) -> bool:
        """Whether another command may stand in line."""
        return len(self._line) < self._max_waiting

    def start(self, id: str) -> bool:
        """Send a submitted command, unless it is being sent; return False where there is no room, also in line."""
        if self._closed or id in self._running:
            return True
        if len(self._running) >= self._max_running or id in self._held:
            if id not in self._line and not self.has_room:
                return False
            self._line[id] = None
            return True
        self._line.pop(id, None)
        task = asyncio.get_running_loop().create_task(self._carry_out(id))
        self._running[id] = task
        task.add_done_callback(lambda done: self._ended(id, done))
        return True

    @contextmanager
    def hold(self, id: str) -> Iterator[bool]:
        """Let a submission not be sent meanwhile; give False where it is being sent already."""
        if id in self._running or id in self._held:
            yield False
            return
        self._held.add(id)
        try:
            yield True
        finally:
            self._held.discard(id)
            if id in self._line:
                self._go_on()

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
        self._go_on()

    def _go_on(self) -> None:
        """Send those in line as far as there is room; who is held stays there."""
        for id in [*islice(self._line, max(0, self._max_running - len(self._running)) + len(self._held))]:
            if len(self._running) < self._max_running:
                self.start(id)

    async def _carry_out(self, id: str) -> None:
        attempt = failures = 0
        while True:
            attempt += 1
            try:
                submission: Submission = await self._dispatcher.ask(
                    self._kind, Envelope(id, None, None), self._timeout_s
                )
                if submission.status != "waiting" or submission.accepted is None:
                    return
                error = await self._sent(id, submission.accepted)
                await self._conclude(id, error)
                return
            except RuntimeClosed:
                return
            except Transient as trouble:
                log.warning("submission_waits", command_id=id, error=str(trouble), attempt=attempt)
            except DamagedLog as trouble:  # a person can put it right
                log.warning("submission_waits", command_id=id, error=str(trouble), attempt=attempt)
            except ActoriumError as failure:
                failures += 1
                if failures >= _FAILED_ATTEMPTS_MAX:
                    await self._conclude(id, failure)
                    return
            await asyncio.sleep(_RETRY.wait_s(attempt, self._source))

    async def _sent(self, id: str, accepted: CommandSubmitted) -> Exception | None:
        issued = accepted.command
        command_class = self._commands.get(issued.type)
        if command_class is None:
            raise CommandFailed(f"no aggregate of this runtime handles {issued.type}: register the one that does")
        try:
            await self._send(
                command_of(issued, command_class),
                command_id=id,
                correlation_id=accepted.correlation_id,
                causation_id=accepted.causation_id,
                headers=accepted.headers,
            )
        except msgspec.ValidationError as error:
            raise CommandFailed(f"{issued.type} was not sent: {error}") from error
        except Refused as refusal:
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
