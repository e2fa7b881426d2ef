"""`StepRunner`: one command, or one effect, of an intent until its outcome is known, and what a deadline finds.

Every command has an id made of its intent, so that sending it again, after a crash or a timeout, takes effect once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from actorium.actors.actor import Actor
from actorium.actors.commands import MAX_ID_LENGTH, Command, CommandHandler, Envelope
from actorium.actors.errors import CommandFailed, NotFound, Rejected
from actorium.actors.kind import ActorKind
from actorium.runtime.commands.dispatcher import Dispatcher
from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.processors.reactions import IdempotencyKey
from actorium.runtime.retry import Retry
from actorium.sagas.execution.post import Answer, Post, Take
from actorium.sagas.execution.reports import AWAY_RETRY, Reports
from actorium.sagas.model.definition import SagaDefinition
from actorium.sagas.model.events import IssuedCommand
from actorium.sagas.model.intents import Intent, IntentKey
from actorium.sagas.model.messages import Answered
from actorium.sagas.model.plan import command_of, saga_of, state_of
from actorium.sagas.model.state import SagaState
from actorium.sagas.model.steps import DEFAULT_STEP_RETRY
from actorium.store.errors import ActoriumError, Refused, Transient
from actorium.store.event_store import EventStore
from actorium.store.log import logger
from actorium.store.source import Source

log = logger("actorium.sagas")

Send = Callable[..., Any]
# What is transient says nothing of the step: it waits, within its `timeout_s`, and uses up none of its attempts.
_TRANSIENT_RETRY = Retry(attempts=1, backoff_s=0.05, backoff_max_s=5.0)
_ABSENT = object()


class Route(NamedTuple):
    """Where a type of command goes: the actors that take it, and their handler of it."""

    kind: ActorKind[Actor]
    handler: CommandHandler


class StepRunner:
    """Carries out what intents consist of.

    `routes` are those of all commands by the stable names of their types. `accepts` says whether the runtime takes
    commands; it is None where they have to pass through middleware.
    """

    def __init__(
        self,
        definitions: Mapping[str, SagaDefinition],
        routes: Mapping[str, Route],
        send: Send,
        accepts: Callable[[], bool] | None,
        dispatcher: Dispatcher,
        post: Post,
        reports: Reports,
        store: EventStore,
        source: Source,
        *,
        timeout_s: float,
        max_payload_bytes: int,
    ) -> None:
        self._definitions = definitions
        self._routes = routes
        self._send = send
        self._accepts = accepts
        self._dispatcher = dispatcher
        self._post = post
        self._reports = reports
        self._store = store
        self._source = source
        self._timeout_s = timeout_s
        self._max_payload_bytes = max_payload_bytes

    # --- commands -------------------------------------------------------------------------------------------------

    def offer(self, key: IntentKey, intent: Intent, index: int, take: Take, about: Any) -> Answer | None:
        """Send one command at once and have its answer taken; None where that cannot be, and `command` finds out why.

        It is what `Dispatcher.envelope` makes of a command, without the way there: all commands of sagas come by here.
        """
        issued = intent.commands[index]
        route = self._routes.get(issued.type)
        command_id = key.command_id(index)
        if route is None or len(command_id) > MAX_ID_LENGTH or self._accepts is None or not self._accepts():
            return None
        kind, handler = route
        try:
            command = command_of(issued, handler.command_class)
            command, fingerprint = handler.codec.admit(command, self._max_payload_bytes)
            envelope = Envelope(
                command.to,
                command,
                handler,
                command_id=command_id,
                fingerprint=fingerprint,
                fresh=False,
                correlation_id=intent.flow_id,
                causation_id=f"{key.owner}<{key.id}>",
            )
            return self._post.offer(kind, envelope, take, about)
        except (ActoriumError, msgspec.ValidationError):
            return None

    def is_last_word(self, key: IntentKey, intent: Intent, error: Exception | None) -> bool:
        """Say whether an answer is the last one: done, or refused by the domain where it may refuse."""
        # An undo, or a step after the pivot: what the domain refuses now it may take later.
        return error is None or (isinstance(error, Refused) and not self._rules(key.owner, intent)[1])

    async def command(self, key: IntentKey, intent: Intent, index: int, error: Exception | None) -> None:
        """Send one command until its outcome is known, then report it; `error`: what came of its first attempt."""
        retry = self._rules(key.owner, intent)[0]
        issued = intent.commands[index]
        attempt, crowded = 1, 0
        if error is None:
            error = await self._attempt(key, intent, index, issued)
        while not self.is_last_word(key, intent, error):
            if isinstance(error, Transient):
                crowded += 1
                await asyncio.sleep(_TRANSIENT_RETRY.wait_s(crowded, self._source))
            elif attempt < retry.attempts:
                await asyncio.sleep(retry.wait_s(attempt, self._source))
                attempt += 1
            else:
                break
            error = await self._attempt(key, intent, index, issued)
        if error is not None and not isinstance(error, Refused) and await self._settled(issued, key.command_id(index)):
            error = None  # the last word was lost, not the command
        await self._reports.give(key, intent.flow_id, self._reports.answered(key, index, error))

    async def _attempt(self, key: IntentKey, intent: Intent, index: int, issued: IssuedCommand) -> Exception | None:
        try:
            await self._send(
                self._made(issued),
                command_id=key.command_id(index),
                correlation_id=intent.flow_id,
                causation_id=f"{key.owner}<{key.id}>",
            )
        except RuntimeClosed:
            raise
        except ActoriumError as trouble:
            return trouble
        return None

    async def _settled(self, issued: IssuedCommand, command_id: str) -> bool:
        """Say whether a command that is not sent any more took effect.

        A read queued behind it at the same actor is answered when everything before it is durable or gone.
        """
        route = self._routes.get(issued.type)
        if route is None:
            return False  # it cannot have been sent by this program, nor is it going to be
        try:
            command = self._made(issued)
        except CommandFailed:
            return False
        attempt = 0
        while True:
            try:
                await self._fence(route.kind, command, command_id)
                return await self._store.find_command(command_id) is not None
            except RuntimeClosed:
                raise
            except Transient:
                attempt += 1
                await asyncio.sleep(AWAY_RETRY.wait_s(attempt, self._source))

    async def _fence(self, kind: ActorKind[Actor], command: Command, command_id: str) -> None:
        """Return when nothing that was sent to a command's actor before is under way any more."""
        try:
            await self._dispatcher.ask(kind, Envelope(command.to, None, None), self._timeout_s)
        except NotFound:
            pass
        except Transient:
            raise
        except ActoriumError as error:
            log.warning("fence_skipped", command_id=command_id, error=str(error))

    # --- effects and deadlines ------------------------------------------------------------------------------------

    async def effect(self, key: IntentKey, intent: Intent) -> None:
        """Call an async step until it returns or refuses, then report it."""
        definition = self._definitions[key.owner]
        step = definition.steps[intent.step]
        wants_key = step.method.__code__.co_argcount > 1
        error: Exception | None = None
        state: dict[str, Any] | None = None
        attempt = 0
        while True:
            attempt += 1
            stream = await self._reports.state(key)
            saga = saga_of(definition.saga_class, stream.state, key.id, stream.reason)
            try:
                await step.method(saga, *((IdempotencyKey(key.command_id(0)),) if wants_key else ()))
                error, state = None, _changes(msgspec.json.decode(stream.state), saga)
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
        answer = self._reports.answered(key, 0, error, took_effect=took_effect, state=state)
        await self._reports.give(key, intent.flow_id, answer)

    async def past_deadline(self, key: IntentKey) -> bool:
        """Find out what an intent did before its deadline, and report its end; False where it was put off meanwhile."""
        stream = await self._reports.state(key)
        known = stream.open.get(key.key)
        if known is None:
            return True
        if known.deadline_us > self._source.now_us():  # it was issued anew, with a deadline of its own
            return False
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
        await self._reports.give(key, stream.correlation_id, answer)
        return True

    # --- what the definition says ---------------------------------------------------------------------------------

    def _made(self, issued: IssuedCommand) -> Command:
        route = self._routes.get(issued.type)
        if route is None:
            raise CommandFailed(f"no aggregate of this runtime handles {issued.type}: register the one that does")
        try:
            return command_of(issued, route.handler.command_class)
        except msgspec.ValidationError as error:
            raise CommandFailed(f"{issued.type} was not sent: {error}") from error

    def _rules(self, owner: str, intent: Intent) -> tuple[Retry, bool]:
        """Return how a step's commands are retried, and whether they have to be done, whatever the domain says."""
        definition = self._definitions[owner]
        step = definition.steps.get(intent.step)
        if step is None:
            return DEFAULT_STEP_RETRY, False
        return step.retry, intent.undo or not definition.can_turn_round(intent.step)


def _changes(before: dict[str, Any], saga: SagaState) -> dict[str, Any]:
    """Return the fields that an effect changed, and how it ended its saga, if it did."""
    changed = {name: value for name, value in state_of(saga).items() if before.get(name, _ABSENT) != value}
    return {**changed, "ended": saga.ended, "reason": saga.reason} if saga.ended else changed
