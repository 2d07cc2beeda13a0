"""No file and no package imports, over whatever way, something that imports it: each can be read before the next."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
Graph = Mapping[str, set[str]]


def import_graph(root: Path) -> dict[str, set[str]]:
    """For each module of app, workers and ui the modules of them that it imports when it is imported itself.

    What a function imports when it is called, and what only a type checker sees, is not of it.
    """
    paths = {name_of(path, root): path for top in ("app", "workers", "ui") for path in (root / top).rglob("*.py")}
    return {name: imported(path, paths) - {name} for name, path in paths.items()}


def name_of(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path, known: Iterable[str]) -> set[str]:
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found & set(known)


def circles(graph: Graph) -> list[list[str]]:
    """The groups of nodes that reach each other, each sorted (Tarjan's strongly connected components)."""
    found, stack, index, low = [], [], {}, {}

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def of_packages(graph: Graph) -> dict[str, set[str]]:
    """The same imports between packages two levels deep: `app.engine`, `ui.chat`; loose files are their own."""
    packages: dict[str, set[str]] = {}
    for name, others in graph.items():
        own = package_of(name)
        packages.setdefault(own, set()).update({package_of(other) for other in others} - {own})
    return packages


def package_of(name: str) -> str:
    return ".".join(name.split(".")[:2])


def test_no_file_is_in_a_circle() -> None:
    graph = import_graph(PROJECT)
    assert len(graph) > 200
    assert circles(graph) == []


def test_no_package_is_in_a_circle() -> None:
    assert circles(of_packages(import_graph(PROJECT))) == []


def test_a_circle_would_be_found(tmp_path: Path) -> None:
    sources = {
        "app/one/a.py": "from app.two.b import x",
        "app/two/b.py": "import app.one.c",
        "app/one/c.py": "",
        "ui/d.py": "from ui import e",
        "ui/e.py": "from ui.f import g",
        "ui/f.py": "import ui.d",
    }
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    graph = import_graph(tmp_path)
    assert circles(graph) == [["ui.d", "ui.e", "ui.f"]]
    assert ["app.one", "app.two"] in circles(of_packages(graph)), "two packages, though no file of them is in a circle"
