"""Encrypts the personal data of tests, with keys in memory that the whole process shares."""

from __future__ import annotations

from functools import cache
from typing import TypeVar

import msgspec

from actorium.store.personal.fields import encrypted, holds_personal, subject_reader
from actorium.store.personal.key_ring import KeyRing
from actorium.store.personal.keys import MemoryKeys

M = TypeVar("M", bound=msgspec.Struct)

_KEYS_MAX = 100_000


def as_encrypted(message: M, subject: str) -> M:
    """Return a message with its personal data encrypted, as a runtime would have it.

    subject: whom it is about, unless its class says that.
    """
    if not holds_personal(type(message)):
        return message
    read = subject_reader(type(message))
    ready: M = encrypted(message, subject if read is None else read(message), keys_of_tests().encrypt)
    return ready


@cache
def keys_of_tests() -> KeyRing:
    """Return the keys; they stay open."""
    ring = KeyRing(MemoryKeys(seed=0), cache_s=1.0, cache_keys=_KEYS_MAX)
    ring.open(lambda: 0.0, lambda: False)
    return ring
