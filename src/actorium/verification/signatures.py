"""Keys, and the signatures of heads: ed25519, in the PEM files that OpenSSL reads and writes."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path

import msgspec

from actorium.store.errors import ConfigurationError, DamagedLog, from_extra
from actorium.verification.heads import LogHead

with from_extra("verify", "a signed head", "cryptography"):
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_KEY_ID_DIGITS = 16
_ONLY_THE_OWNER = 0o600
_EVERYBODY_READS = 0o644


def new_key(path: str | os.PathLike[str]) -> tuple[Path, str]:
    """Write a new private key, which only the owner may read, and its public key beside it as `<path>.pub`.

    Returns the path of the public key, and the id of the key. Raises ConfigurationError if one of the files exists or
    cannot be written; then neither is left.
    """
    key = Ed25519PrivateKey.generate()
    public_path = Path(f"{os.fspath(path)}.pub")
    no_password = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password)
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    _write_new(public_path, public, _EVERYBODY_READS)
    try:
        _write_new(Path(path), private, _ONLY_THE_OWNER)
    except BaseException:
        public_path.unlink()
        raise
    return public_path, _key_id(key.public_key())


def require_private_key(private_key: bytes, place: str = "the private key") -> None:
    """Raise ConfigurationError unless this is the content of the PEM file of a private ed25519 key.

    place: where it is from, for the message.
    """
    _private_key(private_key, place)


def signed(head: LogHead, private_key: bytes) -> LogHead:
    """Return a head with a signature.

    private_key: the content of the key's PEM file. Raises ConfigurationError if it is no ed25519 key.
    """
    key = _private_key(private_key, "the private key")
    head = msgspec.structs.replace(head, key=_key_id(key.public_key()), signature="")
    return msgspec.structs.replace(head, signature=b64encode(key.sign(head.signed_bytes())).decode())


def require_signature(head: LogHead, public_key: bytes, place: str = "the public key") -> None:
    """Raise DamagedLog unless a head was signed with a key, and has not changed since.

    public_key: the content of the key's PEM file. Raises ConfigurationError if it is no ed25519 key.
    place: where the key is from, for the message.
    """
    try:
        key = serialization.load_pem_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"{place} is not the PEM file of a public key: {error}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigurationError(f"{place} is not an ed25519 key: create one with `actorium keys new`")
    if not head.signature:
        raise DamagedLog(f"the head at position {head.position} is not signed: do not trust it")
    try:
        key.verify(b64decode(head.signature, validate=True), head.signed_bytes())
    except (InvalidSignature, ValueError):
        raise DamagedLog(
            f"the head at position {head.position} was not signed with the key {_key_id(key)}, or it has changed "
            "since: do not trust it"
        ) from None


def _private_key(content: bytes, place: str) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"{place} is not the PEM file of a private key: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{place} is not an ed25519 key: create one with `actorium keys new`")
    return key


def _key_id(key: Ed25519PublicKey) -> str:
    return sha256(key.public_bytes_raw()).hexdigest()[:_KEY_ID_DIGITS]


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise ConfigurationError(f"{path} exists: name another file for the key") from None
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from None
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        path.unlink()
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from None
