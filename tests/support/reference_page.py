"""Writes docs/reference.md from the public names, their signatures and their docstrings.

`make reference` runs it; a test holds that the page is what it writes.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import actorium
import actorium.errors
import actorium.instruments
import actorium.simulation
import actorium.testing
import actorium.types
from actorium.errors import ActoriumError
from actorium.types import Processor

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference.md"

# Which names of `actorium` stand together, in the order in which a reader meets them.
SECTIONS = {
    "Aggregates": (
        [
            "Aggregate",
            "Command",
            "Event",
            "create",
            "decide",
            "evolve",
            "upcast",
            "Snapshots",
            "Passivation",
            "Metadata",
            "Ack",
            "RecordedEvent",
        ]
    ),
    "Sagas": ["Saga", "starts", "step", "on_rejected", "Retry", "IdempotencyKey"],
    "The read side": ["Projection", "on", "query", "Transaction", "Reader", "react", "Outlet", "CloudEvent"],
    "The runtime": ["Runtime", "Settings", "EventStore", "CommandContext", "Middleware", "Next", "Instrument"],
}
# What hangs on a runtime: attribute, and the class that stands behind it.
GROUPS = ("sagas", "submissions", "processors", "dead_letters")

HEAD = """# Reference

Every public name, with its signature and the first sentence of its docstring; `help(actorium.Runtime)` says the rest.
Units stand in names: `timeout_s`, `max_payload_bytes`. This page is generated (`make reference`).
"""
COMMAND_LINE = "## The command line\n"
"""From here on the page is written by hand."""


def first_sentence(thing: Any) -> str:
    """Return the first sentence of a docstring, on one line."""
    text = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
    found = re.match(r"(.+?[^.…])\.(?= [A-Z`*@]|$)", text)
    return (found.group(1) if found else text.rstrip(".")).replace("|", "\\|")


def signature_of(thing: Any, *, bound: bool = False) -> str:
    """Return how a thing is called, without annotations that only repeat a name; empty for what nobody calls."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    parameters = list(signature.parameters.values())
    if bound and parameters and parameters[0].name == "self":
        parameters = parameters[1:]
    plain = [one.replace(annotation=inspect.Parameter.empty) for one in parameters]
    text = str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))
    return re.sub(r"<[\w.]+ object at 0x[0-9a-f]+>|<factory>", "…", text)


def row(name: str, thing: Any, *, call: bool = True) -> str:
    """Return the row of one name."""
    shown = name + signature_of(thing) if call else name
    return f"| `{shown.replace('|', chr(92) + '|')}` | {first_sentence(thing)} |"


def table(rows: Iterator[str]) -> list[str]:
    """Return rows below the head of a table."""
    return ["| | |", "|---|---|", *rows, ""]


def members(owner: type, prefix: str) -> Iterator[str]:
    """Yield a row per public method and property of a class, told apart."""
    for name in sorted(vars_of(owner)):
        member = inspect.getattr_static(owner, name)
        if isinstance(member, property):
            yield f"| `{prefix}{name}` | property: {first_sentence(member)} |"
        else:
            function = getattr(owner, name)
            kind = "async method" if inspect.iscoroutinefunction(function) else "method"
            shown = f"{prefix}{name}{signature_of(function, bound=True)}".replace("|", "\\|")
            yield f"| `{shown}` | {kind}: {first_sentence(function)} |"


def vars_of(owner: type) -> set[str]:
    """Return the public names that a class gives its instances."""
    ours = [vars(base) for base in owner.__mro__ if base.__module__.startswith("actorium.")]
    return {name for members in ours for name in members if not name.startswith("_")}


def module_rows(module: ModuleType, prefix: str) -> Iterator[str]:
    """Yield a row per public name of a module."""
    for name in module.__all__:
        thing = getattr(module, name)
        yield row(prefix + name, thing, call=inspect.isroutine(thing))


def errors(branch: type[ActoriumError], depth: int = 0) -> Iterator[str]:
    """Yield a row per error, each below its base."""
    yield f"| {'&emsp;' * depth}`{branch.__name__}` | {first_sentence(branch)} |"
    for one in sorted(branch.__subclasses__(), key=lambda error: error.__name__):
        if one.__name__ in actorium.errors.__all__:
            yield from errors(one, depth + 1)


def page() -> str:
    """Return the whole page."""
    lines = [HEAD]
    for title, names in SECTIONS.items():
        things = ((name, getattr(actorium, name)) for name in names)
        rows = (row(name, thing, call=inspect.isroutine(thing)) for name, thing in things)
        lines += [f"## {title}", "", *table(rows)]
    lines += ["### What a runtime does", "", *table(members(actorium.Runtime, "runtime."))]
    for group in GROUPS:
        owner = inspect.signature(inspect.getattr_static(actorium.Runtime, group).fget, eval_str=True).return_annotation
        lines += [f"### `runtime.{group}`", "", first_sentence(owner) + ".", ""]
        lines += table(members(owner, f"runtime.{group}."))
    lines += ["### A processor", "", "`runtime.processors[Balances]` is one.", ""]
    lines += table(members(Processor, "processor."))
    lines += ["## What it returns", "", "Names of `from actorium.types import …`, for annotations.", ""]
    lines += table(module_rows(actorium.types, ""))
    lines += [
        "## Instruments",
        "",
        "Names of `from actorium.instruments import …`; [how to use them](how-to/instruments.md).",
        "",
    ]
    lines += table(module_rows(actorium.instruments, "instruments."))
    lines += ["## Tests", "", "Names of `from actorium.testing import …`.", ""]
    lines += table(module_rows(actorium.testing, "testing."))
    lines += ["## Simulation", "", "Names of `from actorium.simulation import …`; "]
    lines[-1] += "[how to use them](how-to/simulate-failures.md)."
    lines += ["", *table(module_rows(actorium.simulation, "simulation."))]
    lines += ["## Errors", "", "Names of `from actorium.errors import …`. The base says what a caller can do."]
    listed = ", ".join(f"`{name}`" for name in actorium.__all__ if name in actorium.errors.__all__)
    lines += [f"`actorium` itself has {listed}.", "", *table(errors(ActoriumError))]
    by_hand = PAGE.read_text(encoding="utf-8").partition(COMMAND_LINE)[2]
    return "\n".join(lines) + "\n" + COMMAND_LINE + by_hand


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.name}\n")
