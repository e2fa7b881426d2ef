"""The fingerprint of a command: what changes it, and what does not."""

import enum
import subprocess
import sys
import uuid
from typing import Any

import msgspec
import pytest

from actorium.actors.commands import Command, CommandCodec
from actorium.actors.fingerprint import is_narrow
from actorium.store.event_store import CommandRecord
from actorium.store.sqlite.marks import command_record, events_column
from actorium.store.sqlite.packed import InDoubt

HASHED_ELSEWHERE = """
from actorium.actors.commands import Command, CommandCodec
class Pay(Command):
    tags: set[str]
    limits: dict[str, int]
codec = CommandCodec(Pay, "Account")
print(codec.fingerprint(*codec.admit(Pay("a", {"x", "y", "z"}, {"b": 1, "a": 2}), 1_000)))
"""


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


def fingerprint(command: Command, stream_type: str = "Account") -> int:
    codec = CommandCodec(type(command), stream_type)
    return codec.fingerprint(*codec.admit(command, 10_000))


def test_a_new_field_with_a_default_and_the_field_order_do_not_change_it() -> None:
    def first() -> int:
        class Pay(Command):
            amount: int
            to_whom: str

        return fingerprint(Pay("a", 30, "bob"))

    def second() -> int:
        class Pay(Command):
            to_whom: str
            amount: int
            note: str = ""
            tags: list[str] = []
            limits: dict[str, int] = msgspec.field(default_factory=lambda: {"day": 100})

        assert fingerprint(Pay("a", "bob", 30, note="rent")) != fingerprint(Pay("a", "bob", 30))
        assert fingerprint(Pay("a", "bob", 30, tags=["x"])) != fingerprint(Pay("a", "bob", 30))
        return fingerprint(Pay("a", "bob", 30))

    assert first() == second()


def test_nested_structs_follow_the_same_rule() -> None:
    def first() -> int:
        class Item(msgspec.Struct, frozen=True):
            sku: str

        class Order(Command):
            items: list[Item]
            by_name: dict[str, Item | None] = {}

        return fingerprint(Order("a", [Item("x")], {"one": Item("y"), "two": None}))

    def second() -> int:
        class Item(msgspec.Struct, frozen=True):
            sku: str
            count: int = 1

        class Order(Command):
            items: list[Item]
            by_name: dict[str, Item | None] = {}

        assert fingerprint(Order("a", [Item("x", 2)])) != fingerprint(Order("a", [Item("x")]))
        return fingerprint(Order("a", [Item("x")], {"one": Item("y"), "two": None}))

    assert first() == second()


def test_the_tag_of_a_tagged_union_counts() -> None:
    class Card(msgspec.Struct, frozen=True, tag=True):
        number: str = ""

    class Cash(msgspec.Struct, frozen=True, tag=True):
        number: str = ""

    class Pay(Command):
        by: Card | Cash

    assert fingerprint(Pay("a", Card())) != fingerprint(Pay("a", Cash()))


def test_different_commands_have_different_fingerprints() -> None:
    class Pay(Command):
        amount: int

    class Take(Command):
        amount: int

    seen = {
        fingerprint(Pay("a", 1)),
        fingerprint(Pay("b", 1)),
        fingerprint(Pay("a", 2)),
        fingerprint(Take("a", 1)),
        fingerprint(Pay("a", 1), "Till"),
    }
    assert len(seen) == 5


def test_it_has_64_bits_and_never_looks_like_an_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pay(Command):
        amount: int

    seen = [fingerprint(Pay("a", amount)) for amount in range(2_000)]
    for bit in range(64):
        assert {one >> bit & 1 for one in seen} == {0, 1}

    class Zeros:
        def __init__(self, content: bytes, digest_size: int) -> None: ...

        def copy(self) -> "Zeros":
            return self

        def update(self, content: bytes) -> None: ...

        def digest(self) -> bytes:
            return bytes(8)

    monkeypatch.setattr("actorium.actors.fingerprint.blake2b", Zeros)  # one in four thousand million is so small
    assert not is_narrow(fingerprint(Pay("a", 1)))
    assert is_narrow(0)
    assert is_narrow(2**32 - 1)


def test_it_is_the_same_in_every_process() -> None:
    def ask(seed: str) -> str:
        found = subprocess.run(
            [sys.executable, "-c", HASHED_ELSEWHERE], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        )
        return found.stdout.decode()

    assert ask("1") == ask("2") != ""


@pytest.mark.parametrize("bit", [0, 31, 32, 40, 63])
def test_a_flip_of_any_bit_is_detected(bit: int) -> None:
    fingerprint = -(2**63) + 12345
    mark: tuple[Any, ...] = ("Account", "a", events_column("c1", fingerprint, 3, 2), 3, 7)
    assert isinstance(command_record("c1", fingerprint, *mark), CommandRecord)
    with pytest.raises(InDoubt):
        command_record("c1", fingerprint ^ (1 << bit if bit < 63 else -(2**63)), *mark)


@pytest.mark.parametrize(
    ("keys", "first", "second"),
    [(int, 2, 10), (uuid.UUID, uuid.UUID(int=1), uuid.UUID(int=2)), (Colour, Colour.RED, Colour.GREEN)],
)
def test_keys_may_have_any_type_that_survives_json(keys: Any, first: Any, second: Any) -> None:
    class Price(Command):
        prices: dict[keys, int]
        tags: set[str] = set()

    one = fingerprint(Price("a", {first: 1, second: 2}, {"x", "y"}))
    assert one == fingerprint(Price("a", {second: 2, first: 1}, {"y", "x"}))
    assert one != fingerprint(Price("a", {first: 2, second: 1}, {"x", "y"}))
    copy, _ = CommandCodec(Price, "Account").admit(Price("a", {first: 1}), 1_000)
    assert copy == Price("a", {first: 1})
