"""Fixtures of the command tests: an application in the current directory, with a log."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actorium import Runtime
from actorium.examples.evolution import v1

APP = """
from actorium import Runtime
from actorium.examples.evolution import v1, v2, v3

LOG = "URL"
one = Runtime([v1.Order], store=LOG)

def three() -> Runtime:
    return Runtime([v3.Order], store=LOG)

def needs(something: str) -> Runtime: ...

def broken() -> Runtime:
    return {}["no such setting"]

async def later() -> Runtime: ...

class Held:
    runtime = one

number = 7
"""


@pytest.fixture
def orders(new_log_url: Callable[[str], str]) -> str:
    """The URL of the log of two orders."""
    return new_log_url("orders")


@pytest.fixture
def shop(orders: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with an application in it that has the log of two orders."""
    (tmp_path / "shop_app.py").write_text(APP.replace("URL", orders), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    async def write() -> None:
        async with Runtime([v1.Order], store=orders) as runtime:
            await runtime.send(v1.PlaceOrder("o-1", "Alice", "teapot", 12.34))
            for _ in range(3):
                await runtime.send(v1.View("o-1", "Bob"))

    asyncio.run(write())
    yield tmp_path
    sys.modules.pop("shop_app", None)
