"""Noting how fast pruning and recovery went here, for the plans of later ones."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from app.compress.convert.configuration import read_config
from app.compress.effort import Work, prune_multiplications, recover_multiplications, remember_pace
from app.compress.recipe_shape import shape_of
from app.library.safetensors import facts_of
from app.paths import Paths
from app.pruning import Prune, Recover


@contextlib.contextmanager
def noting_pruning(request: Prune, paths: Paths) -> Iterator[None]:
    """Only a run that ends well says how long one takes, and only one that was not gone on with."""
    whole = not request.output.with_name(f".{request.output.name}.work").exists()
    begun = time.monotonic()
    yield
    if whole:
        config, parameters = read_config(request.source), facts_of(request.source).parameters
        count = prune_multiplications(request, config, shape_of(request.source), parameters)
        remember_pace(paths.effort, Work.PRUNE, count, time.monotonic() - begun)


@contextlib.contextmanager
def noting_recovery(request: Recover, paths: Paths) -> Iterator[None]:
    """As `noting_pruning`."""
    whole = not request.output.with_name(f".{request.output.name}.work").exists()
    begun = time.monotonic()
    yield
    if whole:
        parameters, teacher = (facts_of(folder).parameters for folder in (request.model, request.teacher))
        count = recover_multiplications(request, parameters, teacher)
        remember_pace(paths.effort, Work.RECOVER, count, time.monotonic() - begun)
