"""`Executor`: carries recorded intents out, and reports what came of them.

Nothing is sent that was not recorded first, and every command has an id made of its intent, so that sending it again,
after a crash or a timeout, takes effect once (P4). Invariants: an intent is carried out by at most one task; what is
beyond the limit waits in line, once, as what was last asked of it; a task ends when the answer is recorded, or with the
runtime; one that fails in any other way is begun again from what the saga has recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Literal

import msgspec

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
from actorium.sagas.plan import command_of, saga_of, state_of
from actorium.sagas.saga import Saga
from actorium.sagas.steps import DEFAULT_STEP_RETRY
from actorium.sagas.stream import Answered, Broke, SagaStream
from actorium.store.errors import ActoriumError, ConfigurationError, StoreUnavailable, WrongExpectedVersion
from actorium.store.event_store import EventStore
from actorium.store.log import logger
from actorium.store.source import Source

log = logger("actorium.sagas")

Send = Callable[..., Any]
# The domain's own answers: they will be the same however often one asks.
_FINAL = (Rejected, NotFound, AlreadyExists, CommandConflict, WrongExpectedVersion)
_AWAY = (CommandTimeout, MailboxFull, StoreUnavailable)
_REPORT_RETRY = Retry(attempts=3, backoff_s=0.05, backoff_max_s=5.0)
# An intent whose task failed (a saga that cannot be read, a store that is away) is begun again for ever.
_TASK_RETRY = Retry(attempts=1, backoff_s=0.2, backoff_max_s=30.0)
_TIME_OUT: Literal["time out"] = "time out"
_ABSENT = object()


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
        self._line: dict[IntentKey, Intent | Literal["time out"] | None] = {}
        self._again: set[IntentKey] = set()  # asked for while a task of theirs was ending
        self._opened = asyncio.Event()
        self._closed = False

    def open(self) -> None:
        """Begin to send: the runtime accepts commands now."""
        self._opened.set()

    def __len__(self) -> int:
        return len(self._running) + len(self._line)

    def is_busy_with(self, key: IntentKey) -> bool:
        """Say whether an intent is being carried out, or stands in line for it."""
        return key in self._running or key in self._line

    def start(self, key: IntentKey, intent: Intent | None) -> None:
        """Carry an intent out, unless it is being done; None: read from its saga what is still waited for."""
        if self._closed or key in self._line:
            return
        if key in self._running:
            self._again.add(key)  # perhaps it is issued anew, and the task is that of the first time
        elif len(self._running) < self._max_running:
            self._begin(key, intent)
        else:
            self._line[key] = intent

    def time_out(self, key: IntentKey) -> None:
        """End an intent whose deadline has passed: find out what it did, and let its saga turn round."""
        if self._closed:
            return
        if key in self._running or len(self._running) < self._max_running:
            self._line.pop(key, None)
            self._begin(key, _TIME_OUT)
        else:
            self._line[key] = _TIME_OUT

    async def close(self) -> None:
        """Stop; what is under way is carried out again by the next run."""
        self._closed = True
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- tasks ----------------------------------------------------------------------------------------------------

    def _begin(self, key: IntentKey, work: Intent | Literal["time out"] | None) -> None:
        before = self._running.get(key)
        if work == _TIME_OUT:
            if before is not None:
                before.cancel()
            coroutine = self._kept_up(key, lambda: self._timed_out(key, before))
        else:
            first = [work]
            # Begun again, it is what the saga has recorded by then.
            coroutine = self._kept_up(key, lambda: self._carry_out(key, first.pop() if first else None))
        self._running[key] = task = asyncio.get_running_loop().create_task(coroutine)
        task.add_done_callback(lambda done: self._ended(key, done))

    async def _kept_up(self, key: IntentKey, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do the work until it is done, or the runtime ends: then it is taken up from the log by the next run."""
        await self._opened.wait()
        attempt = 0
        while True:
            try:
                await work()
                return
            except RuntimeClosed:
                return
            except Exception as error:
                attempt += 1
                log.error("intent_waits", intent=str(key), error=f"{type(error).__name__}: {error}", attempt=attempt)
            await asyncio.sleep(_TASK_RETRY.wait_s(attempt, self._source))

    def _ended(self, key: IntentKey, task: asyncio.Task[None]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
            if key in self._again:
                self._again.discard(key)
                self.start(key, None)
        while self._line and len(self._running) < self._max_running and not self._closed:
            waiting = next(iter(self._line))
            self._begin(waiting, self._line.pop(waiting))

    async def _carry_out(self, key: IntentKey, intent: Intent | None) -> None:
        if intent is None:
            intent = await self._recorded(key)
            if intent is None:
                return
        if intent.effect:
            await self._effect(key, intent)
        elif len(intent.commands) == 1:
            await self._command(key, intent, *next(iter(intent.commands.items())))
        else:
            commands = (self._command(key, intent, *item) for item in intent.commands.items())
            for outcome in await asyncio.gather(*commands, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome

    async def _command(self, key: IntentKey, intent: Intent, index: int, issued: IssuedCommand) -> None:
        """Send one command until its outcome is known, then report it."""
        retry, has_to_be_done = self._rules(key.owner, intent)
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
                # An undo, or a step after the pivot: what the domain refuses now it may take later.
                if not has_to_be_done:
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
            saga = saga_of(definition.saga_class, stream.state, key.id, stream.reason)
            try:
                await step.method(saga, *((IdempotencyKey(key.command_id(0)),) if wants_key else ()))
                error, state = None, _changes(stream.state, saga)
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
        answer = Answered(key.id, key.key, 0, self._source.now_us(), *said(error), took_effect=took_effect, state=state)
        await self._report(key, intent, answer)

    async def _timed_out(self, key: IntentKey, before: asyncio.Task[None] | None) -> None:
        """Find out what an intent did before its deadline, and report its end."""
        if before is not None:
            await asyncio.wait((before,))
        stream = await self._state(key)
        known = stream.open.get(key.key)
        if known is None:
            return
        if known.deadline_us > self._source.now_us():  # it was issued anew meanwhile, with a deadline of its own
            await self._carry_out(key, None)
            return
        intent = Intent(known.step, known.undo, {}, known.effect, stream.correlation_id)
        effects = [
            index
            for index in sorted(known.waiting)
            if not known.effect and await self._settled(known.commands[index], key.command_id(index))
        ]
        step = self._definitions[key.owner].steps.get(known.step)
        waited = f" within {step.timeout_s:.12g} s" if step is not None and step.timeout_s is not None else ""
        answer = Answered(
            key.id,
            key.key,
            -1,
            self._source.now_us(),
            known.error or f"{known.step} was not done{waited}",
            known.details,
            known.effect,
            tuple(effects),
        )
        await self._report(key, intent, answer)

    async def _settled(self, issued: IssuedCommand, command_id: str) -> bool:
        """Say whether a command that is not sent any more took effect.

        A read queued behind it at the same actor is answered when everything before it is durable or gone.
        """
        if issued.type not in self._commands:
            return False  # it cannot have been sent by this program, nor is it going to be
        try:
            command = self._made(issued)
        except CommandFailed:
            return False
        kind = self._dispatcher.kind_of(command)
        attempt = 0
        while True:
            try:
                await self._fence(kind, command, command_id)
                return await self._store.find_command(command_id) is not None
            except _AWAY:
                attempt += 1
                await asyncio.sleep(_REPORT_RETRY.wait_s(attempt, self._source))

    async def _fence(self, kind: ActorKind, command: Command, command_id: str) -> None:
        """Return when nothing that was sent to a command's actor before is under way any more."""
        try:
            await self._dispatcher.ask(kind, Envelope(command.to, None, None), self._timeout_s)
        except (NotFound, ConfigurationError):
            pass
        except (*_AWAY, RuntimeClosed):
            raise
        except ActoriumError as error:
            log.warning("fence_skipped", command_id=command_id, error=str(error))

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
        try:
            return command_of(issued, command_class)
        except msgspec.ValidationError as error:
            raise CommandFailed(f"{issued.type} was not sent: {error}") from error

    def _rules(self, owner: str, intent: Intent) -> tuple[Retry, bool]:
        """Return how a step's commands are retried, and whether they have to be done, whatever the domain says."""
        definition = self._definitions[owner]
        step = definition.steps.get(intent.step)
        if step is None:
            return DEFAULT_STEP_RETRY, False
        return step.retry, intent.undo or not definition.can_turn_round(intent.step)


def _changes(before: dict[str, Any], saga: Saga) -> dict[str, Any]:
    """Return the fields that an effect changed, and how it ended its saga, if it did."""
    changed = {name: value for name, value in state_of(saga).items() if before.get(name, _ABSENT) != value}
    return {**changed, "ended": saga.ended, "reason": saga.reason} if saga.ended else changed


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
