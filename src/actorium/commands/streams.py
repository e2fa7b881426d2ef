"""Standard output as the place where a command writes what another program reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from actorium.commands.problem import Interrupted, Problem


@contextmanager
def standard_output(what: str) -> Iterator[BinaryIO]:
    """Open standard output for bytes; an error of it, or Ctrl-C, is a Problem that says that `what` is incomplete."""
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Python would complain about the same pipe again when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Problem(f"the reader of standard output has left: {what} is incomplete") from None
    except OSError as error:
        raise Problem(f"cannot write to standard output: {error.strerror or error}; {what} is incomplete") from None
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted: {what} is incomplete") from None
