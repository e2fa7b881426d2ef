"""A proxy in front of a PostgreSQL server that loses, holds back, delays and cuts what passes."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Fault = Literal["none", "lose request", "lose answer", "hold request"]
"""What happens to the next message of a client: lost on its way there, on the way back, or kept until `release`.

After each of them but "none", the client's connection is cut.
"""

_CHUNK_BYTES = 1 << 20
_DEFAULT_PORT = 5_432


class Proxy:
    """Listens on a port of its own. Faults are planned by the role in the connection's `application_name`.

    delay_s: how long everything takes on its way, in both directions.
    """

    def __init__(self, server_port: int, server_host: str = "127.0.0.1") -> None:
        self._server_host = server_host
        self._server_port = server_port
        self.port = 0
        self.delay_s = 0.0
        self._flows = asyncio.Event()  # cleared while everything that clients send is held
        self._flows.set()
        self._half_closed: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()
        self.faults: dict[str, deque[Fault]] = {}
        self.is_cut = False  # every connection is closed at once, and no new one is let in
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._released = asyncio.Event()
        self.met = asyncio.Event()  # set once a message has met a fault
        self._tasks: set[asyncio.Task[None]] = set()

    def plan(self, role: str, *faults: Fault) -> None:
        """Let the next messages of the connection with this role meet faults."""
        self.faults.setdefault(role, deque()).extend(faults)

    def cut(self) -> None:
        """Close every connection, and refuse new ones."""
        self.is_cut = True
        for pair in list(self._pairs):
            for side in pair:
                side.transport.abort()

    def mend(self) -> None:
        """Let connections in again."""
        self.is_cut = False

    def half_close(self, *, towards_server: bool) -> None:
        """End one direction of every connection; the other one stays open as long as its sender leaves it open."""
        for client, server in list(self._pairs):
            side = server if towards_server else client
            if not side.transport.is_closing():
                self._half_closed.add(side)
                side.write_eof()

    def hold(self) -> None:
        """Hold everything that clients send from now on, as it is held while their process or network stands still."""
        self._flows.clear()

    def let_go(self) -> None:
        """Send what is held, in its order."""
        self._flows.set()

    def release(self) -> None:
        """Send the server what was held back."""
        self._released.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if not self.is_cut:
                await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # a cut cancels this task; Python 3.11 would report a task that ends as cancelled
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(self._server_host, self._server_port)
        pair = (writer, to_server)
        self._pairs.add(pair)
        answers = asyncio.ensure_future(self._pump(from_server, writer))
        role = ""
        try:
            while data := await reader.read(_CHUNK_BYTES):
                if b"application_name\0" in data:
                    role = data.partition(b"application_name\0")[2].partition(b"\0")[0].decode().rpartition(" ")[2]
                elif (planned := self.faults.get(role)) and (fault := planned.popleft()) != "none":
                    answers.cancel()
                    await asyncio.wait([answers])
                    await self._meet(fault, data, from_server, writer, to_server)
                    return
                await self._pass()
                if to_server not in self._half_closed:
                    to_server.write(data)
                    await to_server.drain()
        finally:
            answers.cancel()
            self._pairs.discard(pair)
            to_server.transport.abort()
            await asyncio.gather(answers, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_CHUNK_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if writer not in self._half_closed:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        writer.transport.abort()

    async def _pass(self) -> None:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        await self._flows.wait()

    async def _meet(
        self,
        fault: Fault,
        data: bytes,
        from_server: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        to_server: asyncio.StreamWriter,
    ) -> None:
        if fault == "hold request":
            writer.transport.abort()
            self.met.set()
            await self._released.wait()
        if fault != "lose request":
            to_server.write(data)
            await from_server.read(_CHUNK_BYTES)
        self.met.set()
        writer.transport.abort()

    async def close(self) -> None:
        """End what is under way."""
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def proxy_before(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Yield a proxy in front of the server of a URL, and the URL by way of it."""
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORT
    proxy = Proxy(port, parts.hostname or "127.0.0.1")
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        credentials, at, _ = parts.netloc.rpartition("@")
        yield proxy, urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{proxy.port}"))
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
