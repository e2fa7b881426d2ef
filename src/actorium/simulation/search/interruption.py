"""`interruption`: handles Ctrl-C between two runs.

Python raises KeyboardInterrupt at any point. In the middle of a run that may be code that swallows the exception, such
as the callback of a weak reference or the scenario's own `except BaseException`.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SAID = b"\nCtrl-C: stopping after the current run; press again to stop at once\n"


@contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether Ctrl-C was pressed; pressed again, it raises KeyboardInterrupt as usual.

    If Ctrl-C is ignored, or outside the main thread, the only one that receives signals, the function returns False.
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
