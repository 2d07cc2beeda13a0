"""The README documents every key of `--json` and every option."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
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
    ModelLoaded,
    ThreadCounts,
)
from app.engine.need import MemoryNeed
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

README = (Path(__file__).resolve().parents[3] / "README.md").read_text("utf-8")


PRINTED = (
    AnswerStatistics, BenchResult, Converted, Difference, Downloaded, DraftCheck, DraftFigures, DraftLoaded,
    DraftCandidate, DraftSuggestion, FitVerdict, GgufHeader, ImportanceCollected,
    MemoryBudget, MemoryNeed, ModelEntry, ModelLoaded, Quality, Quantized, ThreadCounts, Verified,
    Pruned, Recovered, RecoveryPlanned, RecipePlanned, StepPlan, ResultPlan, DraftMade,
    TensorRow, TensorLook, Histogram, MethodError, ChannelPicture, GroupCost, TypesSuggested,
)  # fmt: skip


def is_documented(names: Iterable[str]) -> bool:
    rows = [line for line in README.partition("### JSON")[2].splitlines() if line.startswith("|")]
    return any(all(f"`{name}`" in row for name in names) for row in rows)


@pytest.mark.parametrize("printed", PRINTED)
def test_every_key_is_documented(printed: type) -> None:
    names = [field.name for field in dataclasses.fields(printed)]
    assert is_documented(names), names


def test_every_key_of_an_origin_is_documented() -> None:
    names = origin_as_dict(FileOrigin("", 0))
    assert {"recipe", "altered", "steps"} <= names.keys()
    assert is_documented(names)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_named(command: str) -> None:
    parser = argparse.ArgumentParser(add_help=False)
    importlib.import_module(f"app.commands.{command.replace('-', '_')}").configure(parser)
    options = [option for action in parser._actions for option in action.option_strings]
    assert [option for option in options if f"`{option}" not in README] == []
