"""What a console hides: by type, by field or by both; and the differences between two states."""

from typing import Any

import pytest

from actorium.console import Masking, Operator
from actorium.console.api.views import DifferenceView
from actorium.console.diff import DIFFERENCES_MAX, differences
from actorium.console.masking import HIDDEN

VALUE = {"name": "alice", "lines": [{"price": 3}], "note": None}
ALL_HIDDEN = {"name": HIDDEN, "lines": [{"price": HIDDEN}], "note": None}


@pytest.mark.parametrize(
    ("masking", "expected"),
    [
        (Masking(), ALL_HIDDEN),
        (Masking(default="show"), VALUE),
        (Masking(shown=["Placed"]), VALUE),
        (Masking(shown=["Other"]), ALL_HIDDEN),
        (Masking(shown=["name"]), {**ALL_HIDDEN, "name": "alice"}),
        (Masking(shown=["Placed.name"]), {**ALL_HIDDEN, "name": "alice"}),
        (Masking(default="show", hidden=["name"]), {**VALUE, "name": HIDDEN}),
        (Masking(default="show", hidden=["Placed"]), ALL_HIDDEN),
        (Masking(shown=["Placed"], hidden=["Placed.name"]), {**VALUE, "name": HIDDEN}),
        (Masking(shown=["Placed.name"], hidden=["Placed"]), {**ALL_HIDDEN, "name": "alice"}),
        (Masking(shown=["name"], hidden=["Placed"]), ALL_HIDDEN),
        (Masking(shown=["Placed"], hidden=["name"]), VALUE),
        (Masking(shown=["Placed"], hidden=["Placed"]), ALL_HIDDEN),
    ],
)
def test_the_most_specific_entry_counts_and_hiding_wins_between_equals(masking: Masking, expected: Any) -> None:
    assert masking.masked("Placed", VALUE) == (expected, expected != VALUE)


def test_a_payload_that_is_no_object_is_hidden_as_a_whole() -> None:
    assert Masking().masked("Placed", "secret") == (HIDDEN, True)
    assert Masking(shown=["Placed"]).masked("Placed", "secret") == ("secret", False)


def test_a_hidden_field_hides_what_differs_inside_it() -> None:
    inside = DifferenceView("lines[0].price", 3, 4)
    assert Masking(shown=["name"]).masked_difference("Placed", inside) == DifferenceView(
        "lines[0].price", HIDDEN, HIDDEN
    )
    assert Masking(shown=["lines"]).masked_difference("Placed", inside) == inside


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1, "b": 2}, {"a": 3, "c": None}, [("a", 1, 3), ("b", 2, None), ("c", None, None)]),
        ({"a": [1, 2]}, {"a": [1, 3, 4]}, [("a[1]", 2, 3), ("a[2]", None, 4)]),
        ({"a": {"b": 1}}, {"a": {"b": True}}, [("a.b", 1, True)]),
        ({"a": {}}, {"a": []}, [("a", {}, [])]),
        (1, 2, [("", 1, 2)]),
    ],
)
def test_states_differ_at_paths(before: Any, after: Any, expected: list[tuple[str, Any, Any]]) -> None:
    assert [(one.path, one.before, one.after) for one in differences(before, after)] == expected


def test_the_number_of_differences_is_limited() -> None:
    assert len(differences([0] * 1_000, [1] * 1_000)) == DIFFERENCES_MAX


def test_a_role_includes_the_ones_before_it() -> None:
    roles = ("view", "operate", "correct")
    may = {role: [other for other in roles if Operator("ann", role).may(other)] for role in roles}
    assert may == {"view": ["view"], "operate": ["view", "operate"], "correct": ["view", "operate", "correct"]}
