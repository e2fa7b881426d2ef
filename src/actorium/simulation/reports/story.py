"""`story`: a failing run in one line, and a token that reproduces exactly this run."""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from collections.abc import Sequence

import msgspec

from actorium.simulation.record.history import Operation
from actorium.simulation.search.run import Outcome, RunOptions
from actorium.store.errors import ConfigurationError
from actorium.store.wording import counted

_NAMED_MAX = 3


def story(outcome: Outcome) -> str:
    """Describe a run in one line: its seed, the commands that were sent, the faults that happened, and the culprit."""
    parts = [_commands(outcome)]
    options = outcome.options
    if options.crash_at is not None:
        parts.append(str(options.crash_at))
    faults = [str(fault) for fault in outcome.faults]
    if not faults:
        parts.append("no fault")
    elif len(faults) <= _NAMED_MAX:
        parts.append(f"{'fault' if len(faults) == 1 else 'faults'}: {'; '.join(faults)}")
    else:
        parts.append(f"{len(faults)} faults")
    if outcome.violation is not None and outcome.violation.culprit:
        parts.append(f"found in {outcome.violation.culprit}")
    return f"seed {options.seed} → {', '.join(parts)}"


def _commands(outcome: Outcome) -> str:
    sent = [one for one in outcome.operations if not one.left_out]
    asked = [one for one in sent if not one.in_calm]
    set_up = [one for one in sent if one.in_calm]
    text = f"{counted(len(asked), 'command')}{_named(asked)}" if asked else "no command"
    return f"{text} after {counted(len(set_up), 'setup command')}{_named(set_up)}" if set_up else text


def _named(sent: Sequence[Operation]) -> str:
    if len(sent) <= _NAMED_MAX:
        return f" ({', '.join(one.name for one in sent)})"
    kinds = Counter(type(one.command).__name__ for one in sent)
    return f" ({', '.join(f'{count} {kind}' for kind, count in kinds.items())})"


def token_of(options: RunOptions) -> str:
    """Return run options as a word that needs no quoting in a shell; `options_of` decodes it."""
    if options.only is not None:  # then nothing is drawn, and the rates do not matter
        options = msgspec.structs.replace(options, faults=msgspec.structs.replace(options.faults, rates={}))
    packed = zlib.compress(msgspec.msgpack.encode(options, order="deterministic"), 9, wbits=-15)
    checked = zlib.crc32(packed).to_bytes(4, "big")[2:] + packed
    return base64.urlsafe_b64encode(checked).decode().rstrip("=")


def options_of(token: str) -> RunOptions:
    """Return the options encoded in a token; raise ConfigurationError if the token is invalid or incomplete."""
    try:
        checked = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        if zlib.crc32(checked[2:]).to_bytes(4, "big")[2:] != checked[:2]:
            raise ValueError("wrong checksum")
        return msgspec.msgpack.decode(zlib.decompress(checked[2:], wbits=-15), type=RunOptions)
    except (ValueError, zlib.error, msgspec.MsgspecError) as error:
        raise ConfigurationError(
            f"not a complete story token of this version: {token[:40]}… ({error}); copy the whole command, "
            "or replay the seed"
        ) from error
