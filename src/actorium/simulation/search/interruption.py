"""`interruption`: Ctrl-C that is heard between two runs.

Python raises KeyboardInterrupt wherever it happens to be. In the middle of a run that may be a place which swallows
it, like the callback of a weak reference, or the scenario's own `except BaseException`.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SAID = b"\nCtrl-C: it ends after the run it is at; press again to end it at once\n"


@contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Yield what says whether Ctrl-C was pressed; pressed again, it raises KeyboardInterrupt as ever.

    Where Ctrl-C is ignored, and outside the main thread, which alone hears signals, it never was.
    """
    is_pressed = False
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def pressed(number: int, frame: object) -> None:
        nonlocal is_pressed
        is_pressed = True
        os.write(2, _SAID)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, pressed)
    try:
        yield lambda: is_pressed
    finally:
        signal.signal(signal.SIGINT, before)
