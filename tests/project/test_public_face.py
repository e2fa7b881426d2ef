"""The public interface: the names that `import actorium` promises exist, in order and documented."""

import inspect
import pydoc

import pytest

import actorium


def test_names_are_listed_once_in_order() -> None:
    assert list(actorium.__all__) == sorted(set(actorium.__all__))


def test_every_listed_name_exists() -> None:
    assert [name for name in actorium.__all__ if not hasattr(actorium, name)] == []


def explanation(thing: object) -> str:
    """Its own docstring: a class without one must not pass on its parent's."""
    return (vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__) or ""


def test_every_listed_class_and_function_is_explained() -> None:
    things = {name: getattr(actorium, name, None) for name in actorium.__all__}
    explainable = {name: it for name, it in things.items() if inspect.isclass(it) or inspect.isroutine(it)}
    assert [name for name, thing in explainable.items() if not explanation(thing).strip()] == []


def test_every_public_name_of_the_package_is_listed() -> None:
    public = {name for name, thing in vars(actorium).items() if name[0] != "_" and not inspect.ismodule(thing)}
    assert public - set(actorium.__all__) - {"TYPE_CHECKING", "annotations"} == set()


@pytest.mark.parametrize("name", actorium.__all__)
def test_help_explains_every_listed_name(name: str) -> None:
    thing = getattr(actorium, name)
    own = explanation(thing)
    assert own != type(thing).__doc__, f"help({name}) explains {type(thing).__name__}, not {name}"
    assert own.strip().splitlines()[0] in pydoc.render_doc(thing, renderer=pydoc.plaintext)
