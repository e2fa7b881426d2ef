"""Mutants of the handling of unusual errors raised by user code."""

import asyncio

import msgspec
import pytest
from simulation.mutants.domain import Ask, Desk, TransferAsked
from simulation.mutants.mutant import mutant
from simulation.mutants.scenarios import accounts

from actorium import Retry, react
from actorium.actors import actor
from actorium.runtime.processors import concurrent_delivery, delivery, processor
from actorium.simulation import Faults, Kind, World, simulation
from actorium.simulation.world.faults import OF_CODE

FAILING = Faults.only(*OF_CODE, Kind.CRASH, rate=0.02)
accounts_of_bad_code = msgspec.structs.replace(accounts, faults=FAILING)


@react(on_replay="run", retry=Retry(attempts=10))
async def post(event: TransferAsked) -> None:
    """Has an external effect for each requested transfer."""
    await asyncio.sleep(0.1)


@simulation(seeds=200, faults=Faults.only(*OF_CODE, rate=0.05))
async def letters(world: World) -> None:
    """Each letter is posted, although the post office fails at times."""
    desks = world.runtime([Desk, post])
    for number in range(4):
        await desks.send(Ask(f"desk {number}", "alice", "bob", 1))


def only_exceptions(raised: BaseException) -> None:
    """Treat only an Exception as a failure of user code."""
    if not isinstance(raised, Exception):
        raise raised


def any_cancellation_is_ours(raised: BaseException) -> None:
    if isinstance(raised, asyncio.CancelledError):
        raise raised


def as_it_prints_itself(error: BaseException, limit: int = 0) -> str:
    return f"{type(error).__name__}: {error}"


@mutant(accounts_of_bad_code)
def a_base_exception_ends_the_scheduler(patch: pytest.MonkeyPatch) -> None:
    """A handler that raises a BaseException fails its command; here the exception reaches the event loop."""
    patch.setattr(actor, "let_through", only_exceptions)


@mutant(accounts_of_bad_code)
def a_foreign_cancellation_ends_a_processor(patch: pytest.MonkeyPatch) -> None:
    """A handler that raises its own CancelledError is retried; here its processor ends."""
    patch.setattr(delivery, "let_through", any_cancellation_is_ours)
    patch.setattr(processor, "let_through", any_cancellation_is_ours)


@mutant(letters)
def a_foreign_cancellation_ends_a_lane(patch: pytest.MonkeyPatch) -> None:
    """A reaction that raises its own CancelledError is retried; here nothing waits for its end any more."""
    patch.setattr(concurrent_delivery, "let_through", any_cancellation_is_ours)


@mutant(accounts_of_bad_code)
def an_unprintable_error_ends_the_runtime(patch: pytest.MonkeyPatch) -> None:
    """An error that cannot be printed fails its command; here the text for the caller cannot be made."""
    patch.setattr(actor, "error_text", as_it_prints_itself)
