"""`audit`: what a scenario, and the code that it drives, asks of the machine beside the injected source.

Whatever is asked there is another answer in the next run, so the seed no longer stands for the run. The audit runs one
seed under a profile function and the interpreter's audit events, finds those calls, and names the line that made them:
the nearest frame that is neither the standard library's, nor an installed package's, nor the simulator's own.

What it cannot see is a function of the machine that C code calls (`default_factory=time.time`), and what the scenario
did not reach with this seed. What only goes into log lines does not count.
"""

from __future__ import annotations

import concurrent.futures
import datetime
import multiprocessing.process
import os
import random
import secrets
import socket
import subprocess
import sys
import sysconfig
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import msgspec

from actorium.simulation.search.decorator import Simulation

_TIME = (
    "wall time from the runtime's source: `recorded.recorded_at` in a handler; monotonic time from the loop: "
    "`asyncio.get_running_loop().time()`"
)
_CHANCE = "draw from a `random.Random` of a fixed seed, in a scenario from `world.choose(…)`"
_IDENTITY = "make the id of what the command or event says, or let the runtime make it"
_THREAD = "use `asyncio.to_thread`, which a simulation runs in place, or leave that part out of the scenario"
_PROCESS = "leave that part out of the scenario: another process runs in real time"
_SLEEP = "`await asyncio.sleep(…)`, which costs no real time in a simulation"
_NETWORK = "leave that part out of the scenario: put a function of the scenario's in its place"
_PACKAGE = "an installed package asks, which you cannot mend there: put a function of the scenario's in its place"
_FILE = "keep what has to last in events or a projection's tables: a file outlives the run and is there in the next"

_CLOCKS = (
    "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns thread_time "
    "thread_time_ns clock_gettime clock_gettime_ns"
)
_PROCESSES = "fork forkpty system posix_spawn posix_spawnp popen"
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Finding(msgspec.Struct, frozen=True):
    """A place that asks the machine: what is called, where, how often it was, and what to do instead."""

    what: str
    file: str
    line: int
    count: int
    advice: str

    def __str__(self) -> str:
        times = "once" if self.count == 1 else f"{self.count} times"
        return f"{self.file}:{self.line}: {self.what}, {times}: {self.advice}"


class _Whose(Enum):
    """Who answers for a frame."""

    USER = auto()  # the scenario, what it drives, or the runtime: it is named
    LIBRARY = auto()  # the standard library: whoever called it is named
    PACKAGE = auto()  # an installed package: whoever called it is named, with other advice
    IGNORED = auto()  # the simulator, imports, log lines: nobody is named


def audit(simulation: Simulation, seed: int = 0) -> list[Finding]:
    """Run one seed of a simulation and return each place that asked the machine, by file and line.

    It takes some three times as long as a plain run. Not to be called from several threads at once.
    """
    watch = _Watch(simulation.scenario.__module__)
    with watch.watching():
        simulation.run(seed)
    return watch.findings()


class _Watch:
    """The calls that one run made, as the interpreter tells of them."""

    def __init__(self, scenario_module: str) -> None:
        self._own = scenario_module.partition(".")[0]
        self._builtins = dict(_builtins())
        self._functions = dict(_functions())
        self._whose: dict[CodeType, _Whose] = {}
        self._counts: Counter[tuple[str, str, int, str]] = Counter()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listen to the interpreter meanwhile."""
        global _watch
        _install_hook()
        before, before_watch = sys.getprofile(), _watch
        _watch = self
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(before)
            _watch = before_watch

    def findings(self) -> list[Finding]:
        """Return what was found, by file and line."""
        found = [Finding(what, file, line, count, advice) for (what, file, line, advice), count in self._counts.items()]
        return sorted(found, key=lambda one: (one.file, one.line, one.what))

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call":
            known = self._builtins.get(argument)
            if known is not None:
                what, advice = known
                self._found(what, advice, frame)
        elif event == "call":
            known = self._functions.get(frame.f_code)
            if known is not None and (frame.f_code is not _SEED or frame.f_locals.get("a", 0) is None):
                what, advice = known
                self._found(what, advice, frame.f_back)

    def happened(self, event: str, arguments: tuple[Any, ...], frame: FrameType | None) -> None:
        """Take an audit event of the interpreter."""
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str | bytes) and isinstance(flags, int) and flags & _WRITES and path != os.devnull:
                self._found("open for writing", _FILE, frame)
        elif event == "sqlite3.connect" and arguments[0] not in (":memory:", b":memory:"):
            self._found("sqlite3.connect to a file", _FILE, frame)

    def _found(self, what: str, advice: str, frame: FrameType | None) -> None:
        """Name the line that answers for a call, if there is one."""
        called_by = ""
        by_package = False
        while frame is not None:
            whose = self._whose_is(frame)
            if whose is _Whose.USER:
                if by_package:
                    called_by, advice = f"{called_by}, which calls {what}" if called_by else what, _PACKAGE
                self._counts[called_by or what, frame.f_code.co_filename, frame.f_lineno, advice] += 1
                return
            by_package = by_package or whose is _Whose.PACKAGE
            if whose is _Whose.IGNORED or frame.f_code in self._functions:
                return  # what that function is made of is found with it
            if not frame.f_code.co_name.startswith("_"):
                module = str(frame.f_globals.get("__name__", "")).removesuffix("._local")  # of pathlib, since 3.13
                called_by = f"{module}.{frame.f_code.co_name}"
            frame = frame.f_back

    def _whose_is(self, frame: FrameType) -> _Whose:
        code = frame.f_code
        whose = self._whose.get(code)
        if whose is None:
            whose = self._whose[code] = _whose(code.co_filename, str(frame.f_globals.get("__name__", "")), self._own)
        return whose


def _builtins() -> Iterator[tuple[Any, tuple[str, str]]]:
    """Yield the functions of the machine that are written in C, with a name and an advice."""
    for name in _CLOCKS.split():
        if hasattr(time, name):
            yield getattr(time, name), (f"time.{name}", _TIME)
    yield time.sleep, ("time.sleep", _SLEEP)
    for name in ("now", "utcnow", "today"):
        yield getattr(datetime.datetime, name), (f"datetime.{name}", _TIME)
    yield datetime.date.today, ("date.today", _TIME)
    for name in ("random", "getrandbits", "randbytes", "seed"):
        yield getattr(random, name), (f"random.{name}", _CHANCE)
    yield os.urandom, ("os.urandom", _CHANCE)
    for name in _PROCESSES.split():
        if hasattr(os, name):
            yield getattr(os, name), (f"os.{name}", _PROCESS)
    generate = getattr(uuid, "_generate_time_safe", None)
    if generate is not None:
        yield generate, ("uuid.uuid1", _IDENTITY)


def _functions() -> Iterator[tuple[CodeType, tuple[str, str]]]:
    """Yield the functions of the machine that are written in Python: what they call in turn is found with them."""
    named: dict[str, tuple[Callable[..., Any], str]] = {
        "uuid.uuid1": (uuid.uuid1, _IDENTITY),
        "uuid.uuid4": (uuid.uuid4, _IDENTITY),
        "secrets.token_bytes": (secrets.token_bytes, _CHANCE),
        "random.Random() without a seed": (random.Random.seed, _CHANCE),
        "threading.Thread": (threading.Thread.__init__, _THREAD),
        "ThreadPoolExecutor": (concurrent.futures.ThreadPoolExecutor.__init__, _THREAD),
        "ProcessPoolExecutor": (concurrent.futures.ProcessPoolExecutor.__init__, _PROCESS),
        "multiprocessing.Process": (multiprocessing.process.BaseProcess.__init__, _PROCESS),
        "subprocess.Popen": (subprocess.Popen.__init__, _PROCESS),
        "socket.socket": (socket.socket.__init__, _NETWORK),
        "socket.getaddrinfo": (socket.getaddrinfo, _NETWORK),
    }
    for name, (function, advice) in named.items():
        yield function.__code__, (name, advice)


_SEED = random.Random.seed.__code__


def _folders(*names: str) -> tuple[str, ...]:
    """Return where the interpreter keeps what has these names, links resolved and not."""
    paths = [sysconfig.get_path(name) for name in names]
    return (*paths, *(str(Path(path).resolve()) for path in paths))


_PACKAGES = _folders("purelib", "platlib")
_LIBRARIES = _folders("stdlib", "platstdlib")
_PASSED_OVER = ("actorium.simulation", "importlib", "logging", "structlog")
_SOURCE = "actorium.store.source"


def _whose(file: str, module: str, own: str) -> _Whose:
    top = module.partition(".")[0]
    if any(module == one or module.startswith(f"{one}.") for one in _PASSED_OVER):
        return _Whose.IGNORED
    if module == _SOURCE:
        return _Whose.LIBRARY  # whoever asks the real source in a simulated run is named
    if top in ("actorium", own):
        return _Whose.USER
    if file.startswith(_PACKAGES):  # in some installations a folder of the standard library
        return _Whose.PACKAGE
    if file.startswith("<") or file.startswith(_LIBRARIES):
        return _Whose.IGNORED if file.startswith("<frozen importlib") else _Whose.LIBRARY
    return _Whose.USER


_watch: _Watch | None = None
_hook_is_installed = False


def _install_hook() -> None:
    """Begin to hear audit events; the interpreter knows no way to end that, so the hook stays and does nothing."""
    global _hook_is_installed
    if not _hook_is_installed:
        _hook_is_installed = True
        sys.addaudithook(_heard)


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if _watch is not None and event in ("open", "sqlite3.connect"):
        _watch.happened(event, arguments, sys._getframe(1))
