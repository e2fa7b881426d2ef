"""The bytecodes that a process executes: a measure of Python code that no other program on the machine can disturb.

The numbers depend on the minor version of Python, and hardly on anything else. Code in C does not count.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

Trace = Callable[[FrameType, str, Any], Any]


class Bytecodes:
    """Counts the bytecodes of the thread that calls `start`, until it calls `stop`; a `Profile` of a `Bench`.

    threads: also count those of all threads that are started from now on, until `close`.
    """

    def __init__(self, *, threads: bool = False) -> None:
        self._counters: list[list[int]] = []  # one for each thread, so that no count is lost
        self._running: list[FrameType] = []
        self._before = 0
        if threads:
            threading.settrace(self._first_call)

    @property
    def executed(self) -> int:
        """The bytecodes executed since `start`."""
        return sum(counter[0] for counter in self._counters) - self._before

    def start(self) -> None:
        """Count from now on, also in the frames that are running."""
        self._before = self.executed
        trace = self._new_trace()
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            frame.f_trace = trace
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
            self._running.append(frame)
            frame = frame.f_back
        sys.settrace(trace)

    def stop(self) -> None:
        """Do not count any more in this thread."""
        sys.settrace(None)
        for frame in self._running:
            frame.f_trace = None
        self._running.clear()

    def close(self) -> None:
        """Do not count in threads that are started from now on."""
        threading.settrace(None)

    def _first_call(self, frame: FrameType, event: str, argument: object) -> Any:
        trace = self._new_trace()
        sys.settrace(trace)
        return trace(frame, event, argument)

    def _new_trace(self) -> Trace:
        counter = [0]
        self._counters.append(counter)

        def trace(frame: FrameType, event: str, argument: object) -> Trace:
            if event == "opcode":
                counter[0] += 1
            elif event == "call":
                frame.f_trace_opcodes = True
                frame.f_trace_lines = False
            return trace

        return trace
