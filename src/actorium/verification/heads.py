"""`LogHead`: the hash of a log up to a position, to be kept elsewhere."""

from __future__ import annotations

import msgspec

from actorium.store.errors import ConfigurationError

_FORMAT = 1
_HASH_DIGITS = 64


class LogHead(msgspec.Struct, frozen=True, kw_only=True):
    """The hash of a log up to a position. Whoever holds it can tell whether an event up to there has changed since.

    log: names the log: the hash of the chain at its first event. A copy of the log has the same name.
    position: the position of the last event that is covered.
    hash: the hash of the chain there, in hexadecimal digits.
    recorded_at: when that event was recorded, in UTC.
    key: the id of the key that signed it; empty if it is not signed.
    signature: an ed25519 signature in Base64; empty if it is not signed.
    """

    actorium_head: int = _FORMAT
    log: str
    position: int
    hash: str
    recorded_at: str
    key: str = ""
    signature: str = ""

    def signed_bytes(self) -> bytes:
        """Return what a signature is over: every field before it, one to a line."""
        values = (self.actorium_head, self.log, self.position, self.hash, self.recorded_at, self.key)
        return "".join(f"{value}\n" for value in ("actorium head", *values)).encode()


def encode_head(head: LogHead) -> bytes:
    """Return a head as a JSON document."""
    return msgspec.json.format(msgspec.json.encode(head), indent=2) + b"\n"


def decode_head(document: bytes, place: str) -> LogHead:
    """Return the head in a JSON document; raise ConfigurationError if it is none.

    place: where the document is from, for the message.
    """
    try:
        head = msgspec.json.decode(document, type=LogHead)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{place} is not a head that `actorium head` wrote: {error}") from None
    if head.actorium_head != _FORMAT:
        raise ConfigurationError(f"{place} has format {head.actorium_head}: a newer version of Actorium wrote it")
    if head.position < 1 or len(head.hash) != _HASH_DIGITS:
        raise ConfigurationError(
            f"{place} is not a head that `actorium head` wrote: its position or hash is impossible"
        )
    return head
