"""A page escapes its values, has the style of the calling package, and reports missing values."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import TemplateNotFound, UndefinedError

from actorium.pages.render import render

TEMPLATE = """{% extends "base.html" %}
{% from "tables.html" import cells, facts %}
{% block title %}{{ name }}{% endblock %}
{% block content %}
<p title="{{ name }}">{{ name }}</p>
<table>{{ cells([[name]]) }}{{ facts([(name, name)]) }}</table>
{% endblock %}
"""
HARMFUL = "<b a=\"1\" c='2'>&"
ESCAPED = "&lt;b a=&#34;1&#34; c=&#39;2&#39;&gt;&amp;"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """A package with its own page."""
    name = f"pages_of_{request.node.name}"
    templates = tmp_path / name / "templates"
    templates.mkdir(parents=True)
    (tmp_path / name / "__init__.py").touch()
    (templates / "page.html").write_text(TEMPLATE)
    (templates / "page.css").write_text("p > b { color: red; }\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def test_values_are_escaped_everywhere_and_the_style_is_not(package: str) -> None:
    html = render(package, "page.html", name=HARMFUL)
    assert HARMFUL not in html
    assert html.count(ESCAPED) == 6
    assert "p > b { color: red; }" in html


def test_a_missing_value_is_an_error(package: str) -> None:
    with pytest.raises(UndefinedError, match="'name' is undefined"):
        render(package, "page.html")


def test_a_package_without_a_style_sheet_has_no_page(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "templates" / "page.css").unlink()
    with pytest.raises(TemplateNotFound, match=r"page\.css"):
        render(package, "page.html", name="x")
