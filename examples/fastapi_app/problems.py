"""Errors as HTTP responses: titles, and one handler that answers with RFC 9457 problem details."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

import structlog
from fastapi import Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from actorium import (
    ActoriumError,
    AlreadyExists,
    InvalidCommand,
    LostRace,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from actorium.errors import CommandConflict, CommandTimeout, WrongExpectedVersion

log = structlog.get_logger("bank")

# A header value that may be sent back to the client.
PRINTABLE = "^[ -~]*$"

# The nearest base class of an error gives its title and type. Any other error is a 500 with a traceback in the server's
# log, such as a bug (HandlerFailed) or a damaged stream (DamagedLog): the client can do nothing about it.
TITLES: Mapping[type[Exception], str] = {
    Rejected: "The command was rejected",
    AlreadyExists: "The account already exists",
    NotFound: "There is no such account, or there was none at that time",
    LostRace: "The account has changed: read it again",
    CommandConflict: "The Idempotency-Key belongs to another command",
    InvalidCommand: "The request is invalid",
    RequestValidationError: "The request is invalid",
    HTTPException: "The request cannot be served",
    Unavailable: "Nothing was done: send again later",
    OutcomeUnknown: "No answer: send again with the same Idempotency-Key",
}


def status_of(kind: type[Exception]) -> int:
    """Return the HTTP status of a class of errors."""
    return kind.http_status if issubclass(kind, ActoriumError) else HTTPStatus.UNPROCESSABLE_ENTITY


async def answer_problem(request: Request, error: Exception) -> JSONResponse:
    """Answer with the problem details of an error in the table."""
    title = next(TITLES[kind] for kind in type(error).__mro__ if kind in TITLES)
    status = error.status_code if isinstance(error, HTTPException) else status_of(type(error))
    body = {"type": f"/problems/{type(error).__name__}", "title": title, "status": status, **members(error)}
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        body["detail"] = detail(error)
    else:  # the details of a server error go to the log, not to clients
        log.warning("request_failed", path=request.url.path, error=repr(error))
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(ceil(error.retry_after_s))
    correlation_id = request.headers.get("x-correlation-id", "")
    if correlation_id and re.fullmatch(PRINTABLE, correlation_id):
        headers["X-Correlation-ID"] = correlation_id
    return JSONResponse(jsonable_encoder(body), status, headers, media_type="application/problem+json")


def detail(error: Exception) -> str:
    """Return the description of an error for a person."""
    match error:
        case ActoriumError():
            return str(error)
        case HTTPException():
            return error.detail
    return "see errors"


def members(error: Exception) -> dict[str, Any]:
    """Return the details of an error that a client program may use."""
    match error:
        case Rejected():
            return {"reason": error.reason, "details": error.details}
        case WrongExpectedVersion():
            return {"expected_version": error.expected, "version": error.actual}
        case CommandTimeout(command_id=command_id) if command_id:
            return {"command_id": command_id}
        case RequestValidationError():
            # Without the input, which may be long or not valid in JSON (NaN, a lone surrogate).
            return {"errors": [{name: one[name] for name in ("type", "loc", "msg")} for one in error.errors()]}
    return {}
