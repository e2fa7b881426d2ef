"""Store URLs: `memory://`, `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://host/database`.

A path is taken literally up to the first `?`, which starts the options. In a file name, write `%3F` for a question mark
and `%25` for a percent sign before two hexadecimal digits. A `#` is part of the name: a store URL has no fragment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from actorium.store.errors import ConfigurationError, from_extra
from actorium.store.event_store import EventStore, Examinable
from actorium.store.memory import MemoryStore
from actorium.store.sqlite import SQLiteStore

_SQLITE_OPTIONS: dict[str, Callable[[str], Any]] = {
    "synchronous": str,
    "cache_mb": int,
    "wal_autocheckpoint_pages": int,
    "busy_timeout_s": float,
    "verify_mb": int,
}


def open_store(store: str | EventStore) -> EventStore:
    """Return the store that a URL names, not yet opened; a store is returned unchanged.

    Raises:
        ConfigurationError: the value is neither a valid store URL nor a store.
    """
    if not isinstance(store, str):
        if callable(getattr(store, "append", None)) and callable(getattr(store, "save", None)):
            return store
        advice = _for_a_file(f"{store}") if isinstance(store, os.PathLike) else ""
        raise ConfigurationError(
            f"store={store!r} is neither a URL nor an EventStore; URLs are {', '.join(_SHAPES)}{advice}"
        )
    if any(character < " " or character == "\x7f" for character in store):
        raise ConfigurationError(
            f"store {_shown(store)!r} contains a line break or another control character; write it as %0A"
        )
    scheme, separator, rest = store.partition("://")
    store = _shown(store)
    make = _SCHEMES.get(scheme.lower()) if separator else None
    if make is None:
        advice = "" if separator or not store or _starts_as_url(store) else _for_a_file(store)
        raise ConfigurationError(f"store {store!r} has no known scheme; URLs are {', '.join(_SHAPES)}{advice}")
    place, _, query = rest.partition("?")
    options: dict[str, str] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name in options:
            raise ConfigurationError(f"store {store!r}: {name} is given twice")
        options[name] = text
    return make(store, place, options)


def _starts_as_url(store: str) -> bool:
    return store.partition(":")[0].lower() in _SCHEMES


def _for_a_file(path: str) -> str:
    return f"; for the file {path!r} write {f'sqlite:///{path}'!r}"


def _shown(url: str) -> str:
    """Return a URL for a message: that of a server without its user, its password and its options."""
    scheme, separator, rest = url.partition("://" if "://" in url or not _starts_as_url(url) else ":")
    if scheme.lower() == "sqlite":
        return url
    return f"{scheme}{separator}{rest.partition('?')[0].rpartition('@')[2]}"


def file_store(path: str | os.PathLike[str]) -> Examinable:
    """Return the store whose log is the file at a path, not yet opened."""
    return SQLiteStore(path)


def _memory(url: str, place: str, options: dict[str, str]) -> EventStore:
    if place:
        raise ConfigurationError(f"store {url!r}: a store in memory has no path; write memory://")
    _read_options(url, options, {})
    return MemoryStore()


def _sqlite(url: str, place: str, options: dict[str, str]) -> EventStore:
    if len(place) < 2 or not place.startswith("/"):
        raise ConfigurationError(
            f"store {url!r} names no file; write three slashes before a relative path and four before an absolute "
            f"one: sqlite:///relative.db, sqlite:////absolute.db"
        )
    try:
        path = unquote(place[1:], errors="strict")
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"store {url!r}: its percent escapes are not valid UTF-8; write %25 for a percent sign"
        ) from None
    return SQLiteStore(path, **_read_options(url, options, _SQLITE_OPTIONS))


def _postgresql(url: str, place: str, options: dict[str, str]) -> EventStore:
    with from_extra("postgresql", "a log in PostgreSQL", "asyncpg"):
        from actorium.store.postgresql import PostgreSQLNodeStore
        from actorium.store.postgresql.connections.options import OPTIONS, split_url
    uri, others = split_url(place, options)
    return PostgreSQLNodeStore(uri, **_read_options(url, others, OPTIONS))


def _read_options(url: str, options: Mapping[str, str], known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    values = {}
    for name, text in options.items():
        read = known.get(name)
        if read is None:
            raise ConfigurationError(
                f"store {url!r}: no option {name!r}; options: {', '.join(known) or 'none for this scheme'}; write a "
                "question mark in a file's name as %3F"
            )
        try:
            values[name] = read(text)
        except ValueError:
            raise ConfigurationError(f"store {url!r}: {name}={text!r} is not a valid {read.__name__}") from None
    return values


_SCHEMES: dict[str, Callable[[str, str, dict[str, str]], EventStore]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "postgres": _postgresql,
}
_SHAPES = ("memory://", "sqlite:///relative.db", "sqlite:////absolute.db", "postgresql://host/database")
