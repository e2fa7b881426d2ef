"""`problem_of`: an error as an HTTP response, with problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, NamedTuple

from actorium.errors import (
    ActoriumError,
    AlreadyExists,
    CommandConflict,
    CommandFailed,
    CommandTimeout,
    ConfigurationError,
    DamagedLog,
    InvalidCommand,
    LostRace,
    NotFound,
    OutcomeUnknown,
    Refused,
    Rejected,
    Unavailable,
    WrongExpectedVersion,
)

PROBLEM_JSON = "application/problem+json"

# The nearest base class of an error gives its title.
TITLES: Mapping[type[Exception], str] = {
    Rejected: "The command was rejected",
    AlreadyExists: "It already exists",
    NotFound: "There is no such thing, or there was none at that time",
    CommandConflict: "The Idempotency-Key belongs to another command",
    Refused: "The command was refused",
    LostRace: "It has changed: read it again",
    InvalidCommand: "The request is invalid",
    Unavailable: "Nothing was done: send again later",
    OutcomeUnknown: "No answer: send again with the same Idempotency-Key",
    CommandFailed: "The server failed",
    DamagedLog: "The server failed",
    ConfigurationError: "The server failed",
    ActoriumError: "The server failed",
}


class HttpProblem(NamedTuple):
    """The status, the body (a JSON object) and the headers of a response."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


def problem_of(error: ActoriumError, titles: Mapping[type[Exception], str] = TITLES) -> HttpProblem:
    """Return an error as an HTTP response.

    titles: the titles by class of errors, for the nearest base class.

    The details of a server's own failure are left out: they belong in the server's log, not in a response.
    """
    status = error.http_status
    title = next((titles[kind] for kind in type(error).__mro__ if kind in titles), "The server failed")
    body = {"type": f"/problems/{type(error).__name__}", "title": title, "status": status, **_members(error)}
    if status < 500:
        body["detail"] = str(error)
    headers = {}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(ceil(error.retry_after_s))
    return HttpProblem(status, body, headers)


def _members(error: ActoriumError) -> dict[str, Any]:
    """Return the details of an error that a client program may use."""
    match error:
        case Rejected():
            return {"reason": error.reason, "details": error.details}
        case WrongExpectedVersion():
            return {"expected_version": error.expected, "version": error.actual}
        case CommandTimeout(command_id=command_id) if command_id:
            return {"command_id": command_id}
    return {}
