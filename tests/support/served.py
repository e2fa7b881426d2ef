"""Applications that run in a thread with their consoles, for commands and browsers that reach them from outside."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from support.consoles import TOKENS
from support.shop import PARTS, Faults

from actorium import Retry, Runtime, Settings
from actorium.console import Console, Meter, control_socket
from actorium.console.server import HEAD_BYTES_MAX, SmallServer
from actorium.store.postgresql import PostgreSQLStore
from actorium.store.sqlite.adapter import SQLiteStore

T = TypeVar("T")


class Served:
    """A running application, with its console at `url`; `do` runs a coroutine in it.

    at: where commands find it: the file of its log, or its control socket if the log is on a server.

    others: runtimes that start before it, in the same loop.
    """

    def __init__(self, runtime: Runtime, *others: Runtime, meter: Meter | None = None) -> None:
        self.runtime = runtime
        self.url = self.at = ""
        self._others = others
        self._meter = meter
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    async def _run(self) -> None:
        async with AsyncExitStack() as running:
            for runtime in (*self._others, self.runtime):
                await running.enter_async_context(runtime)
            store = self.runtime.store
            if isinstance(store, SQLiteStore):
                await running.enter_async_context(control_socket(self.runtime))
                self.at = store.path
            elif isinstance(store, PostgreSQLStore):
                folder = running.enter_context(TemporaryDirectory())
                self.at = str(await running.enter_async_context(control_socket(self.runtime, f"{folder}/control.sock")))
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
        """Stop it, and wait until it has; a second call does nothing."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the application."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)


@contextmanager
def served(runtime: Runtime, *others: Runtime, meter: Meter | None = None) -> Iterator[Served]:
    """Run an application with its console in a thread."""
    application = Served(runtime, *others, meter=meter)
    application.start()
    try:
        yield application
    finally:
        application.stop()


@contextmanager
def served_shop(url: str) -> Iterator[Served]:
    """Run the shop on a log, with a broken warehouse and no mail."""
    Faults.warehouse = Faults.mail = True
    meter, settings = Meter(), Settings(handler_retry=Retry(attempts=1), max_wait_s=60)  # on a busy machine too
    runtime = Runtime(PARTS, store=url, settings=settings, instruments=[meter])
    with served(runtime, meter=meter) as shop:
        yield shop
