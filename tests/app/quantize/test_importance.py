from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.engine.llama import Model, ModelOptions
from app.engine.messages import MachineSpeed, TensorSpeed
from app.errors import AppError, Cancelled, LoadError, QuantizeError, StorageError
from app.library.gguf_file import read_header
from app.operation import Context, Event, Progress, Stage
from app.quantize.importance import (
    CALIBRATION_TEXT,
    check_importance,
    collect_importance,
    estimate_seconds,
    read_importance,
)
from app.quantize.importance_file import Collector, Sums, write_importance
from app.quantize.messages import CollectImportance
from app.system.paths import STARTER_MODEL
from tests.app.quantize.llama_in_numpy import inputs_of_matrices
from tests.app.quantize.reading import WINDOW, WINDOWS, model, never, read_windows, windows
from tests.app.quantize.small_mixture import EXPERTS, write_mixture
from tests.real_models import CALIBRATION, EVAL_CODE, starter_folder

__all__ = ["model", "windows"]


def request(folder: Path, **fields: object) -> CollectImportance:
    plain = CollectImportance(STARTER_MODEL, folder / "starter.imatrix.gguf", CALIBRATION, WINDOW, WINDOWS, 1)
    return replace(plain, **fields)


def collect(wanted: CollectImportance) -> dict[str, np.ndarray]:
    return read_importance(collect_importance(wanted, Context(report=ignore, stop=never)).path)


def ignore(_event: Event) -> None:
    pass


@pytest.fixture(scope="module")
def importance(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return collect(request(tmp_path_factory.mktemp("importance")))


def mean_squares(windows: list[list[int]]) -> dict[str, np.ndarray]:
    of_each = [inputs_of_matrices(STARTER_MODEL, window) for window in windows]
    return {name: np.mean([np.square(rows[name]).mean(0) for rows in of_each], 0) for name in of_each[0]}


def difference(ours: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """The worst matrix's mean relative error."""
    assert ours.keys() == other.keys()
    return max(np.abs(ours[name] - other[name]).sum() / other[name].sum() for name in other)


def with_bos(model: Model, windows: list[list[int]]) -> list[list[int]]:
    return [[model.bos, *window[1:]] for window in windows]


def test_windows_begin_with_bos_where_the_model_wants_it(tmp_path: Path) -> None:
    path = tmp_path / "bos.gguf"
    write_mixture(path, bos=True)
    found = collect(request(tmp_path, model=path))
    loaded = Model(path, ModelOptions(repack=False), lambda _share: True)
    with_it, without = Collector(), Collector()
    try:
        tokens = loaded.tokenize(CALIBRATION.read_text(), add_bos=True)[: WINDOWS * WINDOW]
        windows = [tokens[:WINDOW], tokens[WINDOW:]]
        read_windows(loaded, with_bos(loaded, windows), with_it)
        read_windows(loaded, windows, without)
    finally:
        loaded.close()
    name = "blk.0.attn_q.weight"
    right, wrong = (collector.entries[name].squares[0] / (WINDOWS * WINDOW) for collector in (with_it, without))
    np.testing.assert_allclose(found[name], right, rtol=1e-5)
    assert np.abs(wrong - right).max() > 1e-4


class TestAgainstNumpy:
    def test_equals_what_numpy_computes(self, importance: dict[str, np.ndarray], windows: list[list[int]]) -> None:
        assert difference(importance, mean_squares(windows)) < 0.01

    def test_another_text_does_not(self, importance: dict[str, np.ndarray], model: Model) -> None:
        tokens = model.tokenize(EVAL_CODE.read_text(), add_bos=True)[: WINDOWS * WINDOW]
        assert difference(importance, mean_squares([tokens[:WINDOW], tokens[WINDOW:]])) > 0.05

    def test_neither_does_another_first_token(
        self, importance: dict[str, np.ndarray], model: Model, windows: list[list[int]]
    ) -> None:
        assert difference(importance, mean_squares(with_bos(model, windows))) > 0.01

    @pytest.mark.parametrize("kind", ["bf16", "f16"])
    def test_types_of_16_bits(self, tmp_path: Path, windows: list[list[int]], kind: str) -> None:
        convert(
            Convert(starter_folder(tmp_path / "folder"), tmp_path / "wide.gguf", kind),
            Context(report=ignore, stop=never),
        )
        found = collect(request(tmp_path, model=tmp_path / "wide.gguf"))
        assert difference(found, mean_squares(windows)) < 0.01


class TestFiles:
    def test_has_what_llama_imatrix_writes(self, tmp_path: Path) -> None:
        result = collect_importance(request(tmp_path), Context(report=ignore, stop=never))
        reader = gguf.GGUFReader(result.path)
        values = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
        assert values.pop("bantam.text_sha256")
        assert values == {
            "general.type": "imatrix",
            "imatrix.datasets": [CALIBRATION.name],
            "imatrix.chunk_count": WINDOWS,
            "imatrix.chunk_size": WINDOW,
        }
        shapes = {tensor.name: tensor.shape.tolist() for tensor in reader.tensors}
        assert shapes["blk.0.attn_q.weight.in_sum2"] == [512, 1]
        assert shapes["blk.0.attn_q.weight.counts"] == [1, 1]
        assert result.entries == len(shapes) // 2 == 42
        assert result.tokens == WINDOWS * WINDOW

    def test_the_file_has_an_array_over_all_experts(self, tmp_path: Path) -> None:
        write_mixture(tmp_path / "mixture.gguf")
        found = collect(request(tmp_path, model=tmp_path / "mixture.gguf"))
        width = found["blk.0.ffn_gate_inp.weight"].size
        assert found["blk.0.ffn_gate_exps.weight"].size == EXPERTS * width

    def test_round_trip_and_unused_experts(self, tmp_path: Path) -> None:
        path = tmp_path / "some.gguf"
        sums = Sums(np.array([[2.0, 4.0], [0.0, 0.0]]), np.array([2, 0]))
        write_importance(path, {"blk.0.x.weight": sums}, "text", 1, 2, {})
        assert read_importance(path)["blk.0.x.weight"].tolist() == [1.0, 2.0, 1.0, 1.0]
        assert [child.name for child in tmp_path.iterdir()] == ["some.gguf"]

    def test_reads_the_older_format(self, tmp_path: Path) -> None:
        path = tmp_path / "old.dat"
        path.write_bytes(legacy("blk.0.attn_q.weight", 5, [10.0, 20.0]))
        assert read_importance(path)["blk.0.attn_q.weight"].tolist() == [2.0, 4.0]

    @pytest.mark.parametrize("damage", ["cut", "nan", "negative", "model", "text", "empty", "lengths"])
    def test_refuses_what_is_damaged(self, tmp_path: Path, damage: str) -> None:
        path = tmp_path / "bad.dat"
        whole = legacy("blk.0.attn_q.weight", 5, [10.0, 20.0])
        contents = {
            "cut": whole[:40],
            "nan": legacy("a", 1, [float("nan")]),
            "negative": legacy("a", 1, [-1.0]),
            "model": STARTER_MODEL.read_bytes(),
            "text": b"a text and no matrix",
            "empty": b"",
            "lengths": struct.pack("<ii", 1, 1 << 30),
        }
        path.write_bytes(contents[damage])
        with pytest.raises(QuantizeError, match="not an importance matrix"):
            read_importance(path)

    def test_a_gguf_matrix_cut_short(self, tmp_path: Path) -> None:
        path = tmp_path / "some.gguf"
        write_importance(path, {"a": Sums(np.ones((1, 64)), np.array([2]))}, "text", 1, 2, {})
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(QuantizeError, match="not an importance matrix"):
            read_importance(path)

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(QuantizeError, match="could not be read"):
            read_importance(tmp_path / "none.gguf")

    def test_a_matrix_of_another_model(self, importance: dict[str, np.ndarray]) -> None:
        shapes = {tensor.name: tuple(tensor.shape.tolist()) for tensor in gguf.GGUFReader(STARTER_MODEL).tensors}
        check_importance(importance, shapes, "starter")
        wide = shapes | {"blk.0.attn_q.weight": (1024, 512)}
        with pytest.raises(QuantizeError, match="512 columns there and 1,024 here"):
            check_importance(importance, wide, "starter")
        fewer = {name: shape for name, shape in shapes.items() if not name.startswith("blk.5")}
        with pytest.raises(QuantizeError, match="and this model has 5 layers"):
            check_importance(importance, fewer, "starter")
        more = shapes | {name.replace("blk.", "blk.1"): shape for name, shape in shapes.items()}
        more |= {name.replace("blk.", "blk.2"): shape for name, shape in shapes.items()}
        with pytest.raises(QuantizeError, match="most matrices of this model are not in it"):
            check_importance(importance, more, "starter")

    def test_single_entries_may_be_missing_or_too_many(self, importance: dict[str, np.ndarray]) -> None:
        shapes = {tensor.name: tuple(tensor.shape.tolist()) for tensor in gguf.GGUFReader(STARTER_MODEL).tensors}
        other = importance | {"output.weight": np.ones(512, np.float32)}
        del other["blk.2.ffn_up.weight"]
        check_importance(other, shapes, "starter")

    def test_stacked_experts(self) -> None:
        shapes = {"blk.0.ffn_up_exps.weight": (64, 32, 4)}
        check_importance({"blk.0.ffn_up_exps.weight": np.ones(4 * 64, np.float32)}, shapes, "mixture")
        with pytest.raises(QuantizeError, match="64 columns there and 256 here"):
            check_importance({"blk.0.ffn_up_exps.weight": np.ones(64, np.float32)}, shapes, "mixture")


def legacy(name: str, calls: int, values: list[float]) -> bytes:
    head = struct.pack("<ii", 1, len(name)) + name.encode()
    return head + struct.pack("<ii", calls, len(values)) + struct.pack(f"<{len(values)}f", *values)


class TestRefusals:
    """Each leaves nothing behind."""

    @pytest.fixture(autouse=True)
    def nothing_left(self, tmp_path: Path) -> None:
        yield
        assert not (tmp_path / "starter.imatrix.gguf.part").exists()
        assert not (tmp_path / "starter.imatrix.gguf").exists()

    def test_a_text_too_short(self, tmp_path: Path) -> None:
        (tmp_path / "short.txt").write_text("A few words.")
        with pytest.raises(AppError, match=r"short\.txt is too short: it has \d+ tokens, and one window takes 64"):
            collect(request(tmp_path, text=tmp_path / "short.txt"))

    def test_a_text_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe" * 100)
        with pytest.raises(AppError, match="not a text in UTF-8"):
            collect(request(tmp_path, text=tmp_path / "picture.png"))

    def test_a_text_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match=r"none\.txt could not be read"):
            collect(request(tmp_path, text=tmp_path / "none.txt"))

    def test_a_huge_text(self, tmp_path: Path) -> None:
        with (tmp_path / "huge.txt").open("wb") as file:
            file.truncate(65 << 20)
        with pytest.raises(AppError, match="larger than 64 MiB"):
            collect(request(tmp_path, text=tmp_path / "huge.txt"))

    def test_no_folder_for_the_output(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="There is no folder"):
            collect(request(tmp_path, output=tmp_path / "none" / "x.gguf"))

    def test_no_memory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("app.engine.memory.available_memory_bytes", lambda: 1_000_000)
        with pytest.raises(LoadError, match="of memory are free"):
            collect(request(tmp_path))

    def test_a_model_that_computes_nonsense(self, tmp_path: Path) -> None:
        write_mixture(tmp_path / "nan.gguf", damaged=True)
        with pytest.raises(QuantizeError, match=r"not numbers, first at blk\.0"):
            collect(request(tmp_path, model=tmp_path / "nan.gguf"))

    @pytest.mark.parametrize("stage", [Stage.LOAD, Stage.CALIBRATE])
    def test_cancelled(self, tmp_path: Path, stage: Stage) -> None:
        stages: list[Stage] = []

        def report(event: Event) -> None:
            assert isinstance(event, Progress)
            stages.append(event.stage)

        with pytest.raises(Cancelled):
            collect_importance(request(tmp_path), Context(report=report, stop=lambda: stage in stages))
        assert stages.count(Stage.CALIBRATE) == (stage is Stage.CALIBRATE)

    def test_a_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(_file: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("app.quantize.importance_file.os.fsync", full)
        with pytest.raises(StorageError, match="No space left on device"):
            collect(request(tmp_path))


def test_an_output_that_is_there_is_kept(tmp_path: Path) -> None:
    output = request(tmp_path).output
    output.write_bytes(b"mine")
    with pytest.raises(StorageError, match="is there already"):
        collect(request(tmp_path))
    assert output.read_bytes() == b"mine"


def test_the_bundled_text(tmp_path: Path) -> None:
    result = collect_importance(request(tmp_path, text=None, chunks=1), Context(report=ignore, stop=never))
    text = gguf.GGUFReader(result.path).fields["bantam.text_sha256"].contents()
    assert text == hashlib.sha256(CALIBRATION_TEXT.read_bytes()).hexdigest()


def test_progress_has_the_windows_and_the_time_left(tmp_path: Path) -> None:
    events: list[Event] = []
    collect_importance(request(tmp_path), Context(report=events.append, stop=never))
    steps = [event for event in events if isinstance(event, Progress) and event.stage is Stage.CALIBRATE]
    assert [(step.done, step.total) for step in steps] == [(0, 2), (1, 2), (2, 2)]
    assert steps[1].seconds_left > 0
    assert steps[2].seconds_left == 0


def test_the_estimate_grows_with_the_windows() -> None:
    speed = MachineSpeed((TensorSpeed("Q8_0", 10e9),), 10e9, 0.02, 2, "")
    header = read_header(STARTER_MODEL)
    one, many = (estimate_seconds(header, chunks, speed) for chunks in (1, 100))
    assert many == pytest.approx(100 * one)
    assert 0.1 < one < 10


def test_the_window_can_import_it_without_numpy() -> None:
    code = "import sys, json; import app.quantize.importance; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
    assert not {"numpy", "gguf", "llama_cpp"} & set(loaded)
