"""The NATS server of the tests: each test process starts one, when it first needs it."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from actorium.testing.nats_server import own_nats_server

TEST_S = 120


@functools.cache
def shared_server_url() -> str:
    """Return the URL of the server that the tests of this process share."""
    import atexit

    servers = own_nats_server()
    server = servers.__enter__()
    atexit.register(servers.__exit__, None, None, None)
    return server.url(fsync="yes")


def over_nats(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Run a test on a real event loop; fail it if it takes longer than `TEST_S` seconds, so that none waits forever."""

    @pytest.mark.asyncio
    @functools.wraps(test)
    async def limited(*arguments: Any, **named: Any) -> None:
        async with asyncio.timeout(TEST_S):
            await test(*arguments, **named)

    return limited
