"""Exceptions from user code: tell which are failures of that code, and format any exception safely.

Handlers may raise anything: classes that do not derive from `Exception`, the `CancelledError` of another task, errors
that cannot be printed. Each caller of user code catches `BaseException` and calls `let_through` first. If that returns,
one command, event, step or query failed, and nothing else.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress

ERROR_MAX = 1_000
TRACEBACK_MAX = 8_000
_LINE_MAX = 1_000

MASK = "[personal data]"
MASKED_FROM = 3
"""The length in characters of the shortest text that is masked."""
_secrets_read: deque[Callable[[], str]] = deque(maxlen=128)


def let_through(raised: BaseException) -> None:
    """Re-raise an exception that is not a failure of the called user code; return for every other one.

    It re-raises `KeyboardInterrupt`, the cancellation of the current task, and the `GeneratorExit` with which Python
    closes a coroutine. `SystemExit` counts as a failure: a library that calls `sys.exit` in a handler must not stop a
    server. So does a `CancelledError` of another task.
    """
    if isinstance(raised, Exception):
        return
    if isinstance(raised, KeyboardInterrupt):
        raise raised
    if isinstance(raised, asyncio.CancelledError) and _is_being_cancelled():
        raise raised
    # The interpreter raises it in the awaiting frame, user code in its own frame.
    if isinstance(raised, GeneratorExit) and (raised.__traceback__ is None or raised.__traceback__.tb_next is None):
        raise raised


def _is_being_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no running event loop
        return False
    return task is not None and task.cancelling() > 0


def error_text(error: BaseException, limit: int = ERROR_MAX) -> str:
    """Return an error as `Type: message`, of at most `limit` characters, in valid UTF-8; never raise.

    If the message cannot be printed, the result says so.
    """
    name, message = type(error).__name__, text_of(error, limit)
    if not message and isinstance(error, asyncio.CancelledError):
        message = "it waited for something that was cancelled"
    return cut(f"{name}: {message}", limit)


def traceback_text(error: BaseException, limit: int = TRACEBACK_MAX) -> str:
    """Return the last `limit` characters of the traceback of an error and its causes; never raise."""
    try:
        lines = [cut(masked(line.rstrip("\n")), _LINE_MAX) for line in traceback.format_exception(error)]
    except BaseException as raised:
        let_through(raised)
        return f"{error_text(error)} (its traceback cannot be printed)"
    return "\n".join(lines)[-limit:]


def mask_from_now_on(read: Callable[[], str]) -> None:
    """Mask what a function returns in all texts of errors from now on, until 128 other functions were given.

    Code that reads personal data may put it into an error message, which is logged and recorded. This is a second line
    of defence: it does not find a text that was changed, or one shorter than MASKED_FROM characters.
    """
    _secrets_read.append(read)


def mask_nothing() -> None:
    """Forget all functions that `mask_from_now_on` was given."""
    _secrets_read.clear()


def masked(text: str) -> str:
    """Return a text without the personal data that was read last."""
    secrets = set()
    for read in tuple(_secrets_read):
        with suppress(Exception):  # its keys are closed
            secrets.add(read())
    for secret in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        if len(secret) >= MASKED_FROM:
            text = text.replace(secret, MASK)
    return text


def text_of(value: object, limit: int = ERROR_MAX) -> str:
    """Return `str(value)`, of at most `limit` characters, in valid UTF-8; never raise."""
    try:
        return cut(masked(str(value)), limit)
    except BaseException as raised:
        let_through(raised)
        return f"<{type(value).__name__} that cannot be printed>"


def repr_of(value: object, limit: int = ERROR_MAX) -> str:
    """Return `repr(value)`, of at most `limit` characters, in valid UTF-8; never raise."""
    try:
        return cut(masked(repr(value)), limit)
    except BaseException as raised:
        let_through(raised)
        return f"<{type(value).__name__} that cannot be printed>"


def cut(text: str, limit: int) -> str:
    """Return a text in valid UTF-8, with an ellipsis instead of the characters beyond `limit`."""
    if not text.isascii():
        text = text[: limit + 1].encode(errors="backslashreplace").decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"
