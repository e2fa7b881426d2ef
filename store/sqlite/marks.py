"""The marks that commands leave beside their last event: read, and not believed where they cannot be true."""

from __future__ import annotations

from typing import Any

from actorium.store.event_store import CommandRecord
from actorium.store.events import StreamName
from actorium.store.sqlite.packed import InDoubt


def command_record(
    command_id: str, fingerprint: Any, type_: Any, name: Any, count: Any, version: Any, position: Any
) -> CommandRecord:
    """Return where a command took effect; InDoubt for a mark that cannot have been written so."""
    numbers = (fingerprint, count, version, position)
    if any(type(number) is not int for number in numbers) or not 1 <= count <= version:
        raise InDoubt(f"the mark of command {command_id!r} is damaged: the disk or a hand changed it")
    return CommandRecord(
        command_id, fingerprint, StreamName(_text(type_), _text(name)), version - count + 1, version, position
    )


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
