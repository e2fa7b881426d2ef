"""`Executor`: carries recorded intents out, and reports what came of them.

Nothing is sent that was not recorded first, and every command has an id made of its intent, so that sending it again,
after a crash or a timeout, takes effect once (P4). Invariants: an intent is carried out by at most one task; what is
beyond the limit waits in line; a task ends when the answer is recorded, or with the runtime.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec
import structlog

from actorium.actors.commands import Command, Envelope
from actorium.actors.errors import AlreadyExists, CommandConflict, CommandFailed, NotFound, Rejected
from actorium.actors.kind import ActorKind
from actorium.runtime.dispatcher import Dispatcher
from actorium.runtime.errors import CommandTimeout, MailboxFull, RuntimeClosed
from actorium.runtime.reactions import IdempotencyKey
from actorium.runtime.retry import Retry
from actorium.sagas.definition import SagaDefinition
from actorium.sagas.events import IssuedCommand
from actorium.sagas.intents import Intent, IntentKey
from actorium.sagas.steps import DEFAULT_STEP_RETRY
from actorium.sagas.stream import Answered, Broke, SagaStream
from actorium.store.errors import ActoriumError, StoreUnavailable, WrongExpectedVersion
from actorium.store.event_store import EventStore
from actorium.store.source import Source

log = structlog.get_logger("actorium.sagas")

Send = Callable[..., Any]
# The domain's own answers: they will be the same however often one asks.
_FINAL = (Rejected, NotFound, AlreadyExists, CommandConflict, WrongExpectedVersion)
_AWAY = (CommandTimeout, MailboxFull, StoreUnavailable)
_REPORT_RETRY = Retry(attempts=3, backoff_s=0.05, backoff_max_s=5.0)


class Executor:
    """Carries out the intents of all sagas of a runtime."""

    def __init__(
        self,
        definitions: Mapping[str, SagaDefinition],
        kinds: Mapping[str, ActorKind],
        commands: Mapping[str, type[Command]],
        send: Send,
        dispatcher: Dispatcher,
        store: EventStore,
        source: Source,
        *,
        max_running: int,
        timeout_s: float,
    ) -> None:
        self._definitions = definitions
        self._kinds = kinds
        self._commands = commands
        self._send = send
        self._dispatcher = dispatcher
        self._store = store
        self._source = source
        self._max_running = max_running
        self._timeout_s = timeout_s
        self._running: dict[IntentKey, asyncio.Task[None]] = {}
        self._line: deque[tuple[IntentKey, Intent | None]] = deque()
        self._in_line: set[IntentKey] = set()
        self._opened = asyncio.Event()
        self._closed = False

    def open(self) -> None:
        """Begin to send: the runtime accepts commands now."""
        self._opened.set()

    def __len__(self) -> int:
        return len(self._running) + len(self._line)

    def is_busy_with(self, key: IntentKey) -> bool:
        """Say whether an intent is being carried out, or stands in line for it."""
        return key in self._running or key in self._in_line

    def start(self, key: IntentKey, intent: Intent | None) -> None:
        """Carry an intent out, unless it is being done; None: read from its saga what is still waited for."""
        if self._closed or self.is_busy_with(key):
            return
        if len(self._running) < self._max_running:
            self._begin(key, intent)
        else:
            self._line.append((key, intent))
            self._in_line.add(key)

    def time_out(self, key: IntentKey) -> None:
        """End an intent whose deadline has passed: find out what it did, and let its saga turn round."""
        if self._closed:
            return
        before = self._running.pop(key, None)
        if before is not None:
            before.cancel()
        self._running[key] = self._task(key, self._timed_out(key, before))

    async def close(self) -> None:
        """Stop; what is under way is carried out again by the next run."""
        self._closed = True
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- tasks ----------------------------------------------------------------------------------------------------

    def _begin(self, key: IntentKey, intent: Intent | None) -> None:
        self._running[key] = self._task(key, self._carry_out(key, intent))

    def _task(self, key: IntentKey, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    def _ended(self, key: IntentKey, task: asyncio.Task[None]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            # The intent stays recorded: the next run takes it up again.
            log.error("intent_left", intent=str(key), error=repr(error))
        while self._line and len(self._running) < self._max_running and not self._closed:
            waiting = self._line.popleft()
            self._in_line.discard(waiting[0])
            self._begin(*waiting)

    async def _carry_out(self, key: IntentKey, intent: Intent | None) -> None:
        await self._opened.wait()
        try:
            if intent is None:
                intent = await self._recorded(key)
                if intent is None:
                    return
            if intent.effect:
                await self._effect(key, intent)
            elif len(intent.commands) == 1:
                await self._command(key, intent, *next(iter(intent.commands.items())))
            else:
                await asyncio.gather(*(self._command(key, intent, *item) for item in intent.commands.items()))
        except RuntimeClosed:
            return  # it is recorded, and carried out when the runtime is there again

    async def _command(self, key: IntentKey, intent: Intent, index: int, issued: IssuedCommand) -> None:
        """Send one command until its outcome is known, then report it."""
        retry = self._retry(key.owner, intent.step)
        attempt = 0
        error: Exception | None
        while True:
            attempt += 1
            try:
                command = self._made(issued)
                await self._send(
                    command,
                    command_id=key.command_id(index),
                    correlation_id=intent.flow_id,
                    causation_id=f"{key.owner}<{key.id}>",
                )
                error = None
                break
            except RuntimeClosed:
                raise
            except _FINAL as refusal:
                error = refusal
                # An undo has to be done: what the domain refuses now it may take later.
                if not intent.undo:
                    break
            except ActoriumError as trouble:
                error = trouble
            if attempt >= retry.attempts:
                break
            await asyncio.sleep(retry.wait_s(attempt, self._source))
        if error is not None and not isinstance(error, _FINAL) and await self._settled(issued, key.command_id(index)):
            error = None  # the last word was lost, not the command
        await self._report(key, intent, Answered(key.id, key.key, index, self._source.now_us(), *said(error)))

    async def _effect(self, key: IntentKey, intent: Intent) -> None:
        """Call an async step until it returns or refuses, then report it."""
        definition = self._definitions[key.owner]
        step = definition.steps[intent.step]
        wants_key = step.method.__code__.co_argcount > 1
        error: Exception | None = None
        state: dict[str, Any] | None = None
        attempt = 0
        while True:
            attempt += 1
            stream = await self._state(key)
            saga = msgspec.convert(stream.state, definition.saga_class)
            saga.id, saga.reason = key.id, stream.reason
            try:
                await step.method(saga, *((IdempotencyKey(key.command_id(0)),) if wants_key else ()))
                error, state = None, msgspec.to_builtins(saga)
                break
            except Rejected as refusal:
                error = refusal
                break
            except RuntimeClosed:
                raise
            except Exception as trouble:
                error = trouble
            if attempt >= step.retry.attempts:
                break
            await asyncio.sleep(step.retry.wait_s(attempt, self._source))
        # An effect that failed may have been done all the same: it is undone with the rest, unless it was refused.
        took_effect = error is not None and not isinstance(error, Rejected)
        answer = Answered(key.id, key.key, 0, self._source.now_us(), *said(error), took_effect, state)
        await self._report(key, intent, answer)

    async def _timed_out(self, key: IntentKey, before: asyncio.Task[None] | None) -> None:
        """Find out what an intent did before its deadline, and report its end."""
        if before is not None:
            await asyncio.wait((before,))
        intent = await self._recorded(key)
        if intent is None:
            return
        took_effect = intent.effect
        for index, issued in intent.commands.items():
            took_effect = await self._settled(issued, key.command_id(index)) or took_effect
        step = self._definitions[key.owner].steps.get(intent.step)
        waited = f" within {step.timeout_s:g} s" if step is not None and step.timeout_s is not None else ""
        answer = Answered(
            key.id, key.key, -1, self._source.now_us(), f"{intent.step} was not done{waited}", {}, took_effect
        )
        await self._report(key, intent, answer)

    async def _settled(self, issued: IssuedCommand, command_id: str) -> bool:
        """Say whether a command that is not sent any more took effect.

        A read queued behind it at the same actor is answered when everything before it is durable or gone.
        """
        if issued.type not in self._commands:
            return False  # it cannot have been sent by this program, nor is it going to be
        command = self._made(issued)
        kind = self._dispatcher.kind_of(command)
        attempt = 0
        while True:
            try:
                await self._dispatcher.ask(kind, Envelope(command.to, None, None), self._timeout_s)
            except NotFound:
                pass
            except _AWAY:
                attempt += 1
                await asyncio.sleep(_REPORT_RETRY.wait_s(attempt, self._source))
                continue
            except RuntimeClosed:
                raise
            except ActoriumError as error:
                log.warning("fence_skipped", command_id=command_id, error=str(error))
            return await self._store.find_command(command_id) is not None

    # --- the saga's side ------------------------------------------------------------------------------------------

    async def _report(self, key: IntentKey, intent: Intent, answer: Answered) -> None:
        """Give an answer to the saga; where the saga's own code fails on it, let it stand for a person to see."""
        attempt = 0
        while True:
            attempt += 1
            try:
                await self._tell_saga(key, intent.flow_id, answer)
                return
            except _AWAY:
                pass
            except RuntimeClosed:
                raise
            except ActoriumError as trouble:
                if attempt >= _REPORT_RETRY.attempts:
                    await self._tell_saga(key, intent.flow_id, Broke(key.id, key.key, str(trouble)))
                    return
            await asyncio.sleep(_REPORT_RETRY.wait_s(attempt, self._source))

    async def _tell_saga(self, key: IntentKey, flow_id: str, report: Answered | Broke) -> None:
        kind = self._kinds[key.owner]
        envelope = Envelope(
            key.id,
            report,
            kind.definition.handlers[type(report)],
            command_id=self._source.new_id(),
            correlation_id=flow_id,
        )
        await self._dispatcher.ask(kind, envelope, self._timeout_s)

    async def _recorded(self, key: IntentKey) -> Intent | None:
        """Return what is still waited for of an intent, as its saga has it; None where it is over."""
        stream = await self._state(key)
        intent = stream.open.get(key.key)
        if intent is None:
            return None
        commands = {index: intent.commands[index] for index in sorted(intent.waiting) if not intent.effect}
        if not commands and not intent.effect and intent.deadline_us == 0:
            return None
        return Intent(intent.step, intent.undo, commands, intent.effect, stream.correlation_id)

    async def _state(self, key: IntentKey) -> SagaStream:
        attempt = 0
        while True:
            try:
                stream: SagaStream = await self._dispatcher.ask(
                    self._kinds[key.owner], Envelope(key.id, None, None), self._timeout_s
                )
                return stream
            except _AWAY:
                attempt += 1
                await asyncio.sleep(_REPORT_RETRY.wait_s(attempt, self._source))

    def _made(self, issued: IssuedCommand) -> Command:
        command_class = self._commands.get(issued.type)
        if command_class is None:
            raise CommandFailed(f"no aggregate of this runtime handles {issued.type}: register the one that does")
        return msgspec.convert(issued.fields, command_class)

    def _retry(self, owner: str, step_name: str) -> Retry:
        step = self._definitions[owner].steps.get(step_name)
        return step.retry if step is not None else DEFAULT_STEP_RETRY


def said(error: Exception | None) -> tuple[str, dict[str, Any]]:
    """Return an error as it is recorded: its reason, and details that JSON can carry."""
    if error is None:
        return "", {}
    if isinstance(error, Rejected):
        return error.reason, {name: _plain(value) for name, value in error.details.items()}
    return f"{type(error).__name__}: {error}", {}


def _plain(value: Any) -> Any:
    try:
        return msgspec.to_builtins(value)
    except TypeError:
        return repr(value)
