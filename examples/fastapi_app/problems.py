"""What can go wrong, as HTTP: one table, and one handler that answers with RFC 9457 problem details."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any, NamedTuple

import structlog
from fastapi import Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from actorium import (
    AlreadyExists,
    CommandConflict,
    CommandTimeout,
    NotFound,
    Overloaded,
    Rejected,
    RuntimeClosed,
    StoreUnavailable,
    WrongExpectedVersion,
)

log = structlog.get_logger("bank")


class Problem(NamedTuple):
    """How one kind of error is answered; `retry_after_s` is the Retry-After header where the error does not know it."""

    status: HTTPStatus
    title: str
    retry_after_s: int | None = None


# A bug (CommandFailed), a stream that cannot be read and whatever else is not here is a 500 with a traceback in the
# server's log: the client can do nothing about it.
PROBLEMS: Mapping[type[Exception], Problem] = {
    Rejected: Problem(HTTPStatus.CONFLICT, "The bank said no"),
    AlreadyExists: Problem(HTTPStatus.CONFLICT, "The account exists already"),
    NotFound: Problem(HTTPStatus.NOT_FOUND, "There is no such account, or was none then"),
    WrongExpectedVersion: Problem(HTTPStatus.PRECONDITION_FAILED, "The account has changed: read it again"),
    CommandConflict: Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "The Idempotency-Key belongs to another command"),
    RequestValidationError: Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "The request has mistakes"),
    Overloaded: Problem(HTTPStatus.SERVICE_UNAVAILABLE, "Too busy: nothing was done"),
    StoreUnavailable: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "The log is away: send again with the same Idempotency-Key", retry_after_s=5
    ),
    RuntimeClosed: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "Shutting down: send again with the same Idempotency-Key", retry_after_s=5
    ),
    CommandTimeout: Problem(HTTPStatus.GATEWAY_TIMEOUT, "No answer in time: send again with the same Idempotency-Key"),
}


async def answer_problem(request: Request, error: Exception) -> JSONResponse:
    """Answer an error of the table."""
    kind = next(kind for kind in type(error).__mro__ if kind in PROBLEMS)
    problem = PROBLEMS[kind]
    body = {"type": f"/problems/{kind.__name__}", "title": problem.title, "status": problem.status, **members(error)}
    if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        body["detail"] = str(error) if kind is not RequestValidationError else "see errors"
    else:  # what is wrong with the server is for its log, not for its clients
        log.warning("request_failed", path=request.url.path, error=repr(error))
    retry_after_s = ceil(error.retry_after_s) if isinstance(error, Overloaded) else problem.retry_after_s
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    if correlation_id := request.headers.get("x-correlation-id"):
        headers["X-Correlation-ID"] = correlation_id
    return JSONResponse(jsonable_encoder(body), problem.status, headers, media_type="application/problem+json")


def members(error: Exception) -> dict[str, Any]:
    """Return what a client's program may want to know of an error."""
    match error:
        case Rejected():
            return {"reason": error.reason, "details": error.details}
        case WrongExpectedVersion():
            return {"expected_version": error.expected, "version": error.actual}
        case CommandTimeout(command_id=command_id) if command_id:
            return {"command_id": command_id}
        case RequestValidationError():
            return {"errors": error.errors()}
    return {}
