"""The structure of the code: the direction of imports, limits of length, and what the library may not use."""

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
FOLDER_FILES_MAX = 16  # without its __init__.py

# A package may import those below it in this list, never those above. "shell" is src/actorium itself, its modules for
# everybody; its folders, and `inspection` beside the command line that it serves, are layers of their own.
LAYERS = ["store", "actors", "runtime", "sagas", "shell", "testing", "simulation", "console", "commands", "examples"]
LAYERS += ["benchmarks"]
COMMAND_LINE = ("actorium.inspection", "actorium.user_code.targets", "actorium.__main__", "actorium.commands")
LIBRARY = ["store", "actors", "runtime", "sagas", "src/actorium"]
DETERMINISTIC = ["store", "actors", "runtime", "sagas"]

# The shell's commands that start an example or the suite reach upwards, when they are called.
UPWARD = {
    "src/actorium/commands/bench.py": "`actorium bench` runs the suite",
    "src/actorium/commands/prove/crash.py": "`actorium prove crash` runs an example",
    "src/actorium/commands/prove/cluster.py": "`actorium prove cluster` runs an example",
    "src/actorium/commands/prove/postgresql.py": "`actorium prove postgresql` runs an example",
    "src/actorium/commands/prove/faults.py": "it shows what an example has found",
}

# Sources of time, chance and threads. A simulated run is the same code only if none of them is used directly.
NONDETERMINISTIC_MODULES = {"time", "random", "uuid", "secrets", "threading", "concurrent", "multiprocessing"}
NONDETERMINISTIC_CALLS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
NONDETERMINISTIC_CALLS |= {"os.urandom", "os.getrandom"}
THREADED_CALLS = {"to_thread", "run_in_executor"}
ALLOWED = {
    "runtime/lifecycle.py": "a caller on the wrong thread is refused",
    "store/source.py": "the one injected source of time, ids and randomness",
    "store/sqlite/": "a store adapter: the database uses its own threads",
    "store/postgresql/connections/keys.py": "a key store is synchronous, so its connection has a thread",
    "store/personal/": "keys are random, and a key store is waited for in a thread",
}

# In two halves, so that this file does not hold them itself.
MARKERS = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK:"]
VAGUE_ENDINGS = ("Manager", "Helper", "Helpers", "Util", "Utils", "Impl")


class Module:
    """One library module: where it is, what it is called, what it imports, for its types only too."""

    def __init__(self, root: Path, path: str) -> None:
        self.path = path
        self.tree = ast.parse((root / path).read_text(encoding="utf-8"), path)
        self.name = module_name(path)
        self.imports = list(imported(self.tree))
        self.at_import_time = list(imported(self.tree, into_functions=False))


def module_name(path: str) -> str:
    """`store/events.py` is `actorium.store.events` once it is installed."""
    parts = Path(path).with_suffix("").parts
    parts = parts[1:] if parts[0] == "src" else ("actorium", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(name: str) -> str:
    """The layer of a module, given its installed name."""
    parts = name.split(".")
    if name.startswith(COMMAND_LINE):
        return "commands"
    return parts[1] if len(parts) > 1 and parts[1] in LAYERS else "shell"


def is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def imported(node: ast.AST, *, into_functions: bool = True) -> Iterator[tuple[int, int, str, str]]:
    """Line, relative level, module and name of every import, those for types only included.

    Without `into_functions` it is those that are carried out when the module is imported.
    """
    for child in ast.iter_child_nodes(node):
        if not into_functions and isinstance(child, ast.If) and is_type_checking(child.test):
            continue
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield child.lineno, 0, alias.name, ""
        elif isinstance(child, ast.ImportFrom):
            for alias in child.names:
                yield child.lineno, child.level, child.module or "", alias.name
        elif into_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imported(child, into_functions=into_functions)


def within(path: str, folders: list[str]) -> bool:
    return any(path.startswith(f"{folder}/") for folder in folders)


@pytest.fixture(scope="module")
def modules(root: Path, python_files: list[str]) -> dict[str, Module]:
    """Every installed module, by its installed name."""
    found = [Module(root, path) for path in python_files if within(path, [*LIBRARY, *LAYERS])]
    return {module.name: module for module in found}


def targets(module: str, name: str, modules: dict[str, Module]) -> str:
    """`from actorium.store import events` means the module events, not only the package."""
    return f"{module}.{name}" if f"{module}.{name}" in modules else module


def test_imports_run_one_way(modules: dict[str, Module]) -> None:
    wrong = [
        f"{module.path}:{line}: {layer(module.name)} may not import {target}"
        for module in modules.values()
        if module.path not in UPWARD
        for line, _, package, name in module.imports
        if package.split(".")[0] == "actorium"
        for target in [targets(package, name, modules)]
        if LAYERS.index(layer(target)) > LAYERS.index(layer(module.name))
    ]
    assert wrong == []


def test_the_shell_reaches_upwards_only_inside_functions(modules: dict[str, Module]) -> None:
    wrong = [
        f"{module.path}:{line}: import {package} inside the function that needs it"
        for module in modules.values()
        if module.path in UPWARD
        for line, _, package, _ in module.at_import_time
        if package.startswith(("actorium.examples", "actorium.benchmarks"))
    ]
    assert wrong == []


def test_there_are_no_import_cycles(modules: dict[str, Module]) -> None:
    graph = {
        module.name: {targets(package, name, modules) for _, _, package, name in module.imports}
        for module in modules.values()
    }
    known = {name: {target for target in graph[name] if target in graph} - {name} for name in graph}
    try:
        TopologicalSorter(known).prepare()
    except CycleError as error:
        pytest.fail("these import each other: " + " <- ".join(error.args[1]))


@pytest.mark.parametrize(
    "package",
    ["store", "store.postgresql", "store.sqlite", "actors", "runtime", "sagas", "simulation", "benchmarks"],
)
def test_no_folder_imports_what_imports_it(modules: dict[str, Module], package: str) -> None:
    """Inside a package, its folders and the files beside them depend on each other in one direction."""
    whole = f"actorium.{package}"

    def room(name: str) -> str:
        return name.removeprefix(f"{whole}.").split(".")[0]

    rooms: dict[str, set[str]] = {}
    for module in modules.values():
        if module.path in UPWARD or not module.name.startswith(f"{whole}."):
            continue
        found = {targets(imported, name, modules) for _, _, imported, name in module.imports}
        inside = {room(target) for target in found if target.startswith(f"{whole}.") and target in modules}
        rooms.setdefault(room(module.name), set()).update(inside - {room(module.name)})
    try:
        TopologicalSorter(rooms).prepare()
    except CycleError as error:
        pytest.fail("these import each other: " + " <- ".join(error.args[1]))


def test_imports_are_absolute_and_by_the_installed_name(modules: dict[str, Module]) -> None:
    folders = set(LAYERS)
    wrong = [
        f"{module.path}:{line}: write `from actorium.…`, not {'.' * level}{package}"
        for module in modules.values()
        for line, level, package, _ in module.imports
        if level or package.split(".")[0] in folders
    ]
    assert wrong == []


def test_files_are_short(root: Path, python_files: list[str]) -> None:
    lengths = {path: len((root / path).read_text(encoding="utf-8").splitlines()) for path in python_files}
    assert {path: lines for path, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


def test_folders_are_small(python_files: list[str]) -> None:
    folders = Counter(
        str(Path(path).parent)
        for path in python_files
        if within(path, [*LIBRARY, "benchmarks"]) and not path.endswith("/__init__.py")
    )
    assert {folder: files for folder, files in folders.items() if files > FOLDER_FILES_MAX} == {}


def test_functions_are_short(root: Path, python_files: list[str]) -> None:
    too_long = [
        f"{path}:{node.lineno}: {node.name} has {lines} lines"
        for path in python_files
        for node in ast.walk(ast.parse((root / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for lines in [(node.end_lineno or node.lineno) - node.lineno + 1]
        if lines > FUNCTION_LINES_MAX
    ]
    assert too_long == []


def nondeterminism(module: Module) -> Iterator[str]:
    for line, _, package, name in module.imports:
        direct = f"{package}.{name}" in NONDETERMINISTIC_CALLS or name in THREADED_CALLS
        if direct or package.split(".")[0] in NONDETERMINISTIC_MODULES:
            yield f"{module.path}:{line}: imports {package} {name}".rstrip()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute):
            dotted = ".".join(ast.unparse(node).split(".")[-2:])
            if dotted in NONDETERMINISTIC_CALLS or node.attr in THREADED_CALLS:
                yield f"{module.path}:{node.lineno}: uses {dotted}"


def test_time_chance_and_threads_come_from_the_injected_source(modules: dict[str, Module]) -> None:
    found = [
        use
        for module in modules.values()
        if within(module.path, DETERMINISTIC) and not module.path.startswith(tuple(ALLOWED))
        for use in nondeterminism(module)
    ]
    assert found == []


def test_every_exemption_is_still_needed(root: Path) -> None:
    assert [path for path in [*UPWARD, *ALLOWED] if not (root / path).exists()] == []


def test_nothing_is_marked_as_unfinished(root: Path, project_files: list[str]) -> None:
    marked = [
        f"{path}:{number}: {marker}"
        for path in project_files
        if path.endswith((".py", ".md", ".toml", ".sql", ".yml", "Makefile"))
        for number, line in enumerate((root / path).read_text(encoding="utf-8").splitlines(), 1)
        for marker in MARKERS
        if marker in line
    ]
    assert marked == []


def test_the_library_never_prints(modules: dict[str, Module]) -> None:
    printing = [
        f"{module.path}:{node.lineno}"
        for module in modules.values()
        if within(module.path, LIBRARY)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def test_names_are_descriptive(modules: dict[str, Module]) -> None:
    vague = [
        f"{module.path}:{node.lineno}: {node.name}"
        for module in modules.values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith(VAGUE_ENDINGS)
    ]
    assert vague == []


def test_class_names_are_unique(modules: dict[str, Module]) -> None:
    places: dict[str, list[str]] = {}
    for module in modules.values():
        if layer(module.name) != "examples":
            for node in ast.walk(module.tree):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places.setdefault(node.name, []).append(f"{module.path}:{node.lineno}")
    shared = {name: found for name, found in places.items() if len(found) > 1}
    assert shared == {}
