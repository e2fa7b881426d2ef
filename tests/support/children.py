"""Processes under load that are killed, and the check of the log that they leave behind."""

import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from support.bank import Tally
from support.child import command

from actorium import Runtime

CHILD = Path(__file__).resolve().parent / "child.py"


class Child:
    """A process under load, with what it has acknowledged so far: command number to version and position."""

    def __init__(self, store: str, first: int, node: str = "") -> None:
        command = [sys.executable, str(CHILD), store, str(first), *([node] if node else [])]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.stdout: IO[str] = self.process.stdout
        self.acks: dict[int, tuple[int, int]] = {}
        self.lines: list[str] = []
        # Read at once: a process whose pipe is full stands still, and others wait for its answers.
        self._written: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self) -> None:
        while line := self.stdout.readline():
            self._written.put(line)
        self._written.put("")

    def read(self) -> bool:
        """Read one line; return False at the end."""
        line = self._written.get()
        if not line.endswith("\n"):
            return False
        self.lines.append(line.strip())
        if line.startswith("ack "):
            number, version, position = map(int, line.split()[1:])
            self.acks[number] = (version, position)
        return True

    def run_until_acknowledged(self, count: int) -> None:
        while len(self.acks) < count:
            assert self.read(), f"the child ended by itself: {self.lines[-3:]}"

    def end(self, how: signal.Signals) -> int:
        """Send a signal, read the rest of the pipe, and return the exit code."""
        self.process.send_signal(how)
        while self.read():
            pass
        self.stdout.close()
        return self.process.wait(timeout=30)


async def check(store: str, acks: dict[int, tuple[int, int]], *, send_again: int) -> None:
    """Check the log against every acknowledgement, then send the last commands again and check that nothing changes."""
    async with Runtime([Tally], store=store) as runtime:
        head = runtime.statistics().position
        positions, versions, totals = 0, dict.fromkeys((f"t{n}" for n in range(7)), 0), dict[str, int]()
        effects: dict[str, list[tuple[int, int]]] = {}
        async for recorded in runtime.events():
            positions += 1
            versions[recorded.stream_id] += 1
            assert (recorded.position, recorded.version) == (positions, versions[recorded.stream_id])
            effects.setdefault(recorded.metadata.command_id, []).append((recorded.version, recorded.position))
            amount = getattr(recorded.event, "amount", 0)
            totals[recorded.stream_id] = totals.get(recorded.stream_id, 0) + amount
            if positions == head:
                break
        for number, place in acks.items():
            assert effects[f"c{number}"][-1] == place, f"command {number} was acknowledged and is not there"
        for command_id, places in effects.items():
            number = int(command_id[1:])
            assert len(places) == command(number).events, f"command {number} took effect more than once, or in part"
        for number in sorted(acks)[-send_again:]:
            again = await runtime.send(command(number), command_id=f"c{number}")
            assert again.duplicate
            assert (again.version, again.position) == acks[number]
        assert runtime.statistics().position == head
        for id, total in totals.items():
            assert (await runtime.get(Tally, id)).total == total
