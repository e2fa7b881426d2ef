"""Shares of the agenda: each holds the streams of 64 consecutive shards, of 1,024."""

from __future__ import annotations

from zlib import crc32

SHARES = 16
"""The number of shares. It never changes in the life of a log, and divides the number of shards."""


def share_of(stream_type: str, id: str) -> int:
    """Return the share of a stream: the share of its shard, which is the last ten bits of this hash."""
    return (crc32(f"{stream_type}\0{id}".encode(errors="surrogatepass")) >> 6) % SHARES
