"""Store URLs: `memory://`, `sqlite:///relative.db`, `sqlite:////absolute.db`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore
from actorium.store.memory import MemoryStore
from actorium.store.sqlite import SQLiteStore

_SQLITE_OPTIONS: dict[str, Callable[[str], Any]] = {
    "synchronous": str,
    "cache_mb": int,
    "wal_autocheckpoint_pages": int,
    "busy_timeout_s": float,
    "verify_mb": int,
}


def open_store(url: str) -> EventStore:
    """Return the store that a URL names, not opened yet; ConfigurationError for a URL that names none."""
    parts = urlsplit(url)
    make = _SCHEMES.get(parts.scheme)
    if make is None:
        raise ConfigurationError(f"store {url!r} has no known scheme; there are {', '.join(_SHAPES)}")
    options: dict[str, str] = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name in options:
            raise ConfigurationError(f"store {url!r}: {name} is given twice")
        options[name] = text
    return make(url, parts.netloc, unquote(parts.path), options)


def _memory(url: str, host: str, path: str, options: dict[str, str]) -> EventStore:
    if host or path:
        raise ConfigurationError(f"store {url!r}: a store in memory has no place; write memory://")
    _read_options(url, options, {})
    return MemoryStore()


def _sqlite(url: str, host: str, path: str, options: dict[str, str]) -> EventStore:
    if host or len(path) < 2:
        raise ConfigurationError(
            f"store {url!r} names no file; write three slashes before a relative path and four before an absolute "
            f"one: sqlite:///relative.db, sqlite:////absolute.db"
        )
    return SQLiteStore(path[1:], **_read_options(url, options, _SQLITE_OPTIONS))


def _read_options(url: str, options: dict[str, str], known: dict[str, Callable[[str], Any]]) -> dict[str, Any]:
    values = {}
    for name, text in options.items():
        read = known.get(name)
        if read is None:
            raise ConfigurationError(
                f"store {url!r}: no option {name!r}; there are {', '.join(known) or 'none for this scheme'}"
            )
        try:
            values[name] = read(text)
        except ValueError:
            raise ConfigurationError(f"store {url!r}: {name}={text!r} is no {read.__name__}") from None
    return values


_SCHEMES: dict[str, Callable[[str, str, str, dict[str, str]], EventStore]] = {"memory": _memory, "sqlite": _sqlite}
_SHAPES = ("memory://", "sqlite:///relative.db", "sqlite:////absolute.db")
