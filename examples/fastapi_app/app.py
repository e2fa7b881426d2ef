"""The web application. Start it with any ASGI server:

uvicorn --factory actorium.examples.fastapi_app.app:create_app --timeout-graceful-shutdown 5
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, FastAPI, Path, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from actorium import AlreadyExists, EventStore, NotFound, Runtime, Settings
from actorium.contrib.fastapi import RESPONSES, Log, Receipt, Running, Send, WebOptions, install
from actorium.contrib.fastapi import events as events_of
from actorium.examples.fastapi_app.account import Account, Deposit, OpenAccount, Withdraw

OPTIONS = WebOptions(
    body_bytes_max=64 * 1024,
    titles={AlreadyExists: "The account already exists", NotFound: "There is no such account, or there was none then"},
)

router = APIRouter(responses=RESPONSES)


def create_app(store: str | EventStore = "sqlite:///bank.db", settings: Settings | None = None) -> FastAPI:
    """Return the application; its runtime starts and stops with it."""
    app = FastAPI(title="Bank")
    install(app, Runtime([Account], store=store, settings=settings), OPTIONS)
    app.include_router(router)
    return app


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
    account_id: AccountId, moment: Annotated[Moment, Query()], bank: Running, response: Response
) -> AccountState:
    """Return an account."""
    state = await bank.get(Account, account_id, at_version=moment.at_version, at_time=moment.at_time)
    response.headers["ETag"] = f'"{state.version}"'
    return AccountState.model_validate(state)


@router.get("/events", response_class=EventSourceResponse)
async def events(log: Log) -> AsyncIterator[ServerSentEvent]:
    """Stream the log as it grows, until the client leaves or the runtime stops."""
    async for event in events_of(log):
        yield event


@router.get("/statistics")
async def statistics(bank: Running) -> dict[str, Any]:
    """Return the runtime's counters."""
    counters: dict[str, Any] = msgspec.to_builtins(bank.statistics())
    return counters
