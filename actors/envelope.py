"""`Envelope`: a command, or a read of the state, on its way to one actor; `Mailbox`: those that wait for it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from actorium.actors.commands import Command, CommandCodec, CommandHandler
from actorium.actors.fingerprint import sorted_json
from actorium.store.event_store import CommandMark, Mark
from actorium.store.events import Metadata, as_json
from actorium.store.names import CommandRecord


class Envelope(msgspec.Struct):
    """A command with its address, its metadata and the future of its reply; it is delivered once.

    stream_type, to: the address of the actor.
    command, handler: the command to decide and the method that decides it; both None for a read of the state.
    future: the caller's future; None for a command whose sender does not wait.
    known_fingerprint: the fingerprint of the command; None until somebody asks for it.
    encoded: the JSON of a command whose fingerprint is not known.
    command_id: empty if nothing needs to find the command again; its sender then delivers it once.
    fresh: the id was created for this envelope, so it cannot be in the log already.
    attempts: the number of decisions that a lost race undid.
    timeout_s: how long the sender waits, in seconds.
    deadline: the loop time at which its sender stops waiting; 0 if it has no deadline.
    is_looked_up, first_effect: whether its id was looked up before the decision, and where it took effect before.

    The garbage collector must track it: the traceback of a handler's exception refers to the envelope, and the
    envelope's future to the exception.
    """

    stream_type: str
    to: str
    command: Command | None
    handler: CommandHandler | None
    future: asyncio.Future[Any] | None = None
    command_id: str = ""
    known_fingerprint: int | None = 0
    fresh: bool = True
    correlation_id: str = ""
    causation_id: str = ""
    headers: dict[str, str] = {}
    expected_version: int | None = None
    attempts: int = 0
    timeout_s: float = 0.0
    deadline: float = 0.0
    is_looked_up: bool = False
    first_effect: CommandRecord | None = None
    encoded: bytes = b""

    @property
    def fingerprint(self) -> int:
        """The fingerprint of the command, computed when it is first asked for; 0 if nothing can ask."""
        known = self.known_fingerprint
        if known is None:
            handler = self.handler
            assert handler is not None, "only a command with a handler has a fingerprint that is not known"
            known = self.known_fingerprint = handler.codec.fingerprint(self.command, self.encoded)
        return known

    def kept(self) -> Mark:
        """Return the mark of the command without the rest of the envelope."""
        handler, command = self.handler, self.command
        if self.known_fingerprint is not None or handler is None or command is None:
            return CommandMark(self.command_id, self.fingerprint)
        return UnhashedMark(self.command_id, command, handler.codec)

    @property
    def needs_look_up(self) -> bool:
        """Whether its id may be in the log, and was not looked up."""
        return not (self.fresh or self.is_looked_up or self.handler is None)

    @property
    def metadata(self) -> Metadata:
        """What is stored beside the events of the command."""
        return Metadata(self.command_id, self.correlation_id, self.causation_id, self.headers)

    def metadata_json(self) -> bytes:
        """Return `metadata` as JSON; that of a command with nothing but an id is put together, which costs half."""
        if self.headers or self.correlation_id or self.causation_id or not self.command_id:
            return as_json(self.metadata)
        return b'{"command_id":%b}' % as_json(self.command_id)


class UnhashedMark(msgspec.Struct, frozen=True, gc=False):
    """A `Mark` that computes its fingerprint from the command: it costs as much as a decision, and is rarely needed."""

    # It refers to nothing that leads back to a runtime: the garbage collector does not look into it.
    command_id: str
    command: Command
    codec: CommandCodec

    @property
    def fingerprint(self) -> int:
        """The fingerprint of the command."""
        return self.codec.fingerprint(self.command, sorted_json(self.command))

    @property
    def fresh(self) -> bool:
        """Whether the id was just created."""
        return False

    def kept(self) -> Mark:
        """Return the mark itself."""
        return self


Mailbox = list[Envelope]
"""The envelopes that wait for one actor, oldest first.

A mailbox exists only while it holds envelopes; an idle actor has none. It is a list, because most hold one envelope,
and creating a deque costs more than all its later use. The limit is the runtime's `mailbox_limit`. `Actor.is_full`
enforces it and also counts commands that are decided but not committed. Only the actor may exceed it, to put back
envelopes whose decisions a failed append undid.
"""
