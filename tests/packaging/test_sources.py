"""House rules that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections import Counter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
LONGEST_FILE = 600
LONGEST_FUNCTION = 40
PROGRAM = ("app", "workers", "ui")
CATCH_EVERYTHING = {
    "workers/child.py": "a boundary: the failure of a request is told to the window",
    "workers/tasks.py": "a boundary: the failure of a task is told to the window",
    "app/engine/template.py": "a chat template is a stranger's program",
    "app/hub/token.py": "each keyring raises errors of its own libraries",
    "app/prune/prune.py": "tokenizers raises a bare Exception",
    "app/quantize/importance_file.py": "gguf raises whatever numpy raises",
}
"""Where `except Exception` stands, once in each, and why."""


def sources() -> list[Path]:
    """The Python files that git knows, or all where this is not a checkout."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=PROJECT, capture_output=True, text=True)
    names = listed.stdout.splitlines() if listed.returncode == 0 else []
    found = [PROJECT / name for name in names] or [
        path for folder in ("app", "workers", "ui", "packaging", "tests") for path in (PROJECT / folder).rglob("*.py")
    ]
    return [path for path in found if path.exists()]


def test_files_are_short() -> None:
    long = [path.relative_to(PROJECT).as_posix() for path in too_long(sources(), LONGEST_FILE)]
    assert long == [], "longer than 600 lines"


def test_a_long_file_would_be_found() -> None:
    assert len(sources()) > 20
    assert too_long([Path(__file__)], 10) == [Path(__file__)]


def too_long(paths: list[Path], most: int) -> list[Path]:
    return [path for path in paths if len(path.read_text("utf-8").splitlines()) > most]


def test_functions_are_short() -> None:
    found = [f"{path.name}: {name}" for path in of_the_program() for name in long_functions(path.read_text("utf-8"))]
    assert found == [], "longer than 40 lines"


def test_a_long_function_would_be_found() -> None:
    lines = "    pass\n"
    assert long_functions("def short():\n" + lines * 39) == []
    assert long_functions("class A:\n  def long():\n" + lines * 40) == ["long"]


def long_functions(source: str) -> list[str]:
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    return [one.name for one in functions if (one.end_lineno or 0) - one.lineno >= LONGEST_FUNCTION]


def of_the_program() -> list[Path]:
    return [path for path in sources() if path.relative_to(PROJECT).parts[0] in PROGRAM]


def test_every_exception_is_caught_only_where_it_is_said_why() -> None:
    caught = {
        path.relative_to(PROJECT).as_posix(): catches["Exception"]
        for path in of_the_program()
        if (catches := wide_catches(path.read_text("utf-8")))["Exception"]
    }
    assert caught == dict.fromkeys(CATCH_EVERYTHING, 1)


def test_what_cleans_up_raises_again() -> None:
    kept = [path.name for path in of_the_program() if wide_catches(path.read_text("utf-8"))["kept"]]
    assert kept == ["activations.py"], "it is called from C, and what it kept is raised after"


def test_a_wide_catch_would_be_found() -> None:
    assert wide_catches("try: ...\nexcept Exception as error: ...\n") == {"Exception": 1}
    assert wide_catches("try: ...\nexcept (ValueError, Exception): ...\n") == {"Exception": 1}
    assert wide_catches("try: ...\nexcept BaseException:\n  clean()\n  raise\n") == {}
    assert wide_catches("try: ...\nexcept BaseException: ...\n") == {"kept": 1}
    assert wide_catches("try: ...\nexcept: ...\n") == {"kept": 1}
    assert wide_catches("try: ...\nexcept (ValueError, OSError): ...\n") == {}


def wide_catches(source: str) -> Counter[str]:
    """How often `except Exception` stands there, and how often what catches even more does not raise it again."""
    found: Counter[str] = Counter()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler):
            names = ast.unparse(node.type).strip("()").split(", ") if node.type else ["BaseException"]
            last = node.body[-1]
            found["Exception"] += "Exception" in names
            found["kept"] += "BaseException" in names and not (isinstance(last, ast.Raise) and last.exc is None)
    return +found


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "resources/NOTICES.md"])
def test_the_papers_are_there(name: str) -> None:
    assert (PROJECT / name).stat().st_size > 500


def test_the_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text("utf-8").splitlines()) < 150, "the reference is docs/cli.md"


def test_every_dependency_is_imported() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    wanted = {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in settings["project"]["dependencies"]}
    texts = [path.read_text("utf-8") for path in of_the_program()]
    assert wanted - packages_imported(texts) == set()


def test_a_dependency_that_nothing_imports_would_be_found() -> None:
    assert packages_imported(["import numpy as np\nfrom PySide6.QtCore import QObject\n"]) >= {
        "numpy",
        "pyside6-essentials",
    }
    assert packages_imported(['spec = find_spec("llama_cpp")  # not tokenizers']) == {"llama-cpp-python"}


def packages_imported(texts: list[str]) -> set[str]:
    """The installed packages of which these sources import a module, also one that is imported by its name."""
    statement = re.compile(r"^\s*(?:from|import) (\w+)|(?:import_module|find_spec)\(\"(\w+)", re.MULTILINE)
    modules = {module for text in texts for groups in statement.findall(text) for module in groups if module}
    owners = packages_distributions()
    return {owner.lower().replace("_", "-") for module in modules for owner in owners.get(module, ())}


def test_a_share_is_written_in_one_way() -> None:
    """With a space, by `app.units.percent`: "41 %"."""
    found = [path.name for path in of_the_program() if percent_format(path.read_text("utf-8"))]
    assert found == ["work.py"], "a folder's name has no percent sign"


def test_a_share_written_in_another_way_would_be_found() -> None:
    assert percent_format('f"{share:.0%}"')
    assert percent_format("f'{a / b:.1%} less'")
    assert not percent_format('f"{percent(share)} of 100 %"')


def percent_format(text: str) -> bool:
    return re.search(r"\{[^{}]+:\.\d%\}", text) is not None


def test_every_signal_says_its_types() -> None:
    """`Signal(object)` is for what Qt has no type for, and then the type stands beside it."""
    found = [
        f"{path.name}: {line.strip()}"
        for path in of_the_program()
        for line in path.read_text("utf-8").splitlines()
        if untyped_signal(line)
    ]
    assert found == []


def untyped_signal(line: str) -> bool:
    return "Signal(object)" in line and "#" not in line


def test_an_untyped_signal_is_seen() -> None:
    assert untyped_signal("    picked = Signal(object)")
    assert not untyped_signal("    picked = Signal(object)  # Path | None")
