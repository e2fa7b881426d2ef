"""The metadata that a command inherits from the event that its sender is handling: the flow, the cause and the headers.

A `@react` function, or an `async def` step of a saga, runs `because_of` an event. The commands that it sends belong to
the flow of that event, name it as their cause and have its headers, unless the call says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec


class Inherited(msgspec.Struct, frozen=True):
    """The metadata that commands sent because of an event inherit."""

    correlation_id: str
    causation_id: str
    headers: Mapping[str, str]

    def merged(
        self, correlation_id: str, causation_id: str, headers: Mapping[str, str] | None
    ) -> tuple[str, str, Mapping[str, str]]:
        """Return the metadata of one command; values given by its sender take precedence over inherited ones."""
        return (
            correlation_id or self.correlation_id,
            causation_id or self.causation_id,
            {**self.headers, **headers} if headers else self.headers,
        )


_INHERITED: ContextVar[Inherited | None] = ContextVar("actorium_inherited", default=None)

inherited = _INHERITED.get
"""Returns the metadata that a command sent now inherits; None if no event is being handled."""


def inherit(
    correlation_id: str, causation_id: str, headers: Mapping[str, str] | None
) -> tuple[str, str, Mapping[str, str] | None]:
    """Return the metadata of one command, including inherited metadata if an event is being handled."""
    handled = inherited()
    if handled is None:
        return correlation_id, causation_id, headers
    return handled.merged(correlation_id, causation_id, headers)


@contextmanager
def because_of(correlation_id: str, causation_id: str, headers: Mapping[str, str]) -> Iterator[None]:
    """Let the commands that are sent in this block, and in tasks that it starts, inherit this metadata."""
    token = _INHERITED.set(Inherited(correlation_id, causation_id, headers))
    try:
        yield
    finally:
        _INHERITED.reset(token)
