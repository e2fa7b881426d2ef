"""The web application. Start it with any ASGI server:

uvicorn --factory actorium.examples.fastapi_app.app:create_app --timeout-graceful-shutdown 5
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from starlette.exceptions import HTTPException

from actorium import Command, Event, EventStore, Runtime, Settings
from actorium.errors import PositionBeyondLog, StoreUnavailable
from actorium.examples.fastapi_app.account import Account, Deposit, OpenAccount, Withdraw
from actorium.examples.fastapi_app.body_limit import BodyLimit
from actorium.examples.fastapi_app.problems import PRINTABLE, TITLES, answer_problem, status_of
from actorium.types import Subscription

BODY_BYTES_MAX = 64 * 1024
HEALTH_S = 1.0

router = APIRouter(
    responses={status_of(kind): {"description": title} for kind, title in TITLES.items() if kind is not HTTPException}
)


def create_app(store: str | EventStore = "sqlite:///bank.db", settings: Settings | None = None) -> FastAPI:
    """Return the application; its runtime starts and stops with it."""
    runtime = Runtime([Account], store=store, settings=settings)
    app = FastAPI(title="Bank", lifespan=runtime.lifespan, exception_handlers=dict.fromkeys(TITLES, answer_problem))
    app.state.runtime = runtime
    app.add_middleware(BodyLimit, bytes_max=BODY_BYTES_MAX)
    app.include_router(router)
    return app


async def runtime_of(request: Request) -> Runtime:
    """Return the application's runtime."""
    runtime: Runtime = request.app.state.runtime
    return runtime


Bank = Annotated[Runtime, Depends(runtime_of)]
AccountId = Annotated[str, Path(max_length=100)]

# --- commands ---------------------------------------------------------------------------------------------------------


class Body(BaseModel):
    """A strict body: `"5"` and `true` are not numbers, and an unknown field is an error."""

    model_config = ConfigDict(strict=True, extra="forbid")


class NewAccount(Body):
    """The body of a request that opens an account."""

    account_id: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w.-]+$")]
    owner: Annotated[str, Field(min_length=1, max_length=200)]


class Money(Body):
    """The body of a request that moves money: an amount in hellers."""

    amount: Annotated[int, Field(gt=0, le=10**15)]


class Receipt(BaseModel):
    """The answer to a command: the account's version and its position in the log."""

    account_id: str
    version: int
    position: int


class CommandHeaders(BaseModel):
    """The headers of a request that sends a command."""

    idempotency_key: Annotated[str, Field(min_length=1, max_length=200)]
    if_match: Annotated[str | None, Field(pattern=r'^"[0-9]{1,18}"$')] = None
    x_correlation_id: Annotated[str, Field(max_length=200, pattern=PRINTABLE)] = ""


async def sender(
    bank: Bank, headers: Annotated[CommandHeaders, Header()], response: Response
) -> Callable[[Command], Awaitable[Receipt]]:
    """Return a function that sends a command as the request's headers say, and sets the response's headers."""

    async def send(command: Command) -> Receipt:
        ack = await bank.send(
            command,
            command_id=headers.idempotency_key,
            expected_version=None if headers.if_match is None else int(headers.if_match.strip('"')),
            correlation_id=headers.x_correlation_id,
        )
        response.headers["ETag"] = f'"{ack.version}"'
        if ack.duplicate:
            response.headers["Idempotent-Replayed"] = "true"
        if headers.x_correlation_id:
            response.headers["X-Correlation-ID"] = headers.x_correlation_id
        return Receipt(account_id=ack.stream_id, version=ack.version, position=ack.position)

    return send


Send = Annotated[Callable[[Command], Awaitable[Receipt]], Depends(sender)]


@router.post("/accounts", status_code=201)
async def open_account(body: NewAccount, send: Send, response: Response) -> Receipt:
    """Open an account."""
    response.headers["Location"] = f"/accounts/{body.account_id}"
    return await send(OpenAccount(body.account_id, owner=body.owner))


@router.post("/accounts/{account_id}/deposits")
async def deposit(account_id: AccountId, body: Money, send: Send) -> Receipt:
    """Deposit money."""
    return await send(Deposit(account_id, amount=body.amount))


@router.post("/accounts/{account_id}/withdrawals")
async def withdraw(account_id: AccountId, body: Money, send: Send) -> Receipt:
    """Withdraw money."""
    return await send(Withdraw(account_id, amount=body.amount))


# --- reads ------------------------------------------------------------------------------------------------------------


class AccountState(BaseModel):
    """An account, now or at an earlier time."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    owner: str
    balance: int
    version: int


class Moment(BaseModel):
    """The time of a read: now, after a version, or at a point in time."""

    at_version: Annotated[int | None, Field(ge=1)] = None
    at_time: AwareDatetime | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Moment:
        if self.at_version is not None and self.at_time is not None:
            raise ValueError("give at_version or at_time, not both")
        return self


@router.get("/accounts/{account_id}")
async def account(
    account_id: AccountId, moment: Annotated[Moment, Query()], bank: Bank, response: Response
) -> AccountState:
    """Return an account."""
    state = await bank.get(Account, account_id, at_version=moment.at_version, at_time=moment.at_time)
    response.headers["ETag"] = f'"{state.version}"'
    return AccountState.model_validate(state)


async def subscription(
    bank: Bank,
    after: Annotated[int, Query(ge=0)] = 0,
    last_event_id: Annotated[int | None, Header(ge=0)] = None,
) -> AsyncIterator[Subscription[Event]]:
    """Return the log after the last event the client has seen, which a browser sends in Last-Event-ID."""
    seen = after if last_event_id is None else last_event_id
    end = bank.statistics().position
    if seen > end:  # raised here, because a started stream has already sent its status
        raise PositionBeyondLog(f"the log ends at position {end}: no later event can have been seen", seen, end)
    with closing(bank.events(after=seen)) as log:
        yield log


@router.get("/events", response_class=EventSourceResponse)
async def events(log: Annotated[Subscription[Event], Depends(subscription)]) -> AsyncIterator[ServerSentEvent]:
    """Stream the log as it grows, until the client leaves or the runtime stops."""
    async for recorded in log:
        data = {
            "account_id": recorded.stream_id,
            "version": recorded.version,
            "recorded_at": recorded.recorded_at,
            "correlation_id": recorded.metadata.flow_id,
            **msgspec.structs.asdict(recorded.event),
        }
        yield ServerSentEvent(id=str(recorded.position), event=type(recorded.event).__name__, data=data)


# --- operation --------------------------------------------------------------------------------------------------------


@router.get("/health")
async def health(bank: Bank) -> dict[str, str]:
    """Report that commands are accepted and the store answers; 503 otherwise."""
    bank.statistics()
    try:
        async with asyncio.timeout(HEALTH_S):
            await bank.store.head()
    except TimeoutError:
        raise StoreUnavailable(f"the store did not answer within {HEALTH_S} s") from None
    return {"status": "ok"}


@router.get("/statistics")
async def statistics(bank: Bank) -> dict[str, Any]:
    """Return the runtime's counters."""
    counters: dict[str, Any] = msgspec.to_builtins(bank.statistics())
    return counters
