"""The configuration of the documentation's site: `make docs` builds it into build/docs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent

project = "Actorium"
author = "the authors of Actorium"
release = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["build"]
nitpicky = False
default_role = "code"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"Actorium {release}"
html_show_copyright = False
html_copy_source = False
html_extra_path = ["llms.txt"]
html_search_scorer = str(_ROOT / "docs" / "search_scorer.js")

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_class_signature = "mixed"

# The docstrings of this project describe a parameter in a line of its own, `name: meaning`.
_PARAMETERS = re.compile(r"^(?P<names>\w+(?:, \w+)*): (?P<text>.*)$")


def _as_rst(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Turn the lines that describe parameters into fields, and indented examples into literal blocks."""
    written: list[str] = []
    is_code = False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        before = written[-1] if written else ""
        if is_code:
            is_code = not line or indent >= 4
        elif line and indent >= 4 and (not before or before.endswith(":")) and not _is_field(written):
            written += ["", "::", ""] if before else ["::", ""]
            is_code = True
        found = _PARAMETERS.match(line) if what != "module" and not is_code else None
        if found is not None:
            if before and not before.startswith((":", " ")):
                written.append("")
            line = f":param {found['names']}: {found['text']}"
        written.append(line)
    lines[:] = written


def _is_field(written: list[str]) -> bool:
    return next((line.startswith(":") for line in reversed(written) if line and not line.startswith(" ")), False)


def setup(app: Any) -> None:
    """Register the treatment of docstrings."""
    app.connect("autodoc-process-docstring", _as_rst)
