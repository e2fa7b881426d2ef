"""`Member`: one process under load, with the proxy between it and the server."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress

from actorium.testing.postgresql.proxy import Proxy, proxy_before

_ENDS_WITHIN_S = 60.0


class Member:
    """A process that joins or waits for the log, then serves until it dies or is fenced.

    name: its name, for messages.
    program: returns the command that starts it, for a URL.
    on_serving: called when it serves; returns the first line for its standard input.
    on_ack: called with the words after `ack` of each line with an acknowledgement.
    """

    def __init__(
        self,
        name: str,
        program: Callable[[str], Sequence[str]],
        on_serving: Callable[[Member], str],
        on_ack: Callable[[Sequence[str]], None],
    ) -> None:
        self.name = name
        self._program = program
        self.starts = asyncio.Event()
        self.serves = asyncio.Event()
        self.was_fenced = False
        self.wrong: list[str] = []
        self.last_words = ""
        self._on_serving = on_serving
        self._on_ack = on_ack
        self._stack = AsyncExitStack()
        self._reading: asyncio.Task[None] | None = None

    async def start(self, url: str) -> None:
        """Start the process, which reaches the server of a URL through the proxy."""
        self.proxy: Proxy
        self.proxy, through = await self._stack.enter_async_context(proxy_before(url))
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            *self._program(through), stdin=pipe, stdout=pipe, stderr=pipe
        )
        self._reading = asyncio.create_task(self._read())

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._reading is not None and self._reading.done()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        errors = asyncio.create_task(self.process.stderr.read())
        while (line := await self.process.stdout.readline()).endswith(b"\n"):
            word, *rest = line.decode().split()
            match word:
                case "ack":
                    self._on_ack(rest)
                case "starts":
                    self.starts.set()
                case "serves":
                    self.serves.set()
                    self.order(self._on_serving(self))
                case "fenced":
                    self.was_fenced = True
                case _:
                    self.wrong.append(" ".join(rest))
        await self.process.wait()
        self.last_words = (await errors).decode(errors="replace")[-2_000:]

    def order(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        if not self.process.stdin.is_closing():
            self.process.stdin.write(f"{line}\n".encode())

    def send_signal(self, number: signal.Signals) -> None:
        """Send the process a signal, if it is still there."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                # `Process.send_signal` may take the return code of a process that has just ended from asyncio.
                os.kill(self.process.pid, number)

    async def served_or_ended(self, within_s: float) -> None:
        """Return when the process serves or is gone; raise TimeoutError if neither happens."""
        await self._reached(self.serves, "serve", within_s)

    async def started_or_ended(self, within_s: float) -> None:
        """Return when the process waits for the log or is gone; raise TimeoutError if neither happens."""
        await self._reached(self.starts, "start", within_s)

    async def _reached(self, event: asyncio.Event, what: str, within_s: float) -> None:
        assert self._reading is not None
        reaching = asyncio.create_task(event.wait())
        done, _ = await asyncio.wait([reaching, self._reading], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        reaching.cancel()
        if not done:
            raise TimeoutError(f"{self.name} did not {what} within {within_s:.0f} s")

    async def ended(self) -> None:
        """Return when the process is gone; raise TimeoutError if it does not end."""
        assert self._reading is not None
        await asyncio.wait_for(asyncio.shield(self._reading), _ENDS_WITHIN_S)

    async def close(self) -> None:
        """Kill the process if it is still there."""
        if self._reading is not None:
            self.send_signal(signal.SIGKILL)
            await self._reading
        await self._stack.aclose()
