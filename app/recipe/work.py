"""A recipe as the requests of one job: prune, recover, note how it was made, quantize, measure. No engine here.

Each model on the way lies in a hidden folder beside the result, whose name follows from all that was done so far, and
the result has the same noted down: the same recipe, begun again, goes on after the last one that is there, and makes
none of its files twice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import RecipeError
from app.library.manifest import folder_origin, lineage_of, origin_of, original_of
from app.library.provenance import steps_after
from app.measure.messages import MeasureQuality
from app.operation import Request
from app.prune.messages import Prune
from app.quantize.messages import Quantize
from app.quantize.outputs import output_in, part_paths, step_of, workspace
from app.recipe.messages import FinishModel
from app.recipe.recipe import PruneStep, QuantizeStep, Recipe, RecoverStep, check_recipe
from app.recipe.words import Cut, Shape, cuts_of, shape_of
from app.recover.messages import Recover
from app.system.paths import Paths

_NOTHING_TO_WEIGH = frozenset({"F32", "F16", "BF16", "Q8_0"})
"""Types whose rounding an importance matrix does not change."""


@dataclass(frozen=True, slots=True)
class RecipeWork:
    """All that a job needs to know."""

    requests: tuple[Request, ...]
    steps: tuple[int, ...]
    """For each request, the step of the recipe that it belongs to, from 0."""
    model: Path
    """The folder that comes out; the source itself where nothing is pruned or trained."""
    files: tuple[Path, ...]
    """The GGUF files that are made of it."""
    parts: tuple[Path, ...]
    """Unfinished files, which go when the job does not end well."""
    folders: tuple[Path, ...]
    """What the same recipe goes on from: neither a failure nor a cancel takes it away."""
    notice: str = ""
    """What is there already, a sentence; "" where nothing is."""
    then: str = ""
    """What is done about it ("measures it again"), for `notice_words` to say who does."""


@dataclass(frozen=True, slots=True)
class ModelStep:
    """A request that makes a folder of a folder; paths are filled in later. `shape` is what comes out."""

    step: int
    request: Prune | Recover
    shape: Shape


def work_of(recipe: Recipe, source: Path, folder: Path) -> RecipeWork:
    """What to do to make of the Hugging Face folder `source` what the recipe says, in new folders below `folder`.

    Raises RecipeError where the recipe is no recipe, or asks for what this model has not; ConversionError where the
    folder's config.json cannot be read.
    """
    check_recipe(recipe)
    chain = model_steps(recipe, source)
    digests = _digests(chain, source)
    wanted = folder / _name(source, chain) if chain else source
    model = _own_or_free(wanted, digests[-1]) if chain else source
    between = tuple(model.with_name(f".{model.name}.{digest}") for digest in digests[:-1])
    requests = [*_model_requests(chain, source, (*between, model), digests)] if chain else []
    is_made = bool(chain) and model.is_dir()
    makings = _makings(recipe, model)
    files = [request for _, request in makings if not request.output.exists()]  # what is there was made in this way
    requests += [making for making in makings if making[1] in files]
    requests += [(number, _measuring(request, source)) for number, request in makings]
    notice, then = _notice(wanted, model, is_made, [request for _, request in makings])
    return RecipeWork(
        requests=tuple(request for _, request in requests),
        steps=tuple(step for step, _ in requests),
        model=model,
        files=tuple(request.output for _, request in makings),
        notice=notice,
        then=then,
        parts=tuple(part for request in files for part in part_paths(request)),
        folders=(
            *between,
            *(_unfinished(folder) for folder in (*between, model) if chain),
            *(workspace(request) for request in files if request.best),
        ),
    )


def place_for(source: Path, paths: Paths) -> Path:
    """Where new folders go: beside the source, or in the models folder under the same owner where that is read-only."""
    beside = source.resolve().parent
    return beside if os.access(beside, os.W_OK) else paths.models / beside.name


def model_steps(recipe: Recipe, source: Path) -> tuple[ModelStep, ...]:
    """Every pruning and training in its order, rounds written out. Raises RecipeError, ConversionError."""
    shape, teacher = shape_of(source), original_of(source)
    found: list[ModelStep] = []
    for number, step in enumerate(recipe.steps):
        if isinstance(step, PruneStep):
            training = next((one for one in recipe.steps[number:] if isinstance(one, RecoverStep)), RecoverStep())
            cuts = cuts_of(step, shape)
            for cut in cuts:
                found.append(ModelStep(number, _prune(step, cut, source), cut.shape))
                if cut is not cuts[-1]:
                    between = dataclasses.replace(
                        training, budget_tokens=step.round_tokens, quantization_aware="", progressive=False
                    )
                    found.append(ModelStep(number, _recover(between, source, teacher), cut.shape))
            shape = cuts[-1].shape
        elif isinstance(step, RecoverStep):
            found.append(ModelStep(number, _recover(step, source, teacher), shape))
    return tuple(found)


def _prune(step: PruneStep, cut: Cut, source: Path) -> Prune:
    return Prune(
        source=source,
        output=source,
        method=step.method,
        amount=cut.amount,
        pattern=step.pattern,
        refit=step.refit,
        refit_gate_up=step.refit and step.refit_gate_up,
        width_multiple=step.width_multiple,
        per_layer=step.per_layer,
        importance=step.importance,
        rewind=Path(step.rewind).expanduser() if step.rewind else None,
    )


def _recover(step: RecoverStep, source: Path, teacher: Path) -> Recover:
    return Recover(
        model=source,
        teacher=teacher,
        output=source,
        method=step.method,
        budget_tokens=step.budget_tokens,
        text=step.text,
        temperature=step.temperature,
        hard_loss=step.hard_loss,
        progressive=step.progressive,
        quantization_aware=step.quantization_aware,
        rank=step.rank,
        or_keep=True,
    )


def _model_requests(
    chain: Sequence[ModelStep], source: Path, outputs: Sequence[Path], digests: Sequence[str]
) -> Iterator[tuple[int, Request]]:
    """The requests from the last folder that is there already; each is noted down, and what it was made of goes."""
    done = max((number for number, folder in enumerate(outputs) if folder.is_dir()), default=-1)
    if done >= 0:
        yield chain[done].step, FinishModel(source, outputs[done], tuple(outputs[:done]), digests[done])
    for number in range(done + 1, len(chain)):
        one, before = chain[number], outputs[number - 1] if number else source
        if isinstance(one.request, Prune):
            yield one.step, dataclasses.replace(one.request, source=before, output=outputs[number])
        else:
            yield one.step, dataclasses.replace(one.request, model=before, output=outputs[number])
        yield one.step, FinishModel(source, outputs[number], (before,) if number else (), digests[number])


def _makings(recipe: Recipe, model: Path) -> list[tuple[int, Quantize]]:
    """A file for each type. Raises RecipeError where another one lies in its place."""
    makings: dict[Path, tuple[int, Quantize]] = {}
    for number, step in enumerate(recipe.steps):
        if isinstance(step, QuantizeStep):
            for kind in step.types:
                calibrate = step.calibrate and not step.best and kind not in _NOTHING_TO_WEIGH
                output = output_in(model, kind, best=step.best)
                request = Quantize(model, output, kind, calibrate=calibrate, best=step.best)
                makings.setdefault(output, (number, request))
    for output, (_, request) in makings.items():
        if output.exists() and not _is_made(request):
            raise RecipeError(
                f"“{output.name}” is there already, and was made in another way.",
                "Delete it first, or leave that type out.",
            )
    return [*makings.values()]


def _is_made(request: Quantize) -> bool:
    """Whether its file, which is there, was made of this model in this very way."""
    origin = origin_of(request.output)
    return origin is not None and steps_after(origin.steps, lineage_of(request.source).then(step_of(request))) == ()


def _measuring(request: Quantize, source: Path) -> MeasureQuality:
    """A measurement against the source, in 16 bits and with nothing taken away."""
    return MeasureQuality(request.output, original_of(source), speed=True)


def _digests(chain: Sequence[ModelStep], source: Path) -> tuple[str, ...]:
    """A digest for each model on the way, one that follows from the source and from all that was done so far."""
    digest = hashlib.sha256(str(source.resolve()).encode())
    found = []
    for one in chain:
        digest.update(repr(one.request).encode())
        found.append(digest.hexdigest()[:12])
    return tuple(found)


def _notice(wanted: Path, model: Path, is_made: bool, files: Sequence[Quantize]) -> tuple[str, str]:
    """What is there already, and what is done about it. `wanted` is the model if nothing stands in its place."""
    made = [request for request in files if request.output.exists()]
    if model != wanted and not is_made:
        return f"“{wanted.name}” is there already, made in another way: this one becomes “{model.name}”, beside it.", ""
    if not is_made and not made:
        return "", ""
    what = f"“{model.name}”" if is_made else ", ".join(f"“{request.output.name}”" for request in made)
    left = [request.type for request in files if request not in made]
    does = f"makes what is missing ({', '.join(left)})" if left else "measures it again" if files else "changes nothing"
    return f"{what} is there already, made by these very steps.", does


def _unfinished(output: Path) -> Path:
    """Where a pruning or a training keeps what it can go on from."""
    return output.with_name(f".{output.name}.work")


def _name(source: Path, chain: Sequence[ModelStep]) -> str:
    """ "SmolLM2-135M-ffn1024": what is smaller. Whether it learned something afterwards is not known before."""
    methods = [one.request.method for one in chain if isinstance(one.request, Prune)]
    shape = chain[-1].shape
    mixed = "mixed" if shape.per_layer else ""
    words = {
        "ffn": f"ffn{shape.ffn}{mixed}",
        "kv-groups": f"kv{shape.kv_groups}{mixed}",
        "layers": f"{shape.layers}layers",
    }
    parts = [words.get(method, f"{shape.zeros:.0%}-zeros".replace("%", "pct")) for method in dict.fromkeys(methods)]
    return "-".join((source.resolve().name, *(dict.fromkeys(parts) or ["qat"])))


def _own_or_free(wanted: Path, digest: str) -> Path:
    """The name itself, or with a number after it: the first that these very steps made, or else the first free one."""
    number, path = 1, wanted
    while path.exists():
        origin = folder_origin(path) if path.is_dir() else None
        if origin is not None and origin.digest == digest:
            return path
        number += 1
        path = wanted.with_name(f"{wanted.name}-{number}")
    return path
