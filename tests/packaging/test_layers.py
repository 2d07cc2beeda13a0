"""The contracts on imports: each is broken on purpose once, in a small copy of the tree, to show that it holds."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
LINT = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
TREE = {
    "app/__main__.py": "import sys\ndef main():\n    from ui.app import main\n    from workers.child import main\n",
    "app/engine/llama.py": "",
    "app/engine/session.py": "from app.engine import llama",
    "app/operations.py": "",
    "workers/child.py": "from app import operations\nfrom workers import protocol\ndef main(): ...\n",
    "workers/protocol.py": "from app import operations",
    "workers/process.py": "from PySide6 import QtCore\nfrom workers import protocol\n",
    "ui/app.py": "from ui.program import Program\ndef main(): ...\n",
    "ui/program.py": "from PySide6 import QtWidgets\nfrom workers import process\n",
}


def rooms() -> dict[str, str]:
    """An empty file for each package that the contracts put in an order."""
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = [layer for contract in contracts if contract["id"].startswith("rooms") for layer in contract["layers"]]
    names = [name for layer in layers for name in layer.split(" | ")]
    names += [name for contract in contracts for name in contract.get("source_modules", ()) if "." in name]
    return {name.replace(".", "/") + ("/__init__.py" if is_package(name) else ".py"): "" for name in names}


def is_package(name: str) -> bool:
    return (PROJECT / name.replace(".", "/")).is_dir()


def lint(folder: Path, changes: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Check a tree with the project's own contracts."""
    for name, source in {**rooms(), **TREE, **changes}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        for package in (*path.relative_to(folder).parents,)[:-1]:
            (folder / package / "__init__.py").touch()
    command = [sys.executable, "-c", LINT, "--no-cache", "--no-logo", "--config", str(PROJECT / "pyproject.toml")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_tree_that_keeps_to_them_passes(tmp_path: Path) -> None:
    result = lint(tmp_path, {})
    assert result.returncode == 0, result.stdout
    assert "7 kept, 0 broken" in result.stdout


@pytest.mark.parametrize(
    ("broken", "changes"),
    [
        ("ui -> workers -> app", {"app/operations.py": "import workers.protocol"}),
        ("ui -> workers -> app", {"workers/process.py": "import ui.program"}),
        ("app: each package knows only those below it", {"app/hub/search.py": "from app.fit import verdict"}),
        ("app: each package knows only those below it", {"app/prune/ffn.py": "from app.inspect import tensors"}),
        ("ui: each package knows only those below it", {"ui/widgets/row.py": "from ui.chat import page"}),
        ("ui: each package knows only those below it", {"ui/chat/page.py": "from ui.drafts import choice"}),
        ("Only ui.app knows the program", {"ui/startup/restore.py": "from ui.program import Program"}),
        ("app and the child know no Qt", {"app/operations.py": "from PySide6.QtCore import QObject"}),
        ("app and the child know no Qt", {"workers/protocol.py": "from workers import process"}),
        ("The window's process loads no engine", {"workers/process.py": "from app.engine import session"}),
        ("The window's process loads no engine", {"ui/app.py": "def main():\n    import torch\n"}),
        ("Nothing imports llama.cpp's binding", {"app/engine/session.py": "import llama_cpp"}),
    ],
)
def test_breaking_one_fails(tmp_path: Path, broken: str, changes: dict[str, str]) -> None:
    result = lint(tmp_path, changes)
    assert result.returncode == 1
    assert any(line.startswith(broken) and "BROKEN" in line for line in joined(result.stdout)), result.stdout


def joined(output: str) -> list[str]:
    """The lines of the report, with names that were wrapped put together again."""
    return output.replace("in \n", "in ").replace("at run\n", "at run ").splitlines()
