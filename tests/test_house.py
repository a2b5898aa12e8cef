"""The house keeps its own rules: packages, imports, docstrings, examples, the length of files."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("features", "flows", "learners")
HEAVY = ("pyarrow", "pandas", "feast", "bytewax", "river", "polars", "duckdb", "sklearn")
MAX_LINES = 400


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("nextbest", *(part for part in parts if part != "__init__")))


def modules() -> list[str]:
    found = [f"nextbest.{package}" for package in PACKAGES]
    for name in list(found):
        package = importlib.import_module(name)
        walked = pkgutil.walk_packages(package.__path__, f"{name}.")
        found += [module.name for module in walked]
    return sorted(found)


MODULES = modules()


def load(name: str) -> types.ModuleType:
    """Import a module; skip what only an extra brings."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("nextbest"):
            raise
        pytest.skip(f"needs {error.name}")


def test_every_package_on_disk_is_in_the_wheel() -> None:
    """An unlisted one is missing from the wheel without a word."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    on_disk = {dotted(path) for path in sources() if path.name == "__init__.py"}
    assert sorted(listed) == sorted(on_disk)
    holding = {dotted(path.parent / "__init__.py") for path in sources()}
    assert holding == on_disk


def test_every_module_is_found() -> None:
    assert sorted({dotted(path) for path in sources()}) == MODULES


def loaded_by(statement: str) -> set[str]:
    """The heavy packages that a fresh interpreter has after a statement."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import nextbest.features, nextbest.features.online", HEAVY),
        ("import nextbest.features.state, nextbest.features.delta_log", HEAVY),
        ("import nextbest.learners", ("pyarrow", "feast", "bytewax", "pandas", "redis", "river")),
        (
            "import nextbest.flows.pipeline, nextbest.flows.run, nextbest.flows.sources",
            ("feast", "pandas", "polars", "duckdb", "rich", "typer"),
        ),
        (
            "import nextbest.flows.service.serving, nextbest.flows.commands.serve",
            ("feast", "pandas", "bytewax", "river", "pyarrow", "polars", "duckdb", "rich"),
        ),
        ("import nextbest.flows.settings, nextbest.flows.embedded", ("feast", "pandas", "river")),
    ],
)
def test_an_import_brings_only_what_it_must(statement: str, forbidden: tuple[str, ...]) -> None:
    found = loaded_by(statement)
    assert "numpy" in found or "msgspec" in found
    assert sorted(found & set(forbidden)) == []


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Every import of a file: how many dots it goes up, and what it names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            yield from ((node.level, f"{base}.{a.name}".strip(".")) for a in node.names)


def absolute(path: Path, level: int, name: str) -> str:
    if not level:
        return name
    package = dotted(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    return ".".join([*package[: len(package) - level + 1], name])


@pytest.mark.parametrize(
    ("package", "others"),
    [("learners", ("features", "flows")), ("features", ("learners", "flows"))],
)
def test_arrows_go_one_way(package: str, others: tuple[str, ...]) -> None:
    for path in sorted((ROOT / package).rglob("*.py")):
        for level, name in imported(path):
            target = absolute(path, level, name)
            assert not target.startswith(tuple(f"nextbest.{other}" for other in others)), path


def test_imports_inside_the_house_are_relative() -> None:
    """`import features` works from the repository's root, and makes every class a second time."""
    for path in sources():
        for level, name in imported(path):
            first = name.partition(".")[0]
            assert level or first not in (*PACKAGES, "nextbest"), f"{path}: import of {name}"
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for level, name in imported(path):
            first = name.partition(".")[0]
            assert level or first not in PACKAGES, f"{path}: import of {name}"


def test_feast_and_the_engine_stay_where_they_belong() -> None:
    shown = ("flows/demo/", "flows/commands/")
    plugin = ("features/feast_plugin/", *shown)
    files = (
        "pipeline",
        "steps",
        "loop_flow",
        "loop_steps",
        "trigger_flow",
        "run",
        "owned",
        "recovered",
        "worker",
    )
    adapters = ("flows/sources/", "flows/sinks/", *(f"flows/{name}.py" for name in files), *shown)
    for path in sources():
        place = path.relative_to(ROOT).as_posix()
        names = {name.partition(".")[0] for level, name in imported(path) if not level}
        assert not names & {"feast", "pandas"} or place.startswith(plugin), path
        assert "bytewax" not in names or place.startswith(adapters), path


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(load(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
    assert not list(tmp_path.iterdir())


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    names = [n for n in MODULES if "feast_plugin" not in n and "commands" not in n]
    counted = [len(test.examples) for name in names for test in finder.find(load(name))]
    assert sum(counted) > 100


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_a_docstring(name: str) -> None:
    module = load(name)
    path = Path(inspect.getsourcefile(module) or "")
    if path.read_text().strip():
        assert module.__doc__, name
    for public in getattr(module, "__all__", ()):
        found = getattr(module, public)
        if isinstance(found, types.ModuleType) or callable(found):
            assert inspect.getdoc(found), f"{name}.{public}"
            # A dataclass without one is given its signature.
            assert not (inspect.getdoc(found) or "").startswith(f"{public}("), f"{name}.{public}"


def test_no_file_is_longer_than_a_person_reads() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in sources()}
    assert {str(p): n for p, n in lengths.items() if n > MAX_LINES} == {}


def test_no_loose_ends() -> None:
    words = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|\bbreakpoint\(|\bprint\(")
    for path in sources():
        if path.parts[-2] in ("commands", "demo") or path.name == "cli.py":
            continue  # these speak to a person
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code = line.lstrip()
            if not code.startswith((">>>", "...")):
                assert not words.search(line), f"{path}:{number}: {line}"


def test_types_are_shipped() -> None:
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").exists()
