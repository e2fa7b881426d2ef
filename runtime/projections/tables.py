"""`Table`: a table of a projection whose rows are objects, written by key without SQL.

A handler records changes of rows in its `Transaction`. Those of one page are folded first (`row_fold.py`), so that a
row that changes a thousand times is written once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias, TypeVar, Union, get_args, get_origin

import msgspec

from actorium.store.errors import ConfigurationError, StatementFailed
from actorium.store.events import MessageMeta, as_json
from actorium.store.shapes.storable import decoders_of
from actorium.store.tables.row_tables import KEY_BYTES_MAX, Column, ColumnKind, RowTable

V = TypeVar("V")

_KEY = "actorium key"

if TYPE_CHECKING:
    Key: TypeAlias = Annotated[V, _KEY]
else:

    class Key:
        """Marks a key column of a `Table`: `account: Key[str]`. A key is a `str`, an `int` or `bytes`."""

        def __class_getitem__(cls, hint: Any) -> Any:
            return Annotated[hint, _KEY]


_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_TABLES_KEPT = 1_000
_SHOWN_MAX = 80

Encode = Callable[[Any], Any]


class Table(msgspec.Struct, frozen=True, gc=False, metaclass=MessageMeta):
    """Base class for the rows of a projection's table. Name the class in `Projection.tables`.

        class Balance(Table):
            account: Key[str]
            amount: int = 0

    The fields are the columns. Those marked with `Key` come first and form the primary key; each is a `str`, an `int`
    or `bytes`. Other columns are `int` (64 bits), `float`, `bool`, `str`, `bytes`, any of these or None
    (`str | None`), or another type that JSON can represent, which is stored as its JSON.

    table_name: the name of the table in SQL; by default that of the class.
    """

    table_name: ClassVar[str] = ""


class TableDefinition:
    """The columns of a table class, and how its rows are stored.

    has_floats: `tx.add` is refused, because the sum of floats depends on their order.
    """

    __slots__ = ("_decode", "_encode", "has_floats", "name", "row", "shape", "table_class")

    def __init__(self, table_class: type[Table]) -> None:
        owner = table_class.__qualname__
        self.table_class = table_class
        self.name: str = table_class.__dict__.get("table_name") or table_class.__name__
        if not self.name.isidentifier():
            raise ConfigurationError(f"{owner}.table_name = {self.name!r} may hold only letters, digits and _")
        decoders_of(table_class)  # refuses types that JSON cannot represent
        try:
            fields = msgspec.structs.fields(table_class)
            read = [_column(field) for field in fields]
        except (TypeError, NameError) as error:
            raise ConfigurationError(f"{owner} cannot be a table: {error}") from error
        keys = [column for column, _, is_key in read if is_key]
        if not keys:
            raise ConfigurationError(f"{owner} has no key: mark the columns that identify a row, as in `id: Key[str]`")
        if any(is_key for _, _, is_key in read[len(keys) :]):
            raise ConfigurationError(f"{owner}: the columns marked with Key must come first")
        names = [column.name.lower() for column, _, _ in read]
        if len(set(names)) < len(names) or self.name.lower() in names:
            raise ConfigurationError(
                f"{owner}: its columns need names that differ from each other and from {self.name}, whatever their case"
            )
        self.shape = RowTable(self.name, tuple(keys), tuple(column for column, _, _ in read[len(keys) :]))
        self.has_floats = any(column.kind == "float" for column in self.shape.values)
        self._encode: list[tuple[str, Encode]] = []
        self._decode: list[Callable[[Any], Any] | None] = []
        for (column, hint, _), field in zip(read, fields, strict=True):
            encode, decode = _conversion(hint)
            self._encode.append((column.name, _or_none(encode) if column.is_optional else encode))
            self._decode.append(_or_none(decode) if decode is not None and column.is_optional else decode)
            if not field.required and field.default is not msgspec.NODEFAULT:
                _check_default(owner, column.name, self._encode[-1][1], field.default)
        self.row = _plain if all(one is None for one in self._decode) else self._decoded

    def encoded(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Return the values of a row, or of its key, as they are stored; raise StatementFailed if they cannot be."""
        stored = []
        for (name, encode), value in zip(self._encode, values, strict=False):
            try:
                stored.append(encode(value))
            except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
                raise StatementFailed(f"{self.name}.{name} = {_shown(value)}: {error}") from error
        key = stored[: len(self.shape.keys)]
        size = sum(len(part.encode() if type(part) is str else part) for part in key if type(part) in (str, bytes))
        if size > KEY_BYTES_MAX:
            raise StatementFailed(f"the key {_shown(key)} of {self.name} has {size} bytes, more than {KEY_BYTES_MAX}")
        return tuple(stored)

    def decoded(self, values: Sequence[Any]) -> Any:
        """Return the row of these stored values."""
        return self.table_class(*self.row(values))

    def _decoded(self, values: Sequence[Any]) -> list[Any]:
        return [value if decode is None else decode(value) for value, decode in zip(values, self._decode, strict=True)]

    def key(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Return a key, or its first parts, as it is stored; raise ConfigurationError if it cannot be a key."""
        keys = self.shape.keys
        if len(values) > len(keys):
            raise ConfigurationError(f"{self.name} has the key {', '.join(key.name for key in keys)}, not {values!r}")
        try:
            return self.encoded(values)
        except StatementFailed as failure:
            raise ConfigurationError(str(failure)) from failure


@lru_cache(_TABLES_KEPT)
def definition_of(table: type[Table]) -> TableDefinition:
    """Return the definition of a table class; raise ConfigurationError for a class that cannot be a table."""
    what: object = table
    if not (isinstance(what, type) and issubclass(what, Table) and what is not Table):
        raise ConfigurationError(f"{what!r} is not a subclass of Table")
    return TableDefinition(table)


def _plain(values: Sequence[Any]) -> Sequence[Any]:
    return values


def _column(field: msgspec.structs.FieldInfo) -> tuple[Column, Any, bool]:
    """Return a column, the type of its values without None, and whether it belongs to the key."""
    hint, is_key, is_optional = field.type, False, False
    if get_origin(hint) is Annotated:
        hint, *marks = get_args(hint)
        is_key = _KEY in marks
    if get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint):
        others = [one for one in get_args(hint) if one is not NoneType]
        hint, is_optional = Union[tuple(others)], True  # noqa: UP007
    kind = _KINDS.get(hint, "text") if isinstance(hint, type) else "text"
    if is_key and (hint not in (str, int, bytes) or is_optional):
        raise TypeError(f"the key column {field.name} has the type {field.type!r}; a key is a str, an int or bytes")
    return Column(field.name, kind, is_optional, is_number=hint is int and not is_key), hint, is_key


_KINDS: Mapping[type, ColumnKind] = {int: "int", bool: "int", float: "float", str: "text", bytes: "bytes"}


def _conversion(hint: Any) -> tuple[Encode, Callable[[Any], Any] | None]:
    if hint in _ENCODE:
        return _ENCODE[hint], bool if hint is bool else None
    return lambda value: as_json(value).decode(), msgspec.json.Decoder(hint).decode


def _or_none(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


def _int(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"an int is expected, not {type(value).__name__}")
    if not _INT_MIN <= value <= _INT_MAX:
        raise ValueError("it does not fit into 64 bits")
    return value


def _float(value: Any) -> float:
    if type(value) not in (float, int):
        raise TypeError(f"a float is expected, not {type(value).__name__}")
    if not math.isfinite(value):
        raise ValueError("it is not a finite number")
    return float(value)


def _bool(value: Any) -> int:
    if type(value) is not bool:
        raise TypeError(f"a bool is expected, not {type(value).__name__}")
    return int(value)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"a str is expected, not {type(value).__name__}")
    if "\0" in value:
        raise ValueError("text in a table cannot contain the NUL character")
    value.encode()  # a lone surrogate has no UTF-8
    return value


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise TypeError(f"bytes are expected, not {type(value).__name__}")
    return value


_ENCODE: Mapping[Any, Encode] = {int: _int, float: _float, bool: _bool, str: _text, bytes: _bytes}


def _check_default(owner: str, name: str, encode: Encode, default: Any) -> None:
    try:
        encode(default)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{owner}.{name} has the default {_shown(default)}: {error}") from error


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…"
