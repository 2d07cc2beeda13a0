"""A recipe from its first request to its last in this process: for a terminal. The window has jobs for it."""

from __future__ import annotations

from collections.abc import Iterator

from app.compress.recipe_requests import RecipeWork
from app.events import Quality, Quantized, Report, Result, ShouldStop
from app.paths import Paths
from app.pruning import FinishModel, Prune, Pruned, Recover, Recovered
from app.requests import MeasureQuality, Quantize, Request


def run_recipe(work: RecipeWork, paths: Paths, report: Report, stop: ShouldStop) -> Iterator[Result]:
    """Carry out the requests in their order, and yield what each gave. Raises what they raise.

    After a stop or an error the same recipe goes on from the last model that is whole.
    """
    for request in work.requests:
        yield _run(request, paths, report, stop)


def _run(request: Request, paths: Paths, report: Report, stop: ShouldStop) -> Result:
    if isinstance(request, Prune):
        return _prune(request, paths, report, stop)
    if isinstance(request, Recover):
        return _recover(request, paths, report, stop)
    if isinstance(request, FinishModel):
        from app.compress.finish_model import finish_model

        finish_model(request)
        return None
    if isinstance(request, Quantize):
        return _quantize(request, report, stop)
    assert isinstance(request, MeasureQuality), type(request)
    return _measure(request, paths, report, stop)


def _prune(request: Prune, paths: Paths, report: Report, stop: ShouldStop) -> Pruned:
    from app.compress.prune.prune import prune
    from app.compress.timed import noting_pruning

    with noting_pruning(request, paths):
        return prune(request, report, stop)


def _recover(request: Recover, paths: Paths, report: Report, stop: ShouldStop) -> Recovered:
    from app.compress.recover_or_keep import recover_or_keep
    from app.compress.timed import noting_recovery

    with noting_recovery(request, paths):
        return recover_or_keep(request, report, stop)


def _quantize(request: Quantize, report: Report, stop: ShouldStop) -> Quantized:
    from app.compress.quantize import quantize

    return quantize(request, report, stop)


def _measure(request: MeasureQuality, paths: Paths, report: Report, stop: ShouldStop) -> Quality:
    from app.measure.ledger import record
    from app.measure.quality import measure_quality

    quality = measure_quality(request, paths, report, stop)
    record(paths.ledger, quality)
    return quality
