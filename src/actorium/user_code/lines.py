"""Places in the user's code: where an error came from, and where a coroutine waits."""

from __future__ import annotations

import sys
from pathlib import PurePath
from types import FrameType, TracebackType
from typing import Any

_LIBRARIES = sys.stdlib_module_names | {"anyio", "msgspec", "structlog", "importlib"}
_WRITTEN_AS_A_USER = frozenset({"benchmarks", "examples"})


def described(error: BaseException) -> str:
    """Return an error in one line: its type, its message, and the last line of the user's code in its traceback.

    For an exception group, as raised by a task group, it describes the first error.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    place = _last_place(error.__traceback__)
    return f"{type(error).__name__}: {printed(error)}" + (f" ({place})" if place else "")


def printed(thing: object) -> str:
    """Return the text of a thing, or its type if it cannot be printed."""
    try:
        return str(thing)
    except BaseException:
        return f"{type(thing).__name__} that cannot be printed"


def waiting_place(awaitable: Any) -> str:
    """Return the last line of the user's code in the chain of awaits of a coroutine; "" if there is none."""
    place = ""
    while awaitable is not None:
        frame: FrameType | None = getattr(awaitable, "cr_frame", None) or getattr(awaitable, "gi_frame", None)
        if frame is not None and _is_users(frame.f_globals.get("__name__", "")):
            place = _place(frame, frame.f_lineno)
        awaitable = getattr(awaitable, "cr_await", None) or getattr(awaitable, "gi_yieldfrom", None)
    return place


def _last_place(trace: TracebackType | None) -> str:
    users = last = None
    while trace is not None:
        last = trace
        if _is_users(trace.tb_frame.f_globals.get("__name__", "")):
            users = trace
        trace = trace.tb_next
    place = users or last
    if place is None:
        return ""
    return _place(place.tb_frame, place.tb_lineno)


def _place(frame: FrameType, line: int) -> str:
    return f"{PurePath(frame.f_code.co_filename).name}, line {line}, in {frame.f_code.co_qualname}"


def _is_users(module: str) -> bool:
    parts = module.split(".")
    if parts[0] == "actorium":
        return len(parts) > 1 and parts[1] in _WRITTEN_AS_A_USER
    return parts[0] not in _LIBRARIES
