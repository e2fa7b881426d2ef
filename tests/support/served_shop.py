"""Applications that run in a thread with their control socket, for commands that reach them from outside."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from support.consoles import TOKENS
from support.shop import PARTS, Faults

from actorium import Retry, Runtime, Settings
from actorium.console import Console, Meter, control_socket
from actorium.console.server import HEAD_BYTES_MAX, SmallServer

T = TypeVar("T")


class Served:
    """A running application, with its console at `url`; `do` runs a coroutine in it."""

    def __init__(self, db: Path, parts: Sequence[Any], settings: Settings | None = None) -> None:
        self.db = db
        self._meter = Meter()
        self.runtime = Runtime(parts, store=f"sqlite:///{db}", settings=settings, instruments=[self._meter])
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    async def _run(self) -> None:
        async with self.runtime, control_socket(self.runtime):
            console = Console(self.runtime, actions=True, tokens=TOKENS, meter=self._meter)
            serving = SmallServer(console)
            server = await asyncio.start_server(serving.connected, "127.0.0.1", 0, limit=HEAD_BYTES_MAX)
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._started.set()
            await self._stop.wait()
            server.close()
            await serving.stop()

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self._thread.start()
        assert self._started.wait(30)

    def stop(self) -> None:
        """Stop it, and wait until it has; once is enough."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the application."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)


class ServedShop(Served):
    """The running shop."""

    def __init__(self, db: Path) -> None:
        super().__init__(db, PARTS, Settings(handler_retry=Retry(attempts=1)))


@contextmanager
def served_shop(db: Path) -> Iterator[ServedShop]:
    """Run the shop on the log in a file, with a broken warehouse and no mail."""
    Faults.warehouse = Faults.mail = True
    shop = ServedShop(db)
    shop.start()
    try:
        yield shop
    finally:
        shop.stop()
