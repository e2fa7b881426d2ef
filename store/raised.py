"""What user code raises: which of it is a failure of that code, and safe text for an error of any kind.

Handlers may raise anything: classes that are no `Exception`, the `CancelledError` of another task, errors that cannot
be printed. Each place that calls user code catches `BaseException` and calls `let_through` first; what that returns for
fails one command, event, step or query, and nothing else.
"""

from __future__ import annotations

import asyncio
import traceback

ERROR_MAX = 1_000
TRACEBACK_MAX = 8_000
_LINE_MAX = 1_000


def let_through(raised: BaseException) -> None:
    """Raise an error again that is no failure of the user code that was called; return for every other.

    Let through are `KeyboardInterrupt`, the cancellation of the current task, and the `GeneratorExit` by which Python
    closes a coroutine. `SystemExit` is a failure like any other: a library that calls `sys.exit` in a handler must not
    end a server. A `CancelledError` of somebody else's task is one too.
    """
    if isinstance(raised, Exception):
        return
    if isinstance(raised, KeyboardInterrupt):
        raise raised
    if isinstance(raised, asyncio.CancelledError) and _is_being_cancelled():
        raise raised
    # The interpreter raises it in the frame that waits, user code in a frame of its own.
    if isinstance(raised, GeneratorExit) and (raised.__traceback__ is None or raised.__traceback__.tb_next is None):
        raise raised


def _is_being_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop runs
        return False
    return task is not None and task.cancelling() > 0


def error_text(error: BaseException, limit: int = ERROR_MAX) -> str:
    """Return an error as `Type: message`, of at most `limit` characters, which UTF-8 can carry.

    It never raises: the message of an error that cannot be printed says so.
    """
    name, message = type(error).__name__, text_of(error, limit)
    if not message and isinstance(error, asyncio.CancelledError):
        message = "it waited for something that was cancelled"
    return cut(f"{name}: {message}", limit)


def traceback_text(error: BaseException, limit: int = TRACEBACK_MAX) -> str:
    """Return the traceback of an error with its causes, the last `limit` characters of it; never raise."""
    try:
        lines = [cut(line.rstrip("\n"), _LINE_MAX) for line in traceback.format_exception(error)]
    except BaseException as raised:
        let_through(raised)
        return f"{error_text(error)} (its traceback cannot be printed)"
    return "\n".join(lines)[-limit:]


def text_of(value: object, limit: int = ERROR_MAX) -> str:
    """Return `str(value)`, of at most `limit` characters, which UTF-8 can carry; never raise."""
    try:
        return cut(str(value), limit)
    except BaseException as raised:
        let_through(raised)
        return f"<{type(value).__name__} that cannot be printed>"


def repr_of(value: object, limit: int = ERROR_MAX) -> str:
    """Return `repr(value)`, of at most `limit` characters, which UTF-8 can carry; never raise."""
    try:
        return cut(repr(value), limit)
    except BaseException as raised:
        let_through(raised)
        return f"<{type(value).__name__} that cannot be printed>"


def cut(text: str, limit: int) -> str:
    """Return a text that UTF-8 can carry, with an ellipsis in place of what is beyond `limit` characters."""
    if not text.isascii():
        text = text[: limit + 1].encode(errors="backslashreplace").decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"
