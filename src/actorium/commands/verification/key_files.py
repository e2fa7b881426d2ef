"""What the commands that verify a log share: the files of heads and keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from actorium.commands.problem import require_file
from actorium.verification import LogHead, decode_head


def read_heads(files: Sequence[Path]) -> list[LogHead]:
    """Return the heads in files; raise a Problem or ConfigurationError for a file that holds none."""
    for file in files:
        require_file(file, "the head of a log")
    return [decode_head(file.read_bytes(), str(file)) for file in files]


def read_key(file: Path) -> bytes:
    """Return the content of a file with a key; raise a Problem if it cannot be read."""
    require_file(file, "a key")
    return file.read_bytes()
