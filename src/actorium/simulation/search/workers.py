"""`spread`: distribute pieces of work on a simulation over processes; results come in the order of the pieces."""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterable
from functools import partial
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Generic, TypeVar

from actorium.simulation.search.decorator import Simulation
from actorium.simulation.search.place import ScenarioPlace, simulation_of

P = TypeVar("P")
R = TypeVar("R")

# Pieces handed out ahead of the one whose result is awaited, per process: enough to keep every process busy.
_AHEAD = 4


def spread(
    where: ScenarioPlace | Simulation, jobs: int, work: Callable[[Simulation, P], Iterable[R]], pieces: Iterable[P]
) -> Generator[R, None, None]:
    """Yield the results of `work`, a module-level function, for each piece; close the generator to stop early.

    With one job, the work is done in this process, result by result; with more, in that many processes, piece by piece.
    """
    if jobs == 1 or isinstance(where, Simulation):
        simulation = simulation_of(where, jobs)
        for piece in pieces:
            yield from work(simulation, piece)
        return
    with Workers(jobs, partial(_all_of, work)) as workers:
        for results in workers.map((where, piece) for piece in pieces):
            yield from results


def _all_of(work: Callable[[Simulation, P], Iterable[R]], placed: tuple[ScenarioPlace, P]) -> list[R]:
    place, piece = placed
    return list(work(place.load(), piece))


class WorkerDied(RuntimeError):
    """A process ended before its piece of work was done, for example because it ran out of memory."""


class Workers(Generic[P, R]):
    """Processes that run `work`, a picklable function, on one piece after another.

    The processes are spawned, not forked, so that they are alike on every system. They ignore Ctrl-C, which the parent
    handles, and end with the `with` block, even in the middle of a piece.
    """

    def __init__(self, jobs: int, work: Callable[[P], R]) -> None:
        self._jobs = jobs
        self._work = work
        self._processes: list[Any] = []
        self._pipes: list[Connection] = []

    def __enter__(self) -> Workers[P, R]:
        context = multiprocessing.get_context("spawn")
        for _ in range(self._jobs):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, self._work), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._pipes.append(ours)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()
        for pipe in self._pipes:
            pipe.close()

    def map(self, pieces: Iterable[P]) -> Generator[R, None, None]:
        """Yield the result of each piece, in order; raise any error of the work, or WorkerDied."""
        numbered = enumerate(pieces)
        results: dict[int, Any] = {}
        idle, busy = list(self._pipes), set[Connection]()
        due, given, is_all = 0, 0, False
        while True:
            while idle and not is_all and given - due < _AHEAD * self._jobs:
                number, piece = next(numbered, (-1, None))
                if number < 0:
                    is_all = True
                    break
                pipe = idle.pop()
                pipe.send((number, piece))
                busy.add(pipe)
                given = number + 1
            if due == given and is_all:
                return
            for ready in wait(list(busy)):
                number, is_done, result = _received(ready)
                if not is_done:
                    raise result
                results[number] = result
                busy.discard(ready)
                idle.append(ready)  # type: ignore[arg-type]
            while due in results:
                yield results.pop(due)
                due += 1


def _received(pipe: Any) -> tuple[int, bool, Any]:
    try:
        message: tuple[int, bool, Any] = pipe.recv()
    except EOFError:
        raise WorkerDied("a process of the campaign ended in the middle of its work: out of memory?") from None
    return message


def _serve(pipe: Connection, work: Callable[[Any], Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()  # this process does nothing else: see `collected_seldom`
    while True:
        try:
            number, piece = pipe.recv()
        except EOFError:
            return
        try:
            message = (number, True, work(piece))
        except Exception as error:
            message = (number, False, error)
        pipe.send(message)
