"""A recipe from its first request to its last in this process: for a terminal. The window has jobs for it."""

from __future__ import annotations

from collections.abc import Iterator

from app.measure.messages import MeasureQuality, Quality
from app.operation import Report, Request, Result, ShouldStop
from app.prune.messages import Prune
from app.quantize.messages import Quantize
from app.quantize.quantize import quantize
from app.recipe.messages import FinishModel
from app.recipe.steps import finish_model, prune_step, recover_step
from app.recipe.work import RecipeWork
from app.recover.messages import Recover
from app.system.paths import Paths


def run_recipe(work: RecipeWork, paths: Paths, report: Report, stop: ShouldStop) -> Iterator[Result]:
    """Carry out the requests in their order, and yield what each gave. Raises what they raise.

    After a stop or an error the same recipe goes on from the last model that is whole.
    """
    for request in work.requests:
        yield _run(request, paths, report, stop)


def _run(request: Request, paths: Paths, report: Report, stop: ShouldStop) -> Result:
    if isinstance(request, Prune):
        return prune_step(request, paths, report, stop)
    if isinstance(request, Recover):
        return recover_step(request, paths, report, stop)
    if isinstance(request, FinishModel):
        finish_model(request)
        return None
    if isinstance(request, Quantize):
        return quantize(request, report, stop)
    assert isinstance(request, MeasureQuality), type(request)
    return _measure(request, paths, report, stop)


def _measure(request: MeasureQuality, paths: Paths, report: Report, stop: ShouldStop) -> Quality:
    from app.measure.ledger import record
    from app.measure.quality import measure_quality

    quality = measure_quality(request, paths, report, stop)
    record(paths.ledger, quality)
    return quality
