"""A recipe from its first request to its last in this process: for a terminal. The window has jobs for it."""

from __future__ import annotations

from collections.abc import Iterator

from app.compress.finish_model import finish_model
from app.compress.quantize import quantize
from app.compress.recipe_requests import RecipeWork
from app.compress.steps import prune_step, recover_step
from app.events import Quality, Report, Result, ShouldStop
from app.paths import Paths
from app.pruning import FinishModel, Prune, Recover
from app.requests import MeasureQuality, Quantize, Request


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
