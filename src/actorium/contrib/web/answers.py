"""The answers that are the same in every web framework: problems, and health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import structlog

from actorium.contrib.web.options import WebOptions
from actorium.contrib.web.problems import PROBLEM_JSON, TITLES, problem_of
from actorium.errors import ActoriumError
from actorium.health import Health

log = structlog.get_logger("actorium.web")


class WebAnswer(NamedTuple):
    """The status, the body, the content type and the other headers of a response."""

    status: int
    body: bytes
    content_type: str
    headers: dict[str, str]


def error_answer(error: ActoriumError, options: WebOptions, asked: Mapping[str, str], path: str) -> WebAnswer:
    """Return one of Actorium's errors as problem details.

    asked: the headers of the request, by name in any case.
    """
    problem = problem_of(error, {**TITLES, **options.titles})
    if problem.status >= 500:  # the details go to the log, not to clients
        log.warning("request_failed", path=path, error=repr(error))
    return problem_answer(problem.status, problem.body, problem.headers, asked)


def refusal_answer(status: int, detail: str, headers: Mapping[str, str], asked: Mapping[str, str]) -> WebAnswer:
    """Return the framework's refusal of a request, which no route serves or one refuses, as problem details."""
    body = {
        "type": "/problems/HTTPException",
        "title": "The request cannot be served",
        "status": status,
        "detail": detail,
    }
    return problem_answer(status, body, headers, asked)


def invalid_answer(status: int, errors: Any, asked: Mapping[str, str]) -> WebAnswer:
    """Return an invalid request as problem details; errors: which of its values are wrong, without the values."""
    body = {
        "type": "/problems/RequestValidationError",
        "title": "The request is invalid",
        "status": status,
        "detail": "see errors",
        "errors": errors,
    }
    return problem_answer(status, body, {}, asked)


def problem_answer(
    status: int, body: Mapping[str, Any], headers: Mapping[str, str], asked: Mapping[str, str]
) -> WebAnswer:
    """Return problem details, in the flow of their request."""
    answered = dict(headers)
    correlation_id = asked.get("x-correlation-id", "")
    if correlation_id and correlation_id.isascii() and correlation_id.isprintable():
        answered["X-Correlation-ID"] = correlation_id
    return WebAnswer(status, msgspec.json.encode(body, enc_hook=str), PROBLEM_JSON, answered)


def health_answer(health: Health) -> WebAnswer:
    """Return whether an application is live or ready, and why not."""
    body = {"status": "ok" if health.ok else "failed", "reasons": list(health.reasons)}
    return WebAnswer(200 if health.ok else 503, msgspec.json.encode(body), "application/json", {})
