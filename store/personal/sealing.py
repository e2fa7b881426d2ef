"""Encrypts and decrypts the text of one subject with AES-256-GCM.

The nonce is derived from the text with a secret of the subject, as in AES-GCM-SIV. So the same text of a subject always
gives the same bytes: a command that is sent again has the same fingerprint as before, and a simulated run repeats. What
it reveals is that two values of one subject are equal. Different texts have different nonces, except by chance (2**-96
for a pair).
"""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from typing import Any

from actorium.store.errors import StoreUnavailable, from_extra
from actorium.store.personal.keys import KEY_BYTES, SubjectKey
from actorium.store.personal.values import Personal

_NONCE_BYTES = 12


@cache
def library() -> tuple[Any, type[Exception]]:
    """Return the cipher, and the error that it raises for changed data; raise ConfigurationError if it is missing."""
    with from_extra("personal", "personal data", "cryptography"):
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    return AESGCM, InvalidTag


class Seal:
    """The key of one subject, ready for use."""

    __slots__ = ("_bound", "_changed", "_cipher", "_nonce_key", "id", "subject")

    def __init__(self, key: SubjectKey) -> None:
        if len(key.key) != KEY_BYTES:
            raise StoreUnavailable(f"{key!r} has {len(key.key)} bytes instead of {KEY_BYTES}: restore the keys")
        self.subject = key.subject
        self.id = key.id
        aes_gcm, self._changed = library()
        self._cipher = aes_gcm(blake2b(key=key.key, person=b"actorium.seal", digest_size=KEY_BYTES).digest())
        self._nonce_key = blake2b(key=key.key, person=b"actorium.nonce", digest_size=KEY_BYTES).digest()
        self._bound = f"{key.subject}\0{key.id}".encode()  # a value cannot be passed off as another subject's

    def encrypt(self, text: str) -> Personal[str]:
        """Return a text as an encrypted value."""
        data = text.encode()
        nonce = blake2b(data, key=self._nonce_key, digest_size=_NONCE_BYTES).digest()
        return Personal(self.subject, self.id, nonce + self._cipher.encrypt(nonce, data, self._bound))

    def decrypt(self, value: Personal[Any]) -> str:
        """Return the text of a value that this key encrypted; raise ValueError if it was changed since."""
        data = value.data
        try:
            text: str = self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], self._bound).decode()
            return text
        except (self._changed, ValueError) as error:
            raise ValueError(f"{value!r} cannot be decrypted: it was changed after it was encrypted") from error
