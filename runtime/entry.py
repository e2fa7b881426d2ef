"""`CommandEntry`: passes a command from its caller through the middleware to the dispatcher."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from actorium.actors.commands import Ack
from actorium.actors.envelope import Envelope
from actorium.runtime.commands.middleware import Deliver, Middleware, chain
from actorium.runtime.engine import Engine
from actorium.runtime.projections.queries import ReadModel


class CommandEntry:
    """Sends commands for `send` and `tell` when there is middleware.

    running: returns the engine; raises RuntimeClosed while no commands are accepted.
    elsewhere: sends a command to the service that handles it.
    """

    def __init__(
        self, middleware: Sequence[Middleware], running: Callable[[], Engine], elsewhere: Deliver | None = None
    ) -> None:
        self._running = running
        self._elsewhere = elsewhere
        self.has_middleware = bool(middleware)
        self.call = chain(middleware, self._innermost)
        self.call_and_leave = chain(middleware, self._tell_innermost)

    async def call_and_wait(self, envelope: Envelope, models: Sequence[ReadModel]) -> Ack:
        """Send a command, then wait, within its timeout, until the read models have its events."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + envelope.timeout_s
        ack = await self.call(envelope)
        for model in models:
            # An Ack without events has the position of another command's event, which may be parked.
            await model.at_least(ack.position, max(0.0, deadline - loop.time()), stale=not ack.events)
        return ack

    async def _tell_innermost(self, envelope: Envelope) -> Ack:
        engine = self._running()
        engine.admission.require_time(envelope.timeout_s)
        await engine.dispatcher.tell(envelope)
        return Ack(envelope.to, 0, 0, (), envelope.command_id)

    async def _innermost(self, envelope: Envelope) -> Ack:
        engine = self._running()
        if envelope.handler is None and self._elsewhere is not None:
            return await self._elsewhere(envelope)
        engine.admission.require_time(envelope.timeout_s)
        return await engine.dispatcher.ask(envelope)
