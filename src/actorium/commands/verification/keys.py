"""`actorium keys`: keys for signing heads."""

from __future__ import annotations

from pathlib import Path

from actorium.commands.screen import Screen


def new(file: Path, /) -> None:
    """Write a new ed25519 key for signing heads.

    The private key goes to FILE, which only you may read, and the public key to FILE.pub. Keep the private key where
    heads are signed, and give the public key to those who verify.
    """
    from actorium.verification.signatures import new_key

    public_path, key = new_key(file)
    Screen().say(f"key {key}: the private key is in {file}, the public key in {public_path}")
