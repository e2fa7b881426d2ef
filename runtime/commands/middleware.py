"""Middleware: code that every command passes through before it reaches its actor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from actorium.actors.commands import Ack, Command
from actorium.actors.envelope import Envelope
from actorium.actors.errors import CommandFailed
from actorium.store.errors import ConfigurationError
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through

log = logger("actorium.runtime")

Deliver = Callable[[Envelope], Awaitable[Ack]]


class CommandContext(msgspec.Struct, eq=False):
    """The context of one `send` or `tell`, passed to middleware. Its attributes are read-only; `headers` can be
    modified.
    """

    _envelope: Envelope
    _is_sent: bool = False

    @property
    def command(self) -> Command:
        """The command, checked; `command.to` is the id of its aggregate."""
        command = self._envelope.command
        assert command is not None, "only commands pass through middleware, not reads"
        return command

    @property
    def command_id(self) -> str:
        """The id that makes the command idempotent: given by the sender, or new."""
        return self._envelope.command_id

    @property
    def correlation_id(self) -> str:
        """The id of the business flow that the command belongs to; empty if the sender gave none."""
        return self._envelope.correlation_id

    @property
    def causation_id(self) -> str:
        """The id of the event that caused the command; empty if the sender gave none."""
        return self._envelope.causation_id

    @property
    def headers(self) -> dict[str, str]:
        """Headers stored with the command's events. Middleware may add, change and remove entries."""
        return self._envelope.headers

    @property
    def timeout_s(self) -> float:
        """How long the sender waits for the reply, in seconds."""
        return self._envelope.timeout_s

    @property
    def expected_version(self) -> int | None:
        """The version that the aggregate's stream must have; None for any."""
        return self._envelope.expected_version

    def __repr__(self) -> str:
        return f"CommandContext({self.command!r}, command_id={self.command_id!r})"


class Next(Protocol):
    """The rest of the middleware chain: `await next(context)` passes the command on and returns the Ack.

    It may be called again with the same context: the command keeps its id, so it takes effect once. Raises the errors
    of `send`.
    """

    def __call__(self, context: CommandContext, /) -> Awaitable[Ack]: ...


class Middleware(Protocol):
    """An async function `(context, next) -> Ack` that wraps the call `ack = await next(context)`.

    Middleware may read the context, write headers, refuse the command by raising, or return an Ack of its own. It
    runs in the caller's task, once per `send` or `tell`, before the mailbox. After a `tell`, the Ack is empty.
    """

    def __call__(self, context: CommandContext, following: Next, /) -> Awaitable[Ack]: ...


def chain(middleware: Sequence[Middleware], innermost: Deliver) -> Deliver:
    """Return one call that passes an envelope through all middleware; the first of the sequence is outermost."""
    if not middleware:
        return innermost
    call: Next = _delivering(innermost)
    for layer in reversed(middleware):
        if not callable(layer):
            raise ConfigurationError(f"middleware {layer!r} is not callable: give an `async def (context, next)`")
        call = _through(layer, call)
    return _contained(call)


def _contained(outermost: Next) -> Deliver:
    """Return a call that raises CommandFailed if middleware raises a BaseException that is not an Exception.

    An Exception reaches the caller unchanged: middleware refuses commands with its application's errors.
    """

    async def deliver(envelope: Envelope) -> Ack:
        try:
            return await outermost(CommandContext(envelope))
        except Exception:
            raise
        except BaseException as raised:
            let_through(raised)
            failure = CommandFailed(f"{type(envelope.command).__name__} failed in middleware: {error_text(raised)}")
            log.error("command_failed", error=failure.message, traceback=raised)
            raise failure from raised

    return deliver


def _through(layer: Middleware, following: Next) -> Next:
    def call(context: CommandContext) -> Awaitable[Ack]:
        return layer(context, following)

    return call


def _delivering(deliver: Deliver) -> Next:
    def call(context: CommandContext) -> Awaitable[Ack]:
        if type(context) is not CommandContext:
            raise ConfigurationError(f"next({context!r}): pass the context that the middleware was given")
        envelope = context._envelope
        if context._is_sent:  # an envelope is delivered once, and its id may be in the log by now
            envelope = msgspec.structs.replace(envelope, future=None, fresh=False, attempts=0, deadline=0.0)
        context._is_sent = True
        return deliver(envelope)

    return call
