"""Two windows of text that the starter model reads, and what reads them: for the tests of calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from app.engine.activations import Activation, ActivationReader
from app.engine.llama import Model, ModelOptions
from app.system.paths import STARTER_MODEL
from tests.real_models import CALIBRATION

WINDOW, WINDOWS = 64, 2


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    loaded = Model(STARTER_MODEL, ModelOptions(repack=False), lambda _share: True)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def windows(model: Model) -> list[list[int]]:
    tokens = model.tokenize(CALIBRATION.read_text(), add_bos=True)
    return [tokens[i * WINDOW : (i + 1) * WINDOW] for i in range(WINDOWS)]


def never() -> bool:
    return False


def read_windows(model: Model, windows: list[list[int]], *consumers: Callable[[Activation], None]) -> None:
    def consume(activation: Activation) -> None:
        for consumer in consumers:
            consumer(activation)

    reader = ActivationReader(model, WINDOW, 1, consume, never)
    try:
        for window in windows:
            reader.read(window)
    finally:
        reader.close()
