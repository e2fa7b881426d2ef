"""Tables that cannot be, and rows that cannot be written, are refused with a reason."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from support.rows import Seen, Total, Totals, WasSet

from actorium import (
    ConfigurationError,
    Event,
    Key,
    Projection,
    RecordedEvent,
    Table,
    Transaction,
    on,
)
from actorium.store.errors import StatementFailed
from actorium.testing import given_events


def table(called: str = "Bad", /, **columns: Any) -> type[Table]:
    defaults = {key: value[1] for key, value in columns.items() if isinstance(value, tuple)}
    hints = {key: value[0] if isinstance(value, tuple) else value for key, value in columns.items()}
    return cast("type[Table]", type(called, (Table,), {"__annotations__": hints, "__module__": __name__, **defaults}))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: table(name=str), "has no key"),
        (lambda: table(value=int, name=Key[str]), "must come first"),
        (lambda: table(name=Key[float]), "a key is a str, an int or bytes"),
        (lambda: table(name=Key[str | None]), "a key is a str, an int or bytes"),
        (lambda: table(name=Key[str], value=complex), "Bad.value has the type complex, which JSON cannot represent"),
        (lambda: table(name=Key[str], Name=int), "names that differ"),
        (lambda: table(name=Key[str], bad=int), "names that differ"),
        (lambda: table(name=Key[str], value=(int, 2**63)), "has the default 9223372036854775808"),
        (lambda: table(name=Key[str], value=(str, "\0")), "NUL"),
        (lambda: int, "is not a subclass of Table"),
        (lambda: Table, "is not a subclass of Table"),
    ],
)
def test_a_class_that_cannot_be_a_table_is_refused_with_its_projection(made: Callable[[], Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        type("P", (Totals,), {"tables": (made(),), "__module__": __name__})


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (Total, "a list of Table classes"),
        ("Total", "a list of Table classes"),
        (5, "a list of Table classes"),
        ((Total, table("TOTAL", name=Key[str])), "the name of another table"),
        ((Total, table("Other", name=Key[str], total=int)), "has the name of a table"),
    ],
)
def test_tables_that_do_not_fit_together_are_refused(tables: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        type("P", (Totals,), {"tables": tables, "__module__": __name__})


class Measured(Table):
    place: Key[str]
    degrees: float = 0.0


class Mistaken(Projection):
    tables = (Total, Measured)
    schema = "CREATE TABLE plain (a)"

    @on
    def was_set(self, event: WasSet, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        match event.how:
            case "unknown":
                tx.put(Seen("a"))
            case "unknown add":
                tx.add(Seen("a"))
            case "unknown delete":
                tx.delete(Seen, "a")
            case "float":
                tx.add(Measured("a", 1.5))
            case "key":
                tx.delete(Total)
            case "sql":
                tx.execute("INSERT INTO plain SELECT amount FROM Total")
            case "write":
                tx.execute("DELETE FROM total")
            case "type":
                tx.put(Total("a", "five"))  # type: ignore[arg-type]
            case "sum":
                tx.add(Total("a", 1))
                tx.add(Total("a", "five"))  # type: ignore[arg-type]
            case "hash":
                tx.put(Total(["a"]))  # type: ignore[arg-type]
            case "nan":
                tx.put(Measured("a", float("nan")))
            case "put":
                tx.put(Measured("a", 1))


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ("unknown", ConfigurationError, "Seen is not in `tables`"),
        ("unknown add", ConfigurationError, "Seen is not in `tables`"),
        ("unknown delete", ConfigurationError, "Seen is not in `tables`"),
        ("float", ConfigurationError, "sums of floats"),
        ("key", ConfigurationError, r"takes the whole key \(thing\)"),
        ("sql", ConfigurationError, "is listed in `tables`"),
        ("write", ConfigurationError, "is listed in `tables`"),
        ("type", StatementFailed, "Total.amount = 'five': an int is expected, not str"),
        ("sum", StatementFailed, "cannot be written"),
        ("hash", StatementFailed, "cannot be written"),
        ("nan", StatementFailed, "not a finite number"),
    ],
)
def test_a_mistake_of_a_handler_is_named(how: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        given_events(Mistaken, WasSet(1, how, ""))


def test_a_float_is_put_as_a_float() -> None:
    given_events(Mistaken, WasSet(1, "put", "")).then_rows("SELECT degrees FROM measured", [(1.0,)])
