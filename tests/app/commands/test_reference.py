"""docs/cli.md documents every command, every option and every key of `--json`."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from app.cli import COMMANDS
from app.commands.models import origin_as_dict
from app.convert.messages import Converted
from app.drafts.messages import DraftMade
from app.engine.messages import (
    AnswerStatistics,
    BenchResult,
    Difference,
    DraftCheck,
    DraftFigures,
    DraftLoaded,
    MemoryNeed,
    ModelLoaded,
    ThreadCounts,
)
from app.fit.draft_suggestions import DraftSuggestion
from app.fit.drafts import DraftCandidate
from app.fit.judgement import MemoryBudget
from app.fit.verdict import FitVerdict
from app.hub.messages import Downloaded
from app.inspect.messages import (
    ChannelPicture,
    GroupCost,
    Histogram,
    MethodError,
    TensorLook,
    TensorRow,
    TypesSuggested,
)
from app.library.gguf_file import GgufHeader
from app.library.library import ModelEntry
from app.library.manifest import FileOrigin
from app.library.messages import Verified
from app.measure.messages import Quality
from app.prune.messages import Pruned
from app.quantize.messages import ImportanceCollected, Quantized
from app.recipe.messages import RecipePlanned, ResultPlan, StepPlan
from app.recover.messages import Recovered, RecoveryPlanned

REFERENCE = (Path(__file__).resolve().parents[3] / "docs/cli.md").read_text("utf-8")


PRINTED = (
    AnswerStatistics, BenchResult, Converted, Difference, Downloaded, DraftCheck, DraftFigures, DraftLoaded,
    DraftCandidate, DraftSuggestion, FitVerdict, GgufHeader, ImportanceCollected,
    MemoryBudget, MemoryNeed, ModelEntry, ModelLoaded, Quality, Quantized, ThreadCounts, Verified,
    Pruned, Recovered, RecoveryPlanned, RecipePlanned, StepPlan, ResultPlan, DraftMade,
    TensorRow, TensorLook, Histogram, MethodError, ChannelPicture, GroupCost, TypesSuggested,
)  # fmt: skip


def is_documented(names: Iterable[str]) -> bool:
    return any(all(f"`{name}`" in row for name in names) for row in rows("JSON"))


@pytest.mark.parametrize("printed", PRINTED)
def test_every_key_is_documented(printed: type) -> None:
    names = [field.name for field in dataclasses.fields(printed)]
    assert is_documented(names), names


def test_every_key_of_an_origin_is_documented() -> None:
    names = origin_as_dict(FileOrigin("", 0))
    assert {"recipe", "altered", "steps"} <= names.keys()
    assert is_documented(names)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_stands_in_the_row_of_its_command(command: str) -> None:
    parser = argparse.ArgumentParser(add_help=False)
    importlib.import_module(f"app.commands.{command.replace('-', '_')}").configure(parser)
    options = set(re.findall(r"--[a-z0-9-]+", parser.format_usage()))
    assert options == documented(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_described(command: str) -> None:
    assert any(row.startswith(f"| `bantam {command}") for row in REFERENCE.splitlines())


def documented(command: str) -> set[str]:
    """The options that stand in the row of a command, and in the rows that it refers to."""
    named = {row.split("|")[1].strip(): row for row in rows("Options")}
    row = named.get(f"`{command}`", "")
    row += named["to load a model"] if "those to load" in row else ""
    row += named["to draft"] if "and to draft" in row else ""
    row = row.replace("`--tensor` options for `quantize`", "")
    return set(re.findall(r"`(--[a-z0-9-]+)", row))


def rows(heading: str) -> list[str]:
    section = REFERENCE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("|")]
