"""`Reports`: what the executor says to a saga and asks of it.

Whatever says nothing about the saga (no room, no answer, a store that is away) is tried again for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from actorium.actors.actor import Actor
from actorium.actors.commands import Command, Envelope
from actorium.actors.errors import Rejected
from actorium.actors.kind import ActorKind
from actorium.runtime.commands.dispatcher import Dispatcher
from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.retry import Retry
from actorium.sagas.execution.post import Answer, Post, Take
from actorium.sagas.model.intents import Intent, IntentKey
from actorium.sagas.model.messages import Answered, Broke
from actorium.sagas.model.stream import SagaStream
from actorium.store.error_wire import plain
from actorium.store.errors import ActoriumError, Transient
from actorium.store.events import storable
from actorium.store.source import Source

AWAY_RETRY = Retry(attempts=3, backoff_s=0.05, backoff_max_s=5.0)


class Reports:
    """The executor's way to the sagas."""

    def __init__(
        self,
        kinds: Mapping[str, ActorKind[Actor]],
        dispatcher: Dispatcher,
        post: Post,
        source: Source,
        *,
        timeout_s: float,
    ) -> None:
        self._kinds = kinds
        self._dispatcher = dispatcher
        self._post = post
        self._source = source
        self._timeout_s = timeout_s

    def answered(self, key: IntentKey, index: int, error: Exception | None, **more: Any) -> Answered:
        """Return the answer to one command of an intent, as it is recorded."""
        if error is None:
            return Answered(key.id, key.key, index, self._source.now_us(), **more)
        return Answered(key.id, key.key, index, self._source.now_us(), *said(error), **more)

    def offer(self, key: IntentKey, flow_id: str, answer: Answered, take: Take, about: Any) -> Answer | None:
        """Give an answer to the saga at once, and have taken what it says of it; return None where that cannot be."""
        return self._post.offer(self._kinds[key.owner], self._envelope(key, flow_id, answer), take, about)

    async def give(self, key: IntentKey, flow_id: str, answer: Answered) -> None:
        """Give an answer to the saga; where the saga's own code fails on it, let it stand for a person to see."""
        attempt = 0
        while True:
            attempt += 1
            try:
                await self._ask(key, self._envelope(key, flow_id, answer))
                return
            except RuntimeClosed:
                raise
            except Transient:
                pass
            except ActoriumError as trouble:
                if attempt >= AWAY_RETRY.attempts:
                    await self._ask(key, self._envelope(key, flow_id, Broke(key.id, key.key, str(trouble))))
                    return
            await asyncio.sleep(AWAY_RETRY.wait_s(attempt, self._source))

    async def state(self, key: IntentKey) -> SagaStream:
        """Return the saga of an intent as it stands."""
        attempt = 0
        while True:
            try:
                stream: SagaStream = await self._ask(key, Envelope(key.id, None, None))
                return stream
            except RuntimeClosed:
                raise
            except Transient:
                attempt += 1
                await asyncio.sleep(AWAY_RETRY.wait_s(attempt, self._source))

    async def recorded(self, key: IntentKey) -> Intent | None:
        """Return what is still waited for of an intent, as its saga has it; None where it is over."""
        stream = await self.state(key)
        intent = stream.open.get(key.key)
        if intent is None:
            return None
        commands = {index: intent.commands[index] for index in sorted(intent.waiting) if not intent.effect}
        if not commands and not intent.effect and intent.deadline_us == 0:
            return None
        return Intent(intent.step, intent.undo, commands, intent.effect, stream.correlation_id, intent.deadline_us)

    async def _ask(self, key: IntentKey, envelope: Envelope) -> Any:
        return await self._dispatcher.ask(self._kinds[key.owner], envelope, self._timeout_s)

    def _envelope(self, key: IntentKey, flow_id: str, report: Command) -> Envelope:
        return Envelope(
            key.id,
            report,
            self._kinds[key.owner].definition.handlers[type(report)],
            command_id=self._source.new_id(),
            correlation_id=flow_id,
        )


def said(error: Exception | None) -> tuple[str, dict[str, Any]]:
    """Return an error as it is recorded: its reason, and details that JSON can carry."""
    if error is None:
        return "", {}
    if isinstance(error, Rejected):
        return storable(error.reason), {storable(name): plain(value) for name, value in error.details.items()}
    return storable(f"{type(error).__name__}: {error}"), {}
