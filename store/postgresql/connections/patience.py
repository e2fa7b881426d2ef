"""Repeats an attempt while the server is away, until its outcome is known."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from actorium.store.errors import ActoriumError, CommitUnknown
from actorium.store.log import logger
from actorium.store.postgresql.connections.failures import is_of_server, unavailable
from actorium.store.raised import error_text

T = TypeVar("T")

log = logger("actorium.store")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.5


def _never() -> bool:
    return False


async def until_known(
    attempt: Callable[[], Awaitable[T]],
    *,
    is_in_doubt: Callable[[], bool] = _never,
    goes_on: Callable[[], bool],
    patience_s: float,
    what: str,
) -> T:
    """Return the result of an attempt, which is repeated after an error of the server.

    is_in_doubt: whether something was sent whose outcome is not known; a read never is.
    what: the start of a message about a failure: place and action.
    goes_on: whether to attempt again; a closed store does not.

    Raises:
        StoreUnavailable: nothing was written or read.
        CommitUnknown: `patience_s` is over, and something was sent whose outcome is not known.
    """
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + patience_s
    pause_s = _FIRST_PAUSE_S
    logged: set[type[BaseException]] = set()
    while True:
        try:
            return await attempt()
        except ActoriumError:
            raise
        except Exception as error:
            if not is_of_server(error):
                raise unavailable(error, what) from error
            if loop.time() >= ends_s or not goes_on():
                if is_in_doubt():
                    raise CommitUnknown(
                        f"{what}, and it is unknown whether it was written: {error_text(error)}; send its commands "
                        "again with the same command_id"
                    ) from error
                raise unavailable(error, what) from error
            if type(error) not in logged:
                logged.add(type(error))
                log.warning("store.server_away", what=what, in_doubt=is_in_doubt(), error=error_text(error))
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
