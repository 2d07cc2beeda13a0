from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from app.engine import evaluation, machine_record
from app.engine.llama import C, Context, Model, ModelOptions
from app.engine.messages import FlashAttention, KvType
from app.errors import AppError, Cancelled, LoadError, ModelFileError
from app.measure import quality, scoring, speed, texts
from app.measure.messages import MeasureQuality, Quality
from app.measure.quality import default_windows, measure_quality
from app.operation import Context as OperationContext
from app.operation import Notice, Progress, Stage, StopFlag
from app.system.paths import STARTER_MODEL, Paths, default_paths
from tests.random_models import random_model
from tests.real_models import EVAL_CODE

WINDOW = 256
EIGHT = MeasureQuality(STARTER_MODEL, text=EVAL_CODE, context_tokens=WINDOW, chunks=8, threads=1)

# llama-perplexity of llama-cpp-python 0.3.36's source, on the whole of tests/data/eval-code.txt (64 windows):
#   llama-perplexity -m resources/starter/stdlib-21m-Q8_0.gguf -f tests/data/eval-code.txt -c 256 -b 256 --no-escape
#   Final estimate: PPL = 154.9876 +/- 5.23838
LLAMA_PERPLEXITY = 154.9876


@pytest.fixture
def paths() -> Paths:
    """Of a machine in safe mode: the repacked kernels may crash here, and one path is enough."""
    paths = default_paths().ensure()
    machine_record.remember_safe_mode(paths.machine, "a test")
    return paths


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter model in Q4_0."""
    path = tmp_path_factory.mktemp("coarse") / "q4_0.gguf"
    requantize(STARTER_MODEL, path, C.LLAMA_FTYPE_MOSTLY_Q4_0)
    return path


def requantize(source: Path, target: Path, file_type: int) -> None:
    parameters = C.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread, parameters.allow_requantize = file_type, 1, True
    assert C.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(parameters)) == 0


class Recorder:
    def __init__(self) -> None:
        self.events: list = []

    def __call__(self, event: object) -> None:
        self.events.append(event)

    def of(self, stage: Stage) -> list[Progress]:
        return [event for event in self.events if isinstance(event, Progress) and event.stage is stage]

    @property
    def notices(self) -> list[str]:
        return [event.sentence for event in self.events if isinstance(event, Notice)]


def measure(request: MeasureQuality, paths: Paths, report: Recorder | None = None) -> Quality:
    return measure_quality(request, OperationContext(paths=paths, report=report or Recorder(), stop=StopFlag()))


def test_perplexity_is_llama_perplexitys(paths):
    found = measure(dataclasses.replace(EIGHT, chunks=64), paths)
    assert found.perplexity.value == pytest.approx(LLAMA_PERPLEXITY, rel=0.005)
    assert found.scored_tokens == 64 * (WINDOW // 2 - 1)
    assert found.perplexity.error > 5.2  # theirs takes positions for independent
    assert found.kl_mean is found.top_1 is found.reference is None


def test_a_model_is_equal_to_itself(paths):
    found = measure(dataclasses.replace(EIGHT, reference=STARTER_MODEL), paths)
    assert (found.kl_mean.value, found.kl_99, found.top_1.value) == (0.0, 0.0, 1.0)
    assert found.perplexity == found.reference_perplexity


def test_a_coarser_model_diverges(paths, coarse):
    found = measure(dataclasses.replace(EIGHT, model=coarse, reference=STARTER_MODEL), paths)
    assert 0.004 < found.kl_mean.value < 0.1
    assert 0 < found.kl_mean.error < found.kl_mean.value / 2
    assert found.kl_99 > found.kl_mean.value
    assert 0.5 < found.top_1.value < 0.99
    assert found.reference_perplexity == measure(EIGHT, paths).perplexity


@pytest.mark.wide
def test_one_after_the_other_gives_the_same_where_memory_is_short(paths, coarse, monkeypatch):
    request = dataclasses.replace(EIGHT, model=coarse, reference=STARTER_MODEL)
    together = measure(request, paths)
    alone = quality.plan_reading(STARTER_MODEL, "x", WINDOW).need_bytes
    monkeypatch.setattr(quality, "_KEPT_BYTES", 8 * 8 * 127 * 512)  # 512 tokens of the 4,096 for each position
    monkeypatch.setattr(quality, "available_memory_bytes", lambda: alone + 45_000_000)
    report = Recorder()
    apart = measure(request, paths, report)
    assert [notice.split(":")[0][:20] for notice in report.notices] == ["Both models together", "The 512 likeliest to"]
    assert report.of(Stage.REFERENCE)[-1].done == report.of(Stage.QUALITY)[-1].done == 8
    assert (apart.perplexity, apart.top_1) == (together.perplexity, together.top_1)
    assert together.kl_mean.value * 0.8 < apart.kl_mean.value < together.kl_mean.value
    monkeypatch.setattr(quality, "_KEPT_BYTES", 1 << 40)
    everything = measure(request, paths, report := Recorder())
    assert everything.kl_mean.value == pytest.approx(together.kl_mean.value, rel=1e-4)
    assert len(report.notices) == 1


def test_too_little_memory_for_one_is_said_before_loading(paths, monkeypatch):
    monkeypatch.setattr(quality, "available_memory_bytes", lambda: 30_000_000)
    monkeypatch.setattr(quality, "open_reader", lambda *_: pytest.fail("loaded"))
    with pytest.raises(AppError, match=r"needs .* MB of memory, and 30.0 MB are free"):
        measure(EIGHT, paths)


def test_one_window_by_brute_force(paths):
    """Each position decoded by itself, through the chat's own context; softmax in f64 as it is written down."""
    tokens = quality.plan_reading(STARTER_MODEL, EVAL_CODE.read_text(), 32).tokens[:32]
    surprise = _brute_force_surprise(tokens)
    found = _read_one(tokens, paths)
    assert found == pytest.approx(surprise, abs=0.1)
    assert found != pytest.approx(np.roll(surprise, 1), abs=0.1)


def test_logits_shifted_by_a_position_would_show(paths, monkeypatch):
    """The negative control: with the tokens one further, perplexity is far off and a model is not equal to itself."""
    right = quality._next
    monkeypatch.setattr(quality, "_next", lambda window, at, rows: np.roll(right(window, at, rows), 1))
    assert measure(EIGHT, paths).perplexity.value > 2 * LLAMA_PERPLEXITY
    divergence = scoring.divergence
    monkeypatch.setattr(scoring, "divergence", lambda ours, theirs: divergence(np.roll(ours, 1, axis=0), theirs))
    assert measure(dataclasses.replace(EIGHT, reference=STARTER_MODEL), paths).kl_mean.value > 1


def test_small_slices_give_the_same(paths, monkeypatch):
    whole = measure(dataclasses.replace(EIGHT, chunks=2), paths)
    monkeypatch.setattr("app.engine.evaluation.ROWS_BYTES", 50 * 4096 * 4)
    sliced = measure(dataclasses.replace(EIGHT, chunks=2), paths)
    assert sliced.perplexity.value == pytest.approx(whole.perplexity.value, rel=1e-3)
    assert sliced.scored_tokens == whole.scored_tokens


def test_long_windows_take_several_batches(paths):
    found = measure(dataclasses.replace(EIGHT, context_tokens=1100, chunks=1), paths)
    assert found.scored_tokens == 549
    assert 20 < found.perplexity.value < 2000


def test_the_bundled_text_is_named_by_its_bytes(paths, monkeypatch, tmp_path):
    text = tmp_path / "evaluation.txt"
    text.write_bytes(EVAL_CODE.read_bytes()[:9000])
    monkeypatch.setattr(texts, "EVALUATION_TEXT", text)
    found = measure(dataclasses.replace(EIGHT, text=None), paths)
    assert found.text == f"bundled {hashlib.sha256(text.read_bytes()).hexdigest()[:8]}"
    assert measure(dataclasses.replace(EIGHT, text=text), paths).text == found.text.replace("bundled", text.name)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"too short", "too short: "),
        (b"\xff\xfe\x00", "not a text in UTF-8"),
        (None, "could not be read"),
        (b"", "too short"),
    ],
)
def test_a_text_that_cannot_be_used(paths, tmp_path, content, words):
    text = tmp_path / "text.txt"
    if content is not None:
        text.write_bytes(content)
    with pytest.raises(AppError, match=words):
        measure(dataclasses.replace(EIGHT, text=text), paths)


def test_a_text_larger_than_anybody_reads(paths, tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "_LARGEST_BYTES", 100)
    with pytest.raises(AppError, match="larger than"):
        measure(EIGHT, paths)


def test_a_file_that_is_not_there_or_no_model(paths, tmp_path):
    for path in (tmp_path / "none.gguf", EVAL_CODE):
        with pytest.raises(ModelFileError):
            measure(dataclasses.replace(EIGHT, model=path), paths)
        with pytest.raises(ModelFileError):
            measure(dataclasses.replace(EIGHT, reference=path), paths)


def test_another_vocabulary_is_refused(paths, tmp_path):
    other = random_model("llama", tmp_path)  # as many tokens, and others
    with pytest.raises(AppError, match="different vocabularies"):
        measure(dataclasses.replace(EIGHT, reference=other), paths)


@pytest.mark.parametrize(("tokens", "words"), [(8, "too short to measure"), (4096, "was trained for 2,048")])
def test_a_window_out_of_bounds(paths, tokens, words):
    with pytest.raises(AppError, match=words):
        measure(dataclasses.replace(EIGHT, context_tokens=tokens), paths)


def test_progress_and_the_time_left(paths):
    report = Recorder()
    measure(EIGHT, paths, report)
    steps = report.of(Stage.QUALITY)
    assert [step.done for step in steps] == list(range(9))
    assert {step.total for step in steps} == {8}
    assert steps[-1].seconds_left == 0 < steps[1].seconds_left


@pytest.mark.parametrize("at", [Stage.LOAD, Stage.QUALITY])
@pytest.mark.parametrize("reference", [None, STARTER_MODEL])
def test_cancelling(paths, at, reference):
    stop = StopFlag()
    seen: list[Progress] = []

    def report(event: object) -> None:
        if isinstance(event, Progress) and event.stage is at:
            seen.append(event)
            if len(seen) == 2:
                stop.set()

    with pytest.raises(Cancelled):
        measure_quality(
            dataclasses.replace(EIGHT, reference=reference), OperationContext(paths=paths, report=report, stop=stop)
        )
    assert len(seen) < 8
    assert not paths.loading_marker.exists()


def test_a_failing_second_load_frees_the_first(paths, monkeypatch):
    """The window that is open stays usable: everything that was loaded is closed again."""
    closed = []
    real = quality.open_reader

    def open_reader(path: Path, *rest: object) -> object:
        if closed:
            raise LoadError("no memory")
        reader = real(path, *rest)
        close = reader.close
        closed.append(False)
        reader.close = lambda: (close(), closed.append(True))
        return reader

    monkeypatch.setattr(quality, "open_reader", open_reader)
    with pytest.raises(LoadError):
        measure(dataclasses.replace(EIGHT, reference=STARTER_MODEL), paths)
    assert closed == [False, True]


def test_the_number_of_windows_depends_on_the_model_alone():
    assert default_windows(21_000_000, 512) == 64
    assert 4 < default_windows(1_240_000_000, 512) < 20
    assert default_windows(70_000_000_000, 512) == 4


@pytest.mark.parametrize(("available", "wanted"), [(100, 4), (7, 7), (3, 9), (1, 1), (10, 3)])
def test_few_windows_are_spread_over_the_text(available, wanted):
    chosen = texts.choose_windows(available, wanted)
    assert len(chosen) == min(available, wanted)
    assert len(set(chosen)) == len(chosen)
    assert all(0 <= number < available for number in chosen)
    assert chosen == sorted(chosen)
    assert abs(np.mean(chosen) - (available - 1) / 2) <= 1


def test_speed_in_the_same_job(paths, tmp_path):
    found = measure(dataclasses.replace(EIGHT, chunks=1, speed=True), paths)
    assert found.speed.path == STARTER_MODEL
    assert found.speed.ms_per_token_median > 0
    assert found.speed.need.weights_bytes < found.speed.peak_resident_bytes < 300_000_000
    assert found.speed.safe_mode


def test_the_peak_is_not_that_of_the_process_that_asked(paths):
    """A process begins with its parent's peak, and the parent held two models a moment ago."""
    np.ones(400_000_000, np.uint8).sum()
    assert speed.measure_speed(STARTER_MODEL, 1, paths, Recorder(), StopFlag()).peak_resident_bytes < 300_000_000


def test_a_16_bit_source_is_not_copied(paths, tmp_path, monkeypatch):
    """It has no repacked kernels, so that a map of the file does, also on a machine that is not in safe mode."""
    source = tmp_path / "f16.gguf"
    requantize(STARTER_MODEL, source, C.LLAMA_FTYPE_MOSTLY_F16)
    paths.machine.unlink()
    seen = []
    load = evaluation._load
    monkeypatch.setattr(evaluation, "_load", lambda path, safe, *rest: (seen.append(safe), load(path, safe, *rest))[1])
    found = measure(dataclasses.replace(EIGHT, model=source), paths)
    assert seen == [True]
    machine_record.remember_safe_mode(paths.machine, "a test")
    assert found.perplexity.value == pytest.approx(measure(EIGHT, paths).perplexity.value, rel=0.02)


def test_speed_that_fails_is_a_sentence_and_one_that_is_stopped_leaves_nothing(paths, tmp_path):
    with pytest.raises(AppError, match="could not be measured"):
        speed.measure_speed(tmp_path / "none.gguf", 1, paths, Recorder(), StopFlag())
    stop = StopFlag()
    stop.set()
    with pytest.raises(Cancelled):
        speed.measure_speed(STARTER_MODEL, 1, paths, Recorder(), stop)


_STARTS_AND_DIES = """
import os, sys
from pathlib import Path
from app.measure.speed import start
from app.system.paths import STARTER_MODEL, default_paths
process, _ = start(STARTER_MODEL, 0, default_paths())
print(process.pid, flush=True)
os._exit(9)
"""


def test_the_speed_process_ends_with_the_one_that_asked(paths):
    """However that ends: a job that is cancelled does not get to say so. Measured threads show how far it came."""
    done = subprocess.run([sys.executable, "-c", _STARTS_AND_DIES], capture_output=True, text=True, check=False)
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(done.stdout)).wait(timeout=60)
    assert not machine_record.read_record(paths.machine).threads
    speed.measure_speed(STARTER_MODEL, 0, paths, Recorder(), StopFlag())
    assert machine_record.read_record(paths.machine).threads


def _brute_force_surprise(tokens: tuple[int, ...]) -> np.ndarray:
    model = Model(STARTER_MODEL, ModelOptions(repack=False), lambda _share: True)
    context = Context(model, WINDOW, KvType.F16, FlashAttention.OFF)
    context.set_threads(1, 1)
    surprise = []
    for position, token in enumerate(tokens[:-1]):
        add_bos = position == 0 and C.llama_vocab_get_add_bos(model.vocabulary)
        assert context.decode([model.bos if add_bos else token], position)
        logits = np.ctypeslib.as_array(C.llama_get_logits(context.handle), shape=(model.vocabulary_size,))
        logits = logits.astype(np.float64)
        surprise.append(np.log(np.exp(logits).sum()) - logits[tokens[position + 1]])
    context.close()
    model.close()
    return np.array(surprise[len(tokens) // 2 :])


def _read_one(tokens: tuple[int, ...], paths: Paths) -> np.ndarray:
    reader = quality.open_reader(STARTER_MODEL, len(tokens), 1, paths, Recorder(), StopFlag())
    parts = [scoring.score(rows, quality._next(tokens, at, rows))[0] for at, rows in reader.read(tokens)]
    reader.close()
    return np.concatenate(parts)
