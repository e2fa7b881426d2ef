"""The files of a new project, rendered from the templates beside this module."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

PARTS = frozenset({"saga", "projection", "web", "simulation", "workflow"})

# Template, without its ending; file in the project; the part it belongs to, if it can be left out.
_FILES = (
    ("pyproject.toml", "pyproject.toml", None),
    ("Makefile", "Makefile", None),
    ("README.md", "README.md", None),
    ("gitignore", ".gitignore", None),
    ("workflow.yml", ".github/workflows/test.yml", "workflow"),
    ("package/__init__.py", "{name}/__init__.py", None),
    ("package/__main__.py", "{name}/__main__.py", None),
    ("package/accounts.py", "{name}/accounts.py", None),
    ("package/transfers.py", "{name}/transfers.py", "saga"),
    ("package/balances.py", "{name}/balances.py", "projection"),
    ("package/runtime.py", "{name}/runtime.py", None),
    ("package/web.py", "{name}/web.py", "web"),
    ("tests/test_accounts.py", "tests/test_accounts.py", None),
    ("tests/test_runtime.py", "tests/test_runtime.py", None),
    ("tests/test_transfers.py", "tests/test_transfers.py", "saga"),
    ("tests/test_balances.py", "tests/test_balances.py", "projection"),
    ("tests/test_web.py", "tests/test_web.py", "web"),
    ("tests/test_simulation.py", "tests/test_simulation.py", "simulation"),
)


def project_files(name: str, parts: frozenset[str], version: str) -> dict[str, str]:
    """Return the text of each file of a project, by its path in the project.

    name: the project's name, and its package's.
    parts: those of PARTS that the project contains.
    version: the oldest version of Actorium that the project runs with.
    """
    environment = Environment(
        loader=PackageLoader(__package__),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    values = {"name": name, "version": version, **{f"with_{part}": part in parts for part in PARTS}}
    values["imports"] = ", ".join(["fastapi", "httpx"] * ("web" in parts) + ["pytest", "pytest_asyncio"])
    return {
        path.format(name=name): environment.get_template(f"{template}.jinja").render(values)
        for template, path, part in _FILES
        if part is None or part in parts
    }
