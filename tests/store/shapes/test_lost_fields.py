"""Which stored fields a class has lost, whatever it is made of."""

import dataclasses
from typing import Any, TypedDict

import msgspec
import pytest

from actorium.store.shapes.lost_fields import lost_fields


class Line(msgspec.Struct, frozen=True):
    sku: str = ""


class Renamed(msgspec.Struct, rename={"sku": "s-k-u"}, frozen=True):
    sku: str = ""


class Tagged(msgspec.Struct, tag=True):
    sku: str = ""


class Packed(msgspec.Struct, array_like=True):
    line: Line


@dataclasses.dataclass
class Plain:
    line: Line


class Typed(TypedDict, total=False):
    line: Line


class Order(msgspec.Struct):
    """One of everything that JSON objects and lists become."""

    line: Line = Line()
    renamed: Renamed = Renamed()
    tagged: Tagged | None = None
    packed: Packed | None = None
    plain: Plain | None = None
    typed: Typed = msgspec.field(default_factory=Typed)
    lines: list[Line] = []
    pair: tuple[Line, int] | None = None
    by_number: dict[int, Line] = {}
    anything: Any = None
    some: frozenset[Line] = frozenset()


@pytest.mark.parametrize(
    ("stored", "lost"),
    [
        (b'{"line":{"sku":"a"},"anything":{"x":[{"y":1}]}}', []),
        (b'{"lines":[{"sku":"a"},{}],"by_number":{"7":{"sku":"a"}},"some":[{"sku":"a"}]}', []),
        (b'{"renamed":{"s-k-u":"a"},"tagged":{"type":"Tagged"},"packed":[{"sku":"a"}]}', []),
        (b'{"number":1}', ["number"]),
        (b'{"line":{"code":"a"},"old":1}', ["old", "line.code"]),
        (b'{"renamed":{"sku":"a"},"tagged":{"type":"Tagged","code":1}}', ["renamed.sku", "tagged.code"]),
        (
            b'{"plain":{"line":{"code":"a"}},"typed":{"old":1,"line":{"code":1}}}',
            ["plain.line.code", "typed.old", "typed.line.code"],
        ),
        (b'{"lines":[{"sku":"a"},{"code":"b"}],"pair":[{"code":"b"},1]}', ["lines.code", "pair.code"]),
        (b'{"by_number":{"7":{"code":"a"}},"packed":[{"code":"a"}]}', ["by_number.7.code", "packed.code"]),
    ],
)
def test_a_stored_field_that_the_class_does_not_have_is_lost(stored: bytes, lost: list[str]) -> None:
    value = msgspec.json.decode(stored, type=Order)
    assert sorted(lost_fields(value, msgspec.json.decode(stored))) == sorted(lost)
