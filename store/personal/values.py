"""`Personal`: a value that is stored encrypted with the key of its subject, the person it is about.

A `Personal` holds the encrypted form and nothing else. So it is safe wherever it goes: into the log, a snapshot, the
record of a saga, another process, an error message. The text is decrypted each time that `value` is read, with the key
from an open key ring, and is kept nowhere. Once the key is destroyed, every copy reads as FORGOTTEN.

A new value, made by `personal(…)`, holds its text until the runtime encrypts it. msgspec cannot encode it, so it cannot
be stored by mistake.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Generic, Protocol, TypeVar, cast
from weakref import ref

import msgspec

from actorium.store.errors import ConfigurationError
from actorium.store.raised import mask_from_now_on

FORGOTTEN = "[forgotten]"
"""What a value reads as once the key of its subject is destroyed."""

NO_KEY = "none"
"""Stands for the id of a key in a value that was never encrypted."""

T = TypeVar("T", bound=str)


class UnencryptedText:
    """The text of a value that is not encrypted yet; it has no JSON form."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return "…"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnencryptedText) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


class Personal(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """Text about a person, stored encrypted: declare a field of an event or a command as `Personal[str]`.

    subject: whom the text is about; empty in a new value, whose subject the field decides.
    key: the id of the key that encrypted it.
    data: the nonce and the encrypted text.

    `repr` and `str` show the subject and not the text. Two values with the same subject and text are equal if they were
    encrypted with the same key.
    """

    subject: str
    key: Annotated[str, msgspec.Meta(min_length=1)]
    data: bytes

    @property
    def value(self) -> T:
        """The text, or FORGOTTEN if the subject was forgotten.

        Raises ConfigurationError if no runtime with its keys is running in this process, and StoreUnavailable if the
        key cannot be read.
        """
        data: Any = self.data
        if type(data) is UnencryptedText:
            return cast(T, data.text)
        text = _text_of(self)
        if text is not FORGOTTEN:
            mask_from_now_on(partial(_text_of, self))
        return cast(T, text)

    @property
    def is_forgotten(self) -> bool:
        """Whether the text can no longer be read."""
        return not is_new(self) and _text_of(self) is FORGOTTEN

    def __repr__(self) -> str:
        return f"Personal({self.subject or '…'})"

    def __copy__(self) -> Personal[T]:
        return self

    def __deepcopy__(self, memo: object) -> Personal[T]:
        return self


def personal(text: str, *, subject: str = "") -> Personal[str]:
    """Return a new value for a field of type `Personal[str]`.

    text: what is to be encrypted.
    subject: whom it is about. If it is left out, the field decides: see `subject_field` of events and commands.
    """
    return Personal(subject, "", cast(bytes, UnencryptedText(text)))


def is_new(value: Personal[Any]) -> bool:
    """Return whether a value is not encrypted yet."""
    data: Any = value.data
    return type(data) is UnencryptedText


class KeyHolder(Protocol):
    """The open keys of a log."""

    @property
    def is_open(self) -> bool:
        """Whether the keys can still be used."""
        ...

    def text_of(self, value: Personal[Any]) -> str | None:
        """Return the text of an encrypted value; None if its key is not among these."""
        ...

    def encrypt_as_known(self, subject: str, text: str) -> Personal[str] | None:
        """Return a text encrypted with the key that a subject has; None if it has none."""
        ...


# The open key rings of this process. A value names its key, and ids of keys are unique, so any of them may be asked.
# The references are weak because a runtime whose event loop is gone cannot close its own.
_holders: tuple[ref[KeyHolder], ...] = ()


def let_read(holder: KeyHolder) -> None:
    """Have values in this process decrypted with these keys, until `no_longer` is called with them."""
    global _holders
    _holders = (*map(ref, _open_holders()), ref(holder))


def no_longer(holder: KeyHolder) -> None:
    """End what `let_read` began."""
    global _holders
    _holders = tuple(ref(other) for other in _open_holders() if other is not holder)


def _open_holders() -> list[KeyHolder]:
    return [holder for other in _holders if (holder := other()) is not None and holder.is_open]


def encrypt_as_known(subject: str, text: str) -> Personal[str]:
    """Encrypt a text with the key that its subject has, or return a value that reads as FORGOTTEN if it has none.

    This is for decisions that are not recorded: they make no key.
    """
    for holder in _open_holders():
        value = holder.encrypt_as_known(subject, text)
        if value is not None:
            return value
    return Personal(subject, NO_KEY, b"")


def _text_of(value: Personal[Any]) -> str:
    holders = _open_holders()
    for holder in holders:
        text = holder.text_of(value)
        if text is not None:
            return text
    if not holders:
        raise ConfigurationError(f"{value!r} cannot be decrypted: no runtime with its keys is running in this process")
    return FORGOTTEN
