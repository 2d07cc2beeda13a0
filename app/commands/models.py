"""`bantam models`: the models on disk, with what their headers say."""

from __future__ import annotations

import argparse
from typing import Any

from app.commands.console import as_dict, print_json
from app.library.library import ModelEntry, scan
from app.library.manifest import FileOrigin
from app.settings import load_settings
from app.system.paths import default_paths
from app.units import size_text


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    paths = default_paths()
    entries = scan(paths, load_settings(paths.settings))
    if parsed.json:
        print_json({"models": [_entry_as_dict(entry) for entry in entries]})
    else:
        print("\n".join(_line(entry) for entry in entries))
    return 0


def origin_as_dict(origin: FileOrigin) -> dict[str, Any]:
    """The origin for `print_json`: how a file was made in words, and the recipe's digest as "steps"."""
    values = as_dict(origin)
    return values | {"recipe": origin.recipe, "altered": origin.altered, "steps": values.pop("digest")}


def _entry_as_dict(entry: ModelEntry) -> dict[str, Any]:
    return as_dict(entry) | {"origin": origin_as_dict(entry.origin) if entry.origin is not None else None}


def _line(entry: ModelEntry) -> str:
    if (header := entry.header) is None:
        return f"{entry.name}: {entry.problem or entry.note} ({entry.path})"
    known = (
        f"{header.architecture}, {header.parameters_str} parameters, {header.quantization}, "
        f"{size_text(entry.size_bytes)}, context {header.context_tokens:,}"
    )
    return f"{entry.name}: {known}{f'. {entry.problem}' if entry.problem else ''} ({entry.path})"
