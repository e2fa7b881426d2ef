"""The metadata that a command inherits: from the event that its sender is handling, or the headers of its caller.

A `@react` function, or an `async def` step of a saga, runs `because_of` an event. The commands that it sends belong to
the flow of that event, name it as their cause and have its headers, unless the call says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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


CallerHeaders = Callable[[], Mapping[str, str] | None]


def with_caller_headers(caller_headers: CallerHeaders | None) -> Callable[[], Inherited | None]:
    """Return a function that returns what a command sent now inherits; the headers of an event take precedence."""
    if caller_headers is None:
        return inherited

    def inherited_now() -> Inherited | None:
        handled, headers = inherited(), caller_headers()
        if not headers:
            return handled
        if handled is None:
            return Inherited("", "", headers)
        return Inherited(handled.correlation_id, handled.causation_id, {**headers, **handled.headers})

    return inherited_now


def metadata_of(
    correlation_id: str, causation_id: str, headers: Mapping[str, str] | None, inherits: Inherited | None
) -> tuple[str, str, Mapping[str, str] | None]:
    """Return the metadata of one command, including what it inherits."""
    if inherits is None:
        return correlation_id, causation_id, headers
    return inherits.merged(correlation_id, causation_id, headers)


@contextmanager
def because_of(correlation_id: str, causation_id: str, headers: Mapping[str, str]) -> Iterator[None]:
    """Let the commands that are sent in this block, and in tasks that it starts, inherit this metadata."""
    token = _INHERITED.set(Inherited(correlation_id, causation_id, headers))
    try:
        yield
    finally:
        _INHERITED.reset(token)
