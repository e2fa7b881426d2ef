"""`Manifest`: what a backup holds, and the hashes by which damage is found."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from actorium.store.errors import DamagedLog, UnsupportedSchema
from actorium.store.event_store import DeadLetter

_FORMAT = 1


class Segment(msgspec.Struct, frozen=True):
    """A file of events: the positions `first` to `last` of the log.

    sha256: the hash of the file.
    chain: a hash over this segment and all earlier ones.
    """

    file: str
    first: int
    last: int
    sha256: str
    chain: str


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds.

    log: the description of the log that was backed up.
    head: the end of the log when the last backup began. The segments end there, or before it if the backup was
        interrupted.
    last_event: a hash of the last event, by which the next backup recognizes the log; empty if there is no event.
    checkpoints: how far followers were when the last backup began, except projections, which are rebuilt.
    dead_letters: the events that these followers had parked or discarded.
    """

    log: str
    head: int = 0
    segments: tuple[Segment, ...] = ()
    last_event: str = ""
    checkpoints: dict[str, int] = {}
    dead_letters: tuple[DeadLetter, ...] = ()

    @property
    def end(self) -> int:
        """The position of the last event in the backup; 0 if there is none."""
        return self.segments[-1].last if self.segments else 0

    @property
    def chain(self) -> str:
        """The hash over all segments; empty if there are none."""
        return self.segments[-1].chain if self.segments else ""


class _Sealed(msgspec.Struct, frozen=True):
    format: int
    sha256: str
    manifest: msgspec.Raw


def chained(before: str, first: int, last: int, file_sha256: str) -> str:
    """Return the hash over a segment and all earlier ones, given the hash over those."""
    return sha256(f"{before} {first} {last} {file_sha256}".encode()).hexdigest()


def encode_manifest(manifest: Manifest) -> bytes:
    """Return a manifest as JSON, with a hash over itself."""
    body = msgspec.json.encode(manifest)
    return msgspec.json.encode(_Sealed(_FORMAT, sha256(body).hexdigest(), msgspec.Raw(body)))


def decode_manifest(data: bytes, place: str) -> Manifest:
    """Return the manifest in a file named `place`.

    Raises DamagedLog if it is damaged, UnsupportedSchema if a newer version wrote it.
    """
    try:
        sealed = msgspec.json.decode(data, type=_Sealed)
        if sealed.format > _FORMAT:
            raise UnsupportedSchema(f"{place} has format {sealed.format}: a newer version of Actorium wrote it")
        if sealed.format != _FORMAT or sha256(sealed.manifest).hexdigest() != sealed.sha256:
            raise DamagedLog(f"{place} is damaged: its content does not match its hash")
        manifest = msgspec.json.decode(sealed.manifest, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedLog(f"{place} is damaged: {error}") from error
    _require_chain(manifest, place)
    return manifest


def _require_chain(manifest: Manifest, place: str) -> None:
    chain, end = "", 0
    for segment in manifest.segments:
        chain = chained(chain, segment.first, segment.last, segment.sha256)
        if segment.chain != chain or segment.first != end + 1 or segment.last < segment.first:
            raise DamagedLog(f"{place} is damaged: {segment.file} does not continue the segments before it")
        end = segment.last
