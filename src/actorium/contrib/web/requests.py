"""`Wishes`: the headers of a request that say how its command is sent, and `reply_headers`, those of the answer.

| header | meaning |
|---|---|
| `Idempotency-Key` | the command's id: sent again with it, the command takes effect once |
| `If-Match: "7"` | the version that the stream must have (RFC 9110) |
| `Prefer: wait=5` | how many seconds the client waits for the outcome (RFC 7240) |
| `Actorium-Position` | in an answer: the command's position; in a read: contain everything up to this position |
| `X-Correlation-ID` | the id of the business flow, stored with the events |
| `traceparent`, `tracestate` | the trace (w3.org/TR/trace-context), stored with the events |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from actorium.actors.commands import Ack
from actorium.errors import InvalidCommand

POSITION = "Actorium-Position"
KEY_MAX = 200
_PRINTABLE = re.compile(r"[ -~]{0,200}")
_VERSION = re.compile(r'"([0-9]{1,18})"')
_WAIT = re.compile(r"(?:^|[,;\s])wait=([0-9]{1,6})(?:$|[,;\s])")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Wishes(msgspec.Struct, frozen=True):
    """How a request wants its command to be sent."""

    command_id: str
    expected_version: int | None = None
    timeout_s: float | None = None
    correlation_id: str = ""
    trace: Mapping[str, str] = {}

    def options(self, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the keyword arguments of `send`; headers: those that the application adds, such as the user."""
        return {
            "command_id": self.command_id,
            "expected_version": self.expected_version,
            "timeout_s": self.timeout_s,
            "correlation_id": self.correlation_id,
            "headers": {**self.trace, **headers},
        }


def wishes_of(headers: Mapping[str, str], *, wait_max_s: float) -> Wishes:
    """Return what the headers of a request say; raise InvalidCommand for one that is missing or malformed.

    headers: the request's, by name in any case.
    wait_max_s: `Prefer: wait` is bounded by this.
    """
    key = headers.get("idempotency-key", "")
    if not key or len(key) > KEY_MAX or not _PRINTABLE.fullmatch(key):
        raise InvalidCommand(f"give an Idempotency-Key of 1 to {KEY_MAX} printable characters")
    correlation_id = headers.get("x-correlation-id", "")
    if not _PRINTABLE.fullmatch(correlation_id):
        raise InvalidCommand("X-Correlation-ID: at most 200 printable characters")
    return Wishes(
        key,
        expected_version(headers.get("if-match")),
        timeout_of(headers.get("prefer", ""), wait_max_s),
        correlation_id,
        trace_of(headers),
    )


def expected_version(if_match: str | None) -> int | None:
    """Return the version that an If-Match header names; raise InvalidCommand for anything but `"7"`."""
    if if_match is None:
        return None
    found = _VERSION.fullmatch(if_match)
    if found is None:
        raise InvalidCommand('If-Match: give one version in quotes, as the ETag of an answer: "7"')
    return int(found[1])


def timeout_of(prefer: str, wait_max_s: float) -> float | None:
    """Return the seconds that a Prefer header asks for, at most `wait_max_s`; None if it asks for none."""
    found = _WAIT.search(prefer)
    return min(max(float(found[1]), 0.001), wait_max_s) if found else None


def position_of(header: str | None) -> int:
    """Return the position that a read must contain; raise InvalidCommand for anything but a whole number."""
    if header is None:
        return 0
    if not re.fullmatch("[0-9]{1,18}", header):
        raise InvalidCommand(f"{POSITION}: give a position, as in the answer to a command")
    return int(header)


def trace_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the trace of a request as headers of a command; empty if there is none, or a malformed one."""
    parent, state = headers.get("traceparent", ""), headers.get("tracestate", "")
    if not _TRACEPARENT.fullmatch(parent):
        return {}
    found = {"traceparent": parent}
    if state and len(state) <= 512 and state.isprintable():
        found["tracestate"] = state
    return found


def reply_headers(ack: Ack, wishes: Wishes) -> dict[str, str]:
    """Return the headers of the answer to a command that took effect."""
    headers = {"ETag": f'"{ack.version}"', POSITION: str(ack.position)}
    if ack.duplicate:
        headers["Idempotent-Replayed"] = "true"
    if wishes.timeout_s is not None:
        headers["Preference-Applied"] = f"wait={wishes.timeout_s:g}"
    if wishes.correlation_id:
        headers["X-Correlation-ID"] = wishes.correlation_id
    return headers
