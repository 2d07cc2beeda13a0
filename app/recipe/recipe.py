"""A recipe: the steps that make a model smaller, in their order, as a value and as a TOML file.

    name = "Three quarters of the FFN, Q4"

    [[step]]
    prune = "ffn"
    amount = 0.25

    [[step]]
    recover = "lora"
    budget_tokens = 80_000

    [[step]]
    quantize = ["Q4_K_M"]
    calibrate = true

Reading is strict: whoever mistypes a key is told, and does not get a model made in another way.
"""

from __future__ import annotations

import contextlib
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from app.errors import AppError, RecipeError, StorageError
from app.library.tensor_types import FILE_TYPES, NEEDS_IMPORTANCE
from app.prune.messages import SPARSE, LayerImportance, PruneMethod
from app.recover.messages import SHORT_TOKENS, TEACHER_TEXT, RecoverMethod
from app.system.files import read_json, write_atomic
from app.system.paths import RESOURCES, Paths

BUILT_IN = RESOURCES / "recipes"
MAX_FILE_BYTES = 65_536
MAX_NAME, MAX_STEPS, MAX_TYPES, MAX_PATH = 120, 20, 12, 4096


@dataclass(frozen=True, slots=True)
class PruneStep:
    """The same as `Prune`, without paths. `rounds` above 1 cut a part at a time, with a short recovery after each."""

    method: PruneMethod
    amount: float
    pattern: str = ""
    refit: bool = True
    refit_gate_up: bool = False
    width_multiple: int = 256
    per_layer: bool = False
    importance: LayerImportance = LayerImportance.COSINE
    rounds: int = 1
    round_tokens: int = 20_000
    """What each round but the last trains on."""
    rewind: str = ""
    """Folder of the same model early in its training; "" for none."""


@dataclass(frozen=True, slots=True)
class RecoverStep:
    """The same as app.prune.messages.Recover, without paths."""

    method: RecoverMethod = RecoverMethod.LORA
    budget_tokens: int = SHORT_TOKENS
    text: str = TEACHER_TEXT
    temperature: float = 1.0
    hard_loss: float = 0.0
    progressive: bool = False
    quantization_aware: str = ""
    rank: int = 16


@dataclass(frozen=True, slots=True)
class QuantizeStep:
    """The types of files to make at the end."""

    types: tuple[str, ...] = ("Q4_K_M",)
    calibrate: bool = True
    best: bool = False


Step = PruneStep | RecoverStep | QuantizeStep


@dataclass(frozen=True, slots=True)
class Recipe:
    """Steps in the order prune, recover, quantize; each optional, several of a kind allowed."""

    name: str
    steps: tuple[Step, ...] = ()


def read_recipe(source: Path | str) -> Recipe:
    """Read the file at a path, or the text of one. Raises RecipeError, which names the file, the step and the key."""
    if not isinstance(source, Path):
        return _read(source)
    text = _content(source)
    try:
        return _read(text)
    except RecipeError as error:
        raise RecipeError(f"“{source.name}” cannot be opened. {error.sentence}", error.hint) from error


def _read(text: str) -> Recipe:
    if len(text.encode("utf-8", "replace")) > MAX_FILE_BYTES:
        raise RecipeError(f"The recipe is longer than {MAX_FILE_BYTES // 1024} kB: it is something else.")
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"The recipe is not a TOML file: {error}.") from error
    if unknown := [key for key in data if key not in ("name", "step")]:
        raise RecipeError(f"The recipe has an unknown key {_shown(unknown[0])}; there are name and step.")
    rows = data.get("step", [])
    if not isinstance(rows, list):
        raise RecipeError("“step” is not a list: each step begins with a line [[step]].")
    if len(rows) > MAX_STEPS:  # before any of them is looked at
        raise RecipeError(f"The recipe has {len(rows):,} steps; it may have {MAX_STEPS}.")
    recipe = Recipe(data.get("name", ""), tuple(_step(number, row) for number, row in enumerate(rows, 1)))
    check_recipe(recipe)
    return recipe


def as_toml(recipe: Recipe) -> str:
    """The text of the recipe's file; what is as usual is left out. Raises RecipeError as `check_recipe` does."""
    import tomli_w

    check_recipe(recipe)
    steps = (f"\n[[step]]\n{tomli_w.dumps(_row(step))}" for step in recipe.steps)  # it writes short tables in one line
    return tomli_w.dumps({"name": recipe.name}) + "".join(steps)


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Write the recipe's file, replacing one that is there. Raises RecipeError, StorageError."""
    text = as_toml(recipe)
    try:
        write_atomic(path, text.encode())
    except OSError as error:
        raise StorageError(
            f"“{path.name}” could not be written: {error.strerror or error}.", "Choose another folder."
        ) from error


def builtin_recipes() -> tuple[Recipe, ...]:
    """Those that come with Bantam, in the order in which they are offered."""
    return tuple(read_recipe(path) for path in sorted(BUILT_IN.glob("*.toml")))


def check_recipe(recipe: Recipe) -> None:
    """Raise RecipeError for what cannot be carried out with any model: a number out of range, a step out of order."""
    name = recipe.name
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise RecipeError(f"The recipe needs a name of one line, up to {MAX_NAME} letters long.")
    if not recipe.steps:
        raise RecipeError("The recipe has no steps.", "Add one: prune, recover or quantize.")
    if len(recipe.steps) > MAX_STEPS:
        raise RecipeError(f"The recipe has {len(recipe.steps):,} steps; it may have {MAX_STEPS}.")
    for number, step in enumerate(recipe.steps, 1):
        for key, attribute, rule in _KEYS[type(step)]:
            if problem := rule.problem(getattr(step, attribute)):
                raise _error(number, step, f"“{key}” {problem}")
        if problem := _contradiction(step):
            raise _error(number, step, problem)
    _check_order(recipe.steps)


@dataclass(frozen=True, slots=True)
class _Number:
    least: float
    most: float
    whole: bool = False
    open: bool = False
    """Whether the bounds themselves are left out."""

    def problem(self, value: Any) -> str:
        kinds = (int,) if self.whole else (int, float)
        right = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
        if right and (self.least < value < self.most if self.open else self.least <= value <= self.most):
            return ""
        bounds = (
            f"above {self.least:,g} and below {self.most:,g}"
            if self.open
            else f"from {self.least:,.10g} to {self.most:,.10g}"
        )
        return f"is {_shown(value)}; it is {'a whole number' if self.whole else 'a number'} {bounds}"

    def read(self, value: Any) -> Any:
        # TOML tells 1 from 1.0, people do not.
        return float(value) if type(value) is int and not self.whole else value


@dataclass(frozen=True, slots=True)
class _Choice:
    among: tuple[str, ...]
    kind: type[StrEnum] | None = None

    def problem(self, value: Any) -> str:
        if isinstance(value, str) and value in self.among:
            return ""
        return f"is {_shown(value)}; it is one of {', '.join(one or '“”' for one in self.among)}"

    def read(self, value: Any) -> Any:
        return self.kind(value) if self.kind is not None and value in self.among else value


@dataclass(frozen=True, slots=True)
class _Switch:
    def problem(self, value: Any) -> str:
        return "" if isinstance(value, bool) else f"is {_shown(value)}; it is true or false"

    def read(self, value: Any) -> Any:
        return value


@dataclass(frozen=True, slots=True)
class _Text:
    """A path, or a word that stands for one."""

    may_be_empty: bool = False

    def problem(self, value: Any) -> str:
        if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_PATH:
            return f"is {_shown(value)}; it is a path"
        return "" if value.strip() or (self.may_be_empty and not value) else "is empty"

    def read(self, value: Any) -> Any:
        return value


@dataclass(frozen=True, slots=True)
class _Types:
    """Several of llama.cpp's names of mixtures."""

    def problem(self, value: Any) -> str:
        if not isinstance(value, tuple) or not 0 < len(value) <= MAX_TYPES:
            return f"is not a list of 1 to {MAX_TYPES} types"
        wrong = next((one for one in value if not isinstance(one, str) or one not in _QUANT_TYPES), None)
        if wrong is not None:
            return f"names {_shown(wrong)}, which is not a type to quantize to"
        return "names a type twice" if len(set(value)) < len(value) else ""

    def read(self, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


_Rule = _Number | _Choice | _Switch | _Text | _Types
_QUANT_TYPES = frozenset(FILE_TYPES.values()) - {"NVFP4"}  # llama.cpp reads it and does not write it
_TOKENS = _Number(1_000, 1_000_000_000, whole=True)
_BEST = frozenset({"Q4_0", "Q4_K_M"})


def _all(kind: type[StrEnum]) -> _Choice:
    return _Choice(tuple(one.value for one in kind), kind)


_KEYS: Mapping[type, tuple[tuple[str, str, _Rule], ...]] = {
    PruneStep: (
        ("prune", "method", _all(PruneMethod)),
        ("amount", "amount", _Number(0, 1, open=True)),
        ("pattern", "pattern", _Choice(("", "2:4", "4:8"))),
        ("refit", "refit", _Switch()),
        ("refit_gate_up", "refit_gate_up", _Switch()),
        ("width_multiple", "width_multiple", _Number(32, 4096, whole=True)),
        ("per_layer", "per_layer", _Switch()),
        ("importance", "importance", _all(LayerImportance)),
        ("rounds", "rounds", _Number(1, 10, whole=True)),
        ("round_tokens", "round_tokens", _TOKENS),
        ("rewind", "rewind", _Text(may_be_empty=True)),
    ),
    RecoverStep: (
        ("recover", "method", _all(RecoverMethod)),
        ("budget_tokens", "budget_tokens", _TOKENS),
        ("text", "text", _Text()),
        ("temperature", "temperature", _Number(0.1, 20)),
        ("hard_loss", "hard_loss", _Number(0, 1)),
        ("progressive", "progressive", _Switch()),
        ("quantization_aware", "quantization_aware", _Choice(("", "Q4_0"))),
        ("rank", "rank", _Number(1, 512, whole=True)),
    ),
    QuantizeStep: (
        ("quantize", "types", _Types()),
        ("calibrate", "calibrate", _Switch()),
        ("best", "best", _Switch()),
    ),
}
"""The keys of each kind of step (key in the file, attribute, what is allowed); the first key says which kind it is."""

_KINDS = {keys[0][0]: kind for kind, keys in _KEYS.items()}
_REQUIRED = frozenset({"prune", "recover", "quantize", "amount"})


def _step(number: int, row: Any) -> Step:
    """One [[step]]: no key too many, none missing; ranges are checked later, with those of steps made elsewhere."""
    if not isinstance(row, dict):
        raise RecipeError(f"Step {number} is not a table: it begins with a line [[step]].")
    kinds = [name for name in _KINDS if name in row]
    if len(kinds) != 1:
        raise RecipeError(f"Step {number} says {' and '.join(kinds) or 'nothing'}; it is one of {', '.join(_KINDS)}.")
    kind = _KINDS[kinds[0]]
    rules = {key: (attribute, rule) for key, attribute, rule in _KEYS[kind]}
    for key in row:
        if key not in rules:
            known = ", ".join(rules)
            raise RecipeError(f"Step {number} ({kinds[0]}): the key {_shown(key)} is unknown; there are {known}.")
    for key in rules:
        if key in _REQUIRED and key not in row:
            raise RecipeError(f"Step {number} ({kinds[0]}): “{key}” is missing.")
    step: Step = kind(**{rules[key][0]: rules[key][1].read(value) for key, value in row.items()})
    return step


def _row(step: Step) -> dict[str, Any]:
    """What differs from what is usual, in the file's own types."""
    kind = type(step)
    usual = kind(PruneMethod.FFN, 0.5) if kind is PruneStep else kind()  # type: ignore[call-arg]
    row: dict[str, Any] = {}
    for key, attribute, _ in _KEYS[kind]:
        value = getattr(step, attribute)
        if key in _REQUIRED or value != getattr(usual, attribute):
            plain = str(value) if isinstance(value, str) else value
            row[key] = list(value) if isinstance(value, tuple) else plain
    return row


def _contradiction(step: Step) -> str:
    """What each key allows and both together do not; "" where nothing."""
    if isinstance(step, PruneStep):
        return _pattern_problem(step) if step.pattern else _prune_problem(step)
    return _quantize_problem(step) if isinstance(step, QuantizeStep) else ""


def _pattern_problem(step: PruneStep) -> str:
    if step.method not in SPARSE or step.method is PruneMethod.GLOBAL_MAGNITUDE:
        return f"“pattern” does not go with {step.method}: it is for magnitude, wanda and sparsegpt"
    if step.amount != 0.5:
        return f"“amount” is {step.amount:g}, and a pattern of {step.pattern} takes 0.5"
    if step.rounds > 1:
        return f"“rounds” does not go with a pattern: {step.pattern} is the same after any of them"
    return _prune_problem(step)


def _prune_problem(step: PruneStep) -> str:
    if step.width_multiple % 32:
        return f"“width_multiple” is {step.width_multiple}; it is a multiple of 32"
    if step.rewind and step.method not in SPARSE:
        return f"“rewind” does not go with {step.method}: it is for the methods that set weights to zero"
    if step.per_layer and step.method not in (PruneMethod.FFN, PruneMethod.KV_GROUPS):
        return f"“per_layer” does not go with {step.method}: it is for ffn and kv-groups"
    return ""


def _quantize_problem(step: QuantizeStep) -> str:
    if step.best and (wrong := set(step.types) - _BEST):
        return f"“best” makes {' or '.join(sorted(_BEST))}, and not {', '.join(sorted(wrong))}"
    if not step.calibrate and not step.best and (wrong := set(step.types) & NEEDS_IMPORTANCE):
        return f"“calibrate” is false, and {', '.join(sorted(wrong))} would be ruined without an importance matrix"
    return ""


def _check_order(steps: tuple[Step, ...]) -> None:
    """Prune before recover before quantize. Raises RecipeError."""
    kinds = tuple(_KEYS)
    pruned = False
    for number, (step, before) in enumerate(zip(steps, (None, *steps), strict=False), 1):
        if before is not None and kinds.index(type(step)) < kinds.index(type(before)):
            raise _error(number, step, "it comes too late: first prune, then recover, then quantize")
        if isinstance(step, RecoverStep) and not pruned and not step.quantization_aware:
            raise _error(number, step, "there is nothing to win back before anything is pruned")
        pruned = pruned or isinstance(step, PruneStep)


def _error(number: int, step: Step, problem: str) -> RecipeError:
    return RecipeError(f"Step {number} ({_KEYS[type(step)][0][0]}): {problem}.")


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1).decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"“{path.name}” is not a recipe: it is not text.") from error
    except OSError as error:
        raise RecipeError(f"“{path.name}” cannot be read: {error.strerror or error}.") from error


def _shown(value: Any) -> str:
    """A value in a sentence, however long or strange it is."""
    text = "".join(letter if letter.isprintable() else "?" for letter in str(value)[:60])
    return f"“{text}”" if isinstance(value, str) else text


# The recipe that the window runs now, on disk: the next start reads it where the window ended before the recipe.


@dataclass(frozen=True, slots=True)
class BegunRecipe:
    """A recipe that was begun for the folder `source`."""

    source: Path
    recipe: Recipe

    @property
    def sentence(self) -> str:
        """What became of it, for the user."""
        return f"The recipe “{self.recipe.name}” for {self.source.name} was interrupted; what it had finished is kept."


def remember(paths: Paths, begun: BegunRecipe) -> None:
    """Write it down as far as the disk allows: a recipe runs without it too. Raises RecipeError for one that cannot."""
    data = {"source": str(begun.source), "recipe": as_toml(begun.recipe)}
    with contextlib.suppress(OSError):
        write_atomic(paths.begun_recipe, json.dumps(data).encode())


def forget(paths: Paths) -> None:
    """It has ended, and the user knows how."""
    with contextlib.suppress(OSError):
        paths.begun_recipe.unlink(missing_ok=True)


def begun_recipe(paths: Paths) -> BegunRecipe | None:
    """The one that was begun and has not ended, where its model is still there."""
    try:
        data = read_json(paths.begun_recipe)
        source, recipe = Path(data["source"]), read_recipe(str(data["recipe"]))
    except (OSError, ValueError, KeyError, TypeError, AppError):
        return None
    return BegunRecipe(source, recipe) if source.is_dir() else None
