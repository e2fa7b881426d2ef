"""Middleware: what every command passes through on its way in, for cross-cutting matters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from actorium.actors.commands import Ack, Envelope
from actorium.store.errors import ConfigurationError

Next = Callable[[Envelope], Awaitable[Ack]]
Middleware = Callable[[Envelope, Next], Awaitable[Ack]]
"""`async def (envelope, next) -> Ack`: do something, `return await next(envelope)`, do something more.

It may read the envelope, put headers into it (a new dict), refuse by raising, or answer by itself. It runs in the
caller's task, once per `send`, before the mailbox.
"""


def chain(middleware: Sequence[Middleware], innermost: Next) -> Next:
    """Return one call that goes through all middleware, the first of the sequence outermost."""
    call = innermost
    for layer in reversed(middleware):
        if not callable(layer):
            raise ConfigurationError(f"middleware {layer!r} is not callable: give an `async def (envelope, next)`")
        call = _through(layer, call)
    return call


def _through(layer: Middleware, following: Next) -> Next:
    async def call(envelope: Envelope) -> Ack:
        return await layer(envelope, following)

    return call
