"""Sagas of three steps, so many in flight: `python -m benchmarks.sagas --store sqlite --in-flight 200`.

Each saga is eight commits' worth of commands: its request, its start, and for each step the command and its answer.
The clock stops when every saga is completed; a saga that ended otherwise, or a step that was done twice, is a failure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import structlog

from actorium import Aggregate, Command, Event, Runtime, Saga, decide, evolve, starts, step
from actorium.sagas.events import SagaCompleted

_ACCOUNTS = 500


class Begin(Command):
    """Ask for a journey between three accounts."""

    number: int


class Begun(Event):
    """A journey was asked for."""

    number: int


class Mark(Command):
    """Leave a mark on an account."""

    number: int


class Marked(Event):
    """A mark was left."""

    number: int


class Account(Aggregate):
    """Counts what was left on it."""

    marks: int = 0

    @decide
    def begin(self, command: Begin) -> Begun:
        return Begun(command.number)

    @decide
    def mark(self, command: Mark) -> Marked:
        return Marked(command.number)

    @evolve
    def begun(self, event: Begun) -> None:
        pass

    @evolve
    def marked(self, event: Marked) -> None:
        self.marks += 1


class Journey(Saga):
    """Leaves a mark on three accounts, one after the other."""

    number: int = 0

    @starts
    def begun(self, event: Begun) -> None:
        self.number = event.number

    @step(undo=None)
    def first(self) -> Mark:
        return Mark(f"account-{self.number % _ACCOUNTS}", self.number)

    @step(undo=None)
    def second(self) -> Mark:
        return Mark(f"account-{(self.number * 7 + 1) % _ACCOUNTS}", self.number)

    @step
    def third(self) -> Mark:
        return Mark(f"account-{(self.number * 13 + 2) % _ACCOUNTS}", self.number)


async def run(url: str, *, sagas: int, in_flight: int) -> dict[str, object]:
    """Return the rate of completed sagas with so many under way."""
    async with Runtime([Account, Journey], store=url) as runtime:
        marks = ended = 0
        places = asyncio.Semaphore(in_flight)
        done = asyncio.Event()

        async def count() -> None:
            nonlocal marks, ended
            async for recorded in runtime.events(types=[Marked, SagaCompleted]):
                if type(recorded.event) is Marked:
                    marks += 1
                    continue
                ended += 1
                places.release()
                if ended == sagas:
                    done.set()

        counting = asyncio.create_task(count())
        cpu, began = time.process_time(), time.perf_counter()
        for number in range(sagas):
            await places.acquire()
            await runtime.tell(Begin(f"desk-{number % 50}", number))
        await done.wait()
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        completed = sum([1 async for _ in runtime.sagas(Journey, status="completed")])
        counting.cancel()
        if completed != sagas or marks != 3 * sagas:
            raise SystemExit(f"wrong: {completed} of {sagas} sagas completed, {marks} marks left")
        return {"sagas_per_s": round(sagas / wall), "cpu_us_per_saga": round(cpu / sagas * 1e6)}


def main() -> None:
    """Run once and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("memory", "sqlite"), default="sqlite")
    parser.add_argument("--sagas", type=int, default=3_000)
    parser.add_argument("--in-flight", type=int, default=200)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(prefix="actorium-bench-") as folder:
        url = "memory://" if args.store == "memory" else f"sqlite:///{Path(folder) / 'bench.db'}"
        figures = asyncio.run(run(url, sagas=args.sagas, in_flight=args.in_flight))
    sys.stdout.write(json.dumps({"settings": vars(args), **figures}) + "\n")


if __name__ == "__main__":
    main()
