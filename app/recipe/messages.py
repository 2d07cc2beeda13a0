"""What is asked of a recipe, and what its plan says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.operation import Request


@dataclass(frozen=True, slots=True)
class PlanRecipe(Request):
    """What a recipe (TOML, see app.recipe.recipe) would make of the folder `source`. Reads headers alone."""

    source: Path
    recipe: str
    context_tokens: int = 4096


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What one step costs. Seconds are 0 where they are not known yet."""

    seconds: float
    peak_memory_bytes: int
    disk_bytes: int
    """What it writes; `kept_bytes` of it stay."""
    kept_bytes: int
    changes: str
    """A sentence: what it will and will not change."""


@dataclass(frozen=True, slots=True)
class ResultPlan:
    """One file that the recipe makes. Size exact for uniform cuts, memory as llama.cpp plans it."""

    type: str
    size_bytes: int
    resident_bytes: int
    ms_per_token: float | None


@dataclass(frozen=True, slots=True)
class RecipePlanned:
    """`problem` says why the recipe cannot be run; "" otherwise."""

    source: Path
    steps: tuple[StepPlan, ...]
    results: tuple[ResultPlan, ...]
    parameters_after: int
    disk_bytes: int
    free_disk_bytes: int
    problem: str = ""
    notice: str = ""
    """What is there already of what it makes, a sentence; "" where nothing is."""
    then: str = ""
    """What running it does about that, without who does: "measures it again"."""


@dataclass(frozen=True, slots=True)
class FinishModel(Request):
    """Note in the manifest of the folder `model` that it was made of `source`, and how; remove the folders `between`.

    Its steps are those of the folders between, one after the other. `digest` is the recipe's own of what was done up to
    here; "" for a model that no recipe goes on from.
    """

    source: Path
    model: Path
    between: tuple[Path, ...]
    digest: str = ""
