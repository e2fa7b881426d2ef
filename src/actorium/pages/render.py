"""`render`: render a page from a package's template and the shared templates.

Every value is escaped unless the template marks it as safe, and an undefined name raises an error.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def render(package: str, template: str, **values: Any) -> str:
    """Return a page.

    package: the importable name of a package; its folder `templates` contains the template, the style sheet `page.css`
        and the files they include.
    template: the template's file name there; it extends `base.html`.
    values: the template's variables.
    """
    return _environment(package).get_template(template).render(values)


@lru_cache(8)
def _environment(package: str) -> Environment:
    return Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(__package__)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
