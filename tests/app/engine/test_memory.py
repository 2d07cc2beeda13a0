"""The plan that llama.cpp makes from a header, against what it says when it really loads the file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from app.engine.llama import LOG, Context, Model, ModelOptions
from app.engine.memory import measure_fit, memory_need
from app.engine.messages import FlashAttention, KvType, LoadModel, MeasureFit
from app.errors import Cancelled, LoadError
from app.fit.judgement import ReadProfile
from app.library.gguf_file import read_header
from app.operation import Context as OperationContext
from app.system.paths import STARTER_MODEL
from tests.random_models import RECIPES, random_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("models")
    made: dict[str, Path] = {}

    def make(architecture: str) -> Path:
        if architecture not in made:
            made[architecture] = random_model(architecture, folder)
        return made[architecture]

    return make


def really(path: Path, context: int, kv_type: KvType) -> tuple[int, int]:
    """KV and compute bytes of buffers that were really made."""
    LOG.clear()
    loaded = Model(path, ModelOptions(), lambda _share: True)
    made = Context(loaded, context, kv_type, FlashAttention.AUTO)
    text = "\n".join(LOG.lines)
    made.close()
    loaded.close()
    kv = sum(float(size) for size in re.findall(r"KV buffer size = +([\d.]+) MiB", text))
    compute = sum(float(size) for size in re.findall(r"(?:compute|output) buffer size = +([\d.]+) MiB", text))
    return round(kv * 1024 * 1024), round(compute * 1024 * 1024)


@pytest.mark.parametrize("kv_type", [KvType.F16, KvType.Q8_0])
@pytest.mark.parametrize("architecture", RECIPES)
def test_the_plan_is_what_is_made(model: Callable[[str], Path], architecture: str, kv_type: KvType) -> None:
    path = model(architecture)
    curve = measure_fit(MeasureFit(path, (1024, 4096), (kv_type,)), OperationContext())
    for point in curve.points:
        kv, compute = really(path, point.context_tokens, kv_type)
        assert point.kv_bytes == pytest.approx(kv, rel=0.01)
        assert point.compute_bytes == pytest.approx(compute, rel=0.02)


def test_a_stub_gives_the_same_plan(model: Callable[[str], Path], tmp_path: Path) -> None:
    path = model("llama")
    stub = tmp_path / "stub.gguf"
    data = path.read_bytes()
    stub.write_bytes(data[: len(data) // 20])  # the vocabulary and the tensor list are in it
    header_bytes = path.stat().st_size - read_header(path).tensor_bytes
    stub.write_bytes(data[: header_bytes + 4096])
    with stub.open("r+b") as file:
        file.truncate(len(data))
    request = MeasureFit(path, (2048,), (KvType.F16,))
    stubbed = measure_fit(MeasureFit(stub, (2048,), (KvType.F16,)), OperationContext())
    assert stubbed.points == measure_fit(request, OperationContext()).points
    assert stubbed.weights_bytes == read_header(path).tensor_bytes


def test_a_line_between_two_points_is_as_good_as_asking(model: Callable[[str], Path]) -> None:
    path = model("gemma3")  # its window makes the line least straight
    coarse = measure_fit(MeasureFit(path, (1024, 2048, 8192)), OperationContext())
    exact = measure_fit(MeasureFit(path, (3072, 6144)), OperationContext())
    for point in exact.points:
        between = coarse.need(point.context_tokens, KvType.F16)
        asked = exact.need(point.context_tokens, KvType.F16)
        assert between.resident_bytes == pytest.approx(asked.resident_bytes, abs=3_000_000)


def test_the_vocabulary_is_counted(model: Callable[[str], Path], tmp_path: Path) -> None:
    small = memory_need(LoadModel(model("llama"), 1024))
    large = memory_need(LoadModel(random_model("llama", tmp_path, vocabulary=60_000), 1024))
    assert large.engine_bytes - small.engine_bytes > 5_000_000


def test_contexts_beyond_the_models_own_are_one_point() -> None:
    curve = measure_fit(MeasureFit(STARTER_MODEL, (1024, 2048, 4096, 8192)), OperationContext())
    assert [point.context_tokens for point in curve.points] == [1024, 2048]


def test_a_stop_and_a_file_that_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        measure_fit(MeasureFit(STARTER_MODEL, (1024,)), OperationContext(stop=lambda: True))
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(LoadError):
        measure_fit(MeasureFit(tmp_path / "x.gguf", (1024,)), OperationContext())


def test_of_a_mixture_only_the_active_experts_are_read(model: Callable[[str], Path]) -> None:
    header = read_header(model("qwen3moe"))
    profile = ReadProfile.of_header(header)
    assert profile.total_bytes < 0.6 * header.tensor_bytes
    dense = read_header(model("llama"))
    assert ReadProfile.of_header(dense).total_bytes == dense.tensor_bytes  # tied: the embedding is the output too
