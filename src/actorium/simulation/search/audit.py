"""`audit`: finds where a scenario, or the code it drives, asks the machine instead of the injected source.

Such a call returns something else in the next run, so the seed no longer determines the run. The audit runs one seed
under a profile function and the interpreter's audit events, finds those calls, and names the line responsible: the
nearest frame that belongs neither to the standard library, nor to an installed package, nor to the simulator.

It cannot see a machine function that is called from C code (`default_factory=time.time`), nor code that the scenario
does not reach with this seed. Calls whose results only go into log lines are ignored.
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
    "take wall time from the runtime's source: `recorded.recorded_at` in a handler; monotonic time from the loop: "
    "`asyncio.get_running_loop().time()`"
)
_CHANCE = "draw from a `random.Random` with a fixed seed; in a scenario, use `world.choose(…)`"
_IDENTITY = "derive the id from the content of the command or event, or let the runtime create it"
_THREAD = "use `asyncio.to_thread`, which a simulation runs in place, or leave this part out of the scenario"
_PROCESS = "leave this part out of the scenario: another process runs in real time"
_SLEEP = "use `await asyncio.sleep(…)`, which takes no real time in a simulation"
_NETWORK = "leave this part out: replace it with a function in the scenario"
_PACKAGE = "an installed package makes this call: replace the part that uses it with a function in the scenario"
_FILE = "keep lasting data in events or a projection's tables: a file outlives the run and is still there in the next"

_CLOCKS = (
    "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns thread_time "
    "thread_time_ns clock_gettime clock_gettime_ns"
)
_PROCESSES = "fork forkpty system posix_spawn posix_spawnp popen"
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Finding(msgspec.Struct, frozen=True):
    """A place that asks the machine: what is called, where, how often, and what to do instead."""

    what: str
    file: str
    line: int
    count: int
    advice: str

    def __str__(self) -> str:
        times = "once" if self.count == 1 else f"{self.count} times"
        return f"{self.file}:{self.line}: {self.what}, {times}: {self.advice}"


class _Whose(Enum):
    """Who is responsible for a frame."""

    USER = auto()  # the scenario, the code it drives, or the runtime: named
    LIBRARY = auto()  # the standard library: its caller is named
    PACKAGE = auto()  # an installed package: its caller is named, with other advice
    IGNORED = auto()  # the simulator, imports, log lines: not reported


def audit(simulation: Simulation, seed: int = 0) -> list[Finding]:
    """Run one seed of a simulation and return each place that asked the machine, by file and line.

    The audit takes about three times as long as a plain run. Do not call it from several threads at once.
    """
    watch = _Watch(simulation.scenario.__module__)
    with watch.watching():
        simulation.run(seed)
    return watch.findings()


class _Watch:
    """Collects the calls of one run, as reported by the interpreter."""

    def __init__(self, scenario_module: str) -> None:
        self._own = scenario_module.partition(".")[0]
        self._builtins = dict(_builtins())
        self._functions = dict(_functions())
        self._whose: dict[CodeType, _Whose] = {}
        self._counts: Counter[tuple[str, str, int, str]] = Counter()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listen to the interpreter inside the block."""
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
        """Return the findings, by file and line."""
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
        """Process an audit event of the interpreter."""
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str | bytes) and isinstance(flags, int) and flags & _WRITES and path != os.devnull:
                self._found("open for writing", _FILE, frame)
        elif event == "sqlite3.connect" and arguments[0] not in (":memory:", b":memory:"):
            self._found("sqlite3.connect to a file", _FILE, frame)

    def _found(self, what: str, advice: str, frame: FrameType | None) -> None:
        """Record the line responsible for a call, if there is one."""
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
                return  # whatever that function calls is reported as a call of the function
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
    """Yield the machine functions written in C, each with a name and advice."""
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
    """Yield the machine functions written in Python; the calls they make are not reported separately."""
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
    """Return the interpreter's folders with these names, with links both resolved and unresolved."""
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
        return _Whose.LIBRARY  # in a simulated run, a caller of the real source is named
    if top in ("actorium", own):
        return _Whose.USER
    if file.startswith(_PACKAGES):  # in some installations this folder lies inside the standard library's
        return _Whose.PACKAGE
    if file.startswith("<") or file.startswith(_LIBRARIES):
        return _Whose.IGNORED if file.startswith("<frozen importlib") else _Whose.LIBRARY
    return _Whose.USER


_watch: _Watch | None = None
_hook_is_installed = False


def _install_hook() -> None:
    """Start receiving audit events. A hook cannot be removed, so it stays installed and does nothing."""
    global _hook_is_installed
    if not _hook_is_installed:
        _hook_is_installed = True
        sys.addaudithook(_heard)


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if _watch is not None and event in ("open", "sqlite3.connect"):
        _watch.happened(event, arguments, sys._getframe(1))
