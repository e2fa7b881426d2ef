"""The ids of commands: those that callers choose, and those that the runtime derives from a command's cause.

Invariants: a derived id begins with `~`, and a caller's id never does, so that no caller can take the id of a command
that is still to be sent; no id is longer than MAX_ID_LENGTH; the same cause gives the same id.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b

from actorium.actors.commands import MAX_ID_LENGTH, checked_id
from actorium.store.errors import InvalidCommand

MARK = "~"
"""The first character of a derived id."""
_LONGEST = MAX_ID_LENGTH - len(MARK)
_DIGEST_BYTES = 16

_effect: ContextVar[str] = ContextVar("actorium_effect", default="")


class DerivedId(str):
    """The id of a command that the runtime sends; the dispatcher accepts it unchanged."""

    __slots__ = ()


def derived_id(cause: str) -> str:
    """Return the id of a command, derived from its cause."""
    return MARK + bounded(cause)


def bounded(text: str) -> str:
    """Return a text unchanged, or, if it is too long for an id, its hash followed by its beginning."""
    if len(text) <= _LONGEST:
        return text
    digest = blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{MARK}{digest} {text}"[:_LONGEST]


@contextmanager
def effect(key: str) -> Iterator[None]:
    """Let the block, an effect with this key, send commands whose ids begin with the key: they become derived ids."""
    token = _effect.set(key)
    try:
        yield
    finally:
        _effect.reset(token)


def checked_command_id(id: str) -> str:
    """Return the id under which to store a command with this id.

    Raises InvalidCommand for a value that is not an id, and for an id that a caller may not choose.
    """
    if isinstance(id, DerivedId):
        return str(id)
    checked_id(id, "command_id")
    key = _effect.get()
    if key and id.startswith(key):
        return derived_id(id)
    if id.startswith(MARK):
        raise InvalidCommand(f"command_id={id!r}: ids that begin with {MARK} are reserved for the runtime")
    return id


def known_command_id(id: str) -> str:
    """Return the id under which a command with this id is stored; raise InvalidCommand if there can be none."""
    checked_id(id, "command_id")
    return id if id.startswith(MARK) else checked_command_id(id)
