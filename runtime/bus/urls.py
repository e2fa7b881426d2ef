"""Bus URLs: `memory://NAME`, `nats://host:4222`, `tls://host`, with several servers separated by commas."""

from __future__ import annotations

import importlib.util
import os
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from actorium.runtime.bus.bus import Bus
from actorium.runtime.bus.buses.memory import MemoryBus
from actorium.store.errors import ConfigurationError, from_extra

_SHAPES = "memory://NAME, nats://host:4222, tls://host:4222"
_FILES = {"creds": "user_credentials", "nkey": "nkeys_seed"}
_OPTIONS = (*_FILES, "tls_ca", "tls_cert", "tls_key", "fsync", "replicas")
_FLAGS = {"yes": True, "no": False}


def open_bus(bus: str | Bus) -> Bus:
    """Return the bus that a URL names, not yet opened; a bus is returned unchanged.

    Raises ConfigurationError for anything else.
    """
    if not isinstance(bus, str):
        if isinstance(bus, Bus):
            return bus
        raise ConfigurationError(f"bus={bus!r} is neither a URL nor a Bus; URLs are {_SHAPES}")
    scheme, separator, rest = bus.partition("://")
    place, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if separator and scheme == "memory":
        if not place or options:
            raise ConfigurationError(f"bus {bus!r}: a bus in memory has a name and no options; write memory://NAME")
        return MemoryBus(place)
    if not separator or scheme not in ("nats", "tls") or not place:
        raise ConfigurationError(f"bus {bus!r} is not a URL of a bus; URLs are {_SHAPES}")
    return _nats(bus, scheme, place, options)


def _nats(url: str, scheme: str, place: str, options: Mapping[str, str]) -> Bus:
    with from_extra("nats", "a bus on NATS", "nats"):
        from actorium.runtime.bus.buses.nats import NatsBus
    shown = f"{scheme}://{place.rpartition('@')[2]}"
    user, at, hosts = place.rpartition("@")
    for host in hosts.split(","):
        _require_host(shown, host)
    servers = [f"{scheme}://{user}{at}{host}" for host in hosts.split(",")]
    passed: dict[str, Any] = {}
    for name, value in options.items():
        if name not in _OPTIONS:
            raise ConfigurationError(f"bus {shown!r}: no option {name!r}; options: {', '.join(_OPTIONS)}")
        if name in _FILES:
            passed[_FILES[name]] = _credentials(shown, name, value)
        elif name == "fsync":
            if value not in _FLAGS:
                raise ConfigurationError(f"bus {shown!r}: fsync={value!r} must be yes or no")
            passed["fsync"] = _FLAGS[value]
        elif name == "replicas":
            if not value.isdecimal() or not 1 <= int(value) <= 5:
                raise ConfigurationError(f"bus {shown!r}: replicas={value!r} must be a number from 1 to 5")
            passed["replicas"] = int(value)
    if any(name.startswith("tls_") for name in options):
        passed["tls"] = _tls(shown, options)
    return NatsBus(*servers, **passed)


def _require_host(shown: str, host: str) -> None:
    try:
        split = urlsplit(f"//{host}")
        right = split.hostname and split.netloc == host and split.port != 0
    except ValueError:  # the port is not a number, or too large
        right = False
    if not right or any(character.isspace() for character in host):
        raise ConfigurationError(
            f"bus {shown!r}: {host!r} is not a server; write host:port, and several servers with commas between them"
        )


def _credentials(shown: str, option: str, path: str) -> str:
    if not os.access(path, os.R_OK):
        raise ConfigurationError(f"bus {shown!r}: {option}={path!r} cannot be read; name a file with credentials")
    if importlib.util.find_spec("nkeys") is None:
        raise ConfigurationError(f"bus {shown!r}: {option}= needs the package nkeys: pip install 'nats-py[nkeys]'")
    return path


def _tls(shown: str, options: Mapping[str, str]) -> ssl.SSLContext:
    for name, path in options.items():
        if name.startswith("tls_") and not os.access(path, os.R_OK):
            raise ConfigurationError(f"bus {shown!r}: {name}={path!r} cannot be read; name a file in PEM format")
    try:
        context = ssl.create_default_context(cafile=options.get("tls_ca"))
        if "tls_cert" in options:
            context.load_cert_chain(options["tls_cert"], options.get("tls_key"))
    except OSError as error:
        raise ConfigurationError(f"bus {shown!r}: the certificates cannot be read: {error}") from error
    return context
