"""`KeyRing`: the keys that a runtime has in memory, and how values are encrypted and decrypted with them.

Invariants:
- a key is durable before an event that it encrypted is: the writer calls `persist` before each append. Until then it is
  in `_new`;
- a key is in memory for at most `cache_s` seconds after it was read. So a subject that another process forgets is
  unreadable here after that time;
- `_gone` holds only ids of keys that no key store holds any more. An id is never used again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from actorium.store.errors import ConfigurationError, StoreUnavailable
from actorium.store.personal.fields import holds_personal
from actorium.store.personal.keys import KeyStore, SubjectKey
from actorium.store.personal.sealing import Seal, library
from actorium.store.personal.values import Personal, let_read, no_longer


class _Cached(NamedTuple):
    seal: Seal
    until: float


class KeyRing:
    """The keys of one runtime.

    keys: where they are kept.
    cache_s: how long a key may stay in memory, in seconds.
    cache_keys: how many keys may be in memory; the oldest is dropped.
    """

    def __init__(self, keys: KeyStore, *, cache_s: float, cache_keys: int) -> None:
        library()  # raises if it is missing
        self.keys = keys
        self._cache_s = cache_s
        self._cache_keys = cache_keys
        self._cache: dict[str, _Cached] = {}
        self._gone: dict[str, None] = {}
        self._new: dict[str, SubjectKey] = {}
        self._time: Callable[[], float] = _not_open
        self._is_over: Callable[[], bool] = _not_open
        self._writes_through = False
        self._lock = asyncio.Lock()  # a key that is being stored is not destroyed at the same time

    def open(
        self,
        time: Callable[[], float],
        is_over: Callable[[], bool],
        *,
        read_only: bool = False,
        writes_through: bool = False,
    ) -> None:
        """Open the key store, and have the values in this process decrypted with its keys.

        time: returns the time in seconds.
        is_over: returns whether the runtime is gone without having closed its keys.
        writes_through: store each new key at once, because values leave this process before the next append, or
            another process may encrypt values of the same subject.
        """
        self.keys.open(read_only=read_only)
        self._time = time
        self._is_over = is_over
        self._writes_through = writes_through
        let_read(self)

    @property
    def is_open(self) -> bool:
        """Whether the runtime still uses these keys."""
        return not self._is_over()

    def require_keys_of(self, stored: Iterable[type[msgspec.Struct]]) -> None:
        """Raise ConfigurationError if the log holds personal data, in events of these classes, but no keys are there.

        To go on without them would make keys anew, and nobody would notice that everything reads as forgotten.
        """
        if self.keys.exists():
            return
        for event_class in stored:
            if holds_personal(event_class):
                raise ConfigurationError(
                    f"the log holds personal data in {event_class.__qualname__}, but there are no "
                    f"{self.keys.describe()}: restore them; or, if all of it is to be "
                    "forgotten, call `prepare()` of the key store once"
                )

    def close(self) -> None:
        """Close the key store, and forget the keys in memory."""
        no_longer(self)
        self._cache.clear()
        self._new.clear()
        self.keys.close()

    # --- encrypting -----------------------------------------------------------------------------------------------

    def encrypt(self, subject: str, text: str) -> Personal[str]:
        """Return a text as a value of a subject; a new subject gets a key."""
        seal = self._known(subject) or self._begun(subject)
        return seal.encrypt(text)

    def encrypt_as_known(self, subject: str, text: str) -> Personal[str] | None:
        """Return a text as a value of a subject; None if the subject has no key."""
        seal = self._known(subject)
        return None if seal is None else seal.encrypt(text)

    def _begun(self, subject: str) -> Seal:
        key = self.keys.new(subject)
        if self._writes_through:
            self.keys.prepare()
            (key,) = self.keys.create([key])
        else:
            self._new[subject] = key
        return self._keep(Seal(key))

    @property
    def has_new(self) -> bool:
        """Whether there are keys that are not durable yet."""
        return bool(self._new)

    async def persist(self) -> None:
        """Make the new keys durable; raise StoreUnavailable if that fails."""
        async with self._lock:
            new = list(self._new.values())
            for key, kept in zip(new, await self._aside(self._store, new), strict=True):
                if kept.id != key.id:
                    raise StoreUnavailable(
                        f"another process has made a key for {key.subject!r}: only one runtime may write a log"
                    )
                del self._new[key.subject]

    def _store(self, keys: list[SubjectKey]) -> list[SubjectKey]:
        self.keys.prepare()
        return list(self.keys.create(keys))

    # --- decrypting -----------------------------------------------------------------------------------------------

    def text_of(self, value: Personal[Any]) -> str | None:
        """Return the text of an encrypted value; None if its key is destroyed, or of another log."""
        if value.key in self._gone:
            return None
        seal = self._known(value.subject)
        if seal is not None and seal.id != value.key:  # perhaps another process has made a new key since
            self._cache.pop(value.subject)
            seal = self._known(value.subject)
        if seal is not None and seal.id == value.key:
            return seal.decrypt(value)
        if len(self._gone) >= self._cache_keys:
            del self._gone[next(iter(self._gone))]
        self._gone[value.key] = None
        return None

    def _known(self, subject: str) -> Seal | None:
        cached = self._cache.get(subject)
        if cached is not None and (cached.until > self._time() or subject in self._new):
            return cached.seal
        key = self._new.get(subject) or self.keys.read(subject)
        if key is not None:
            return self._keep(Seal(key))
        self._cache.pop(subject, None)
        return None

    def _keep(self, seal: Seal) -> Seal:
        self._cache.pop(seal.subject, None)
        self._gone.pop(seal.id, None)
        if len(self._cache) >= self._cache_keys:
            del self._cache[next(iter(self._cache))]
        self._cache[seal.subject] = _Cached(seal, self._time() + self._cache_s)
        return seal

    # --- forgetting -----------------------------------------------------------------------------------------------

    async def forget(self, subject: str) -> str:
        """Destroy the key of a subject; return its id, or an empty string if it had none."""
        async with self._lock:
            new = self._new.pop(subject, None)
            self._cache.pop(subject, None)
            destroyed = await self._aside(self.keys.destroy, subject)
            self._cache.pop(subject, None)  # a value may have been read in the meantime
        known = destroyed or new
        return "" if known is None else known.id

    async def _aside(self, call: Callable[[Any], Any], argument: Any) -> Any:
        return await asyncio.to_thread(call, argument) if self.keys.waits else call(argument)


def _not_open() -> Any:
    raise ConfigurationError("the keys of personal data are not open: start the runtime first")
