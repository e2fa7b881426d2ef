"""`KeyStore`: where the keys of subjects are kept, and `MemoryKeys`, which keeps them in memory."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from secrets import token_bytes, token_hex
from typing import Protocol, runtime_checkable

import msgspec

KEY_BYTES = 32
_ID_BYTES = 8


class SubjectKey(msgspec.Struct, frozen=True):
    """The key of one subject.

    id: names this key for good; a subject that was forgotten and comes back gets a key with another id.
    key: 32 secret bytes.
    """

    subject: str
    id: str
    key: bytes

    def __repr__(self) -> str:
        return f"SubjectKey({self.subject!r}, {self.id!r})"


def new_key(subject: str) -> SubjectKey:
    """Return a new random key for a subject."""
    return SubjectKey(subject, token_hex(_ID_BYTES), token_bytes(KEY_BYTES))


@runtime_checkable
class KeyStore(Protocol):
    """Where the keys of subjects are kept: one key per subject.

    The methods are synchronous. The runtime calls `create` and `destroy` in a thread if `waits` is true. It calls
    `read` in the event loop when the key of a value is not in its cache, so `read` should take well under a
    millisecond. All methods but `open` may be called from any thread. They raise StoreUnavailable if the keys cannot be
    reached.
    """

    @property
    def waits(self) -> bool:
        """Whether the methods wait for a disk or a network."""
        ...

    def open(self, *, read_only: bool = False) -> None:
        """Connect to the keys; create nothing."""
        ...

    def close(self) -> None:
        """Release everything; a second call does nothing."""
        ...

    def exists(self) -> bool:
        """Return whether the place of the keys was prepared; False means that the keys are missing or never existed."""
        ...

    def prepare(self) -> None:
        """Create an empty place for keys, unless there is one."""
        ...

    def new(self, subject: str) -> SubjectKey:
        """Return a new key for a subject, which is not stored yet."""
        ...

    def read(self, subject: str) -> SubjectKey | None:
        """Return the key of a subject; None if it has none."""
        ...

    def create(self, keys: Sequence[SubjectKey]) -> Sequence[SubjectKey]:
        """Store keys durably and return the stored key of each subject: one that had a key keeps it."""
        ...

    def destroy(self, subject: str) -> SubjectKey | None:
        """Destroy the key of a subject durably, so that its bytes are nowhere; return it without its bytes."""
        ...

    def describe(self) -> str:
        """Return a short description of the place for a person."""
        ...


class MemoryKeys:
    """Keys in memory: for tests, and for logs in memory.

    seed: makes the keys the same in each run, for simulations; None makes them random.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._made = 0
        self._keys: dict[str, SubjectKey] = {}
        self._is_prepared = False

    waits = False

    def open(self, *, read_only: bool = False) -> None: ...

    def close(self) -> None: ...

    def exists(self) -> bool:
        return self._is_prepared

    def prepare(self) -> None:
        self._is_prepared = True

    def new(self, subject: str) -> SubjectKey:
        if self._seed is None:
            return new_key(subject)
        self._made += 1
        drawn = blake2b(f"{self._seed}/{self._made}/{subject}".encode(), digest_size=KEY_BYTES + _ID_BYTES).digest()
        return SubjectKey(subject, drawn[KEY_BYTES:].hex(), drawn[:KEY_BYTES])

    def read(self, subject: str) -> SubjectKey | None:
        return self._keys.get(subject)

    def create(self, keys: Sequence[SubjectKey]) -> Sequence[SubjectKey]:
        return [self._keys.setdefault(key.subject, key) for key in keys]

    def destroy(self, subject: str) -> SubjectKey | None:
        key = self._keys.pop(subject, None)
        return None if key is None else msgspec.structs.replace(key, key=b"")

    def describe(self) -> str:
        return "keys in memory"
