"""The whole way from a folder or a file to a smaller file: what is made, what is noted, what is left where it fails."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import pytest

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.errors import AppError, Cancelled, ConversionError, DiskFullError, ModelFileError, QuantizeError, StorageError
from app.library.manifest import origin_of
from app.library.messages import VerifyModel
from app.library.provenance import words_of
from app.library.verify import sha256_of, verify
from app.operation import Context, Event, Progress, Stage
from app.quantize import quantize as module
from app.quantize.messages import Quantize
from app.quantize.outputs import default_output, each, step_of
from app.quantize.quantize import quantize, sizes
from tests.real_models import EVAL_CODE, STDLIB_3M


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STDLIB_3M, tmp_path / "owner" / "stdlib"))


@pytest.fixture
def file(folder: Path) -> Path:
    return convert(Convert(folder, folder / "stdlib-BF16.gguf"), Context()).path


def run(request: Quantize, report: Callable[[Event], None] = lambda _event: None) -> Any:
    return quantize(request, Context(report=report))


def request_of(source: Path, kind: str = "Q4_K_M", **changes: Any) -> Quantize:
    return replace(Quantize(source, default_output(source, kind), kind), **changes)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_from_a_folder(folder: Path) -> None:
    before = names(folder)
    request = request_of(folder)
    expected, between = sizes(request)
    result = run(request)
    assert result.path == folder / "stdlib-Q4_K_M.gguf"
    assert result.size_bytes == expected == result.path.stat().st_size
    assert between > expected
    assert names(folder) - before == {"stdlib-Q4_K_M.gguf", "manifest.json"}
    origin = origin_of(result.path)
    assert origin is not None
    assert (origin.parent, origin.recipe) == (".", "Q4_K_M")
    assert origin.sha256 == result.sha256 == sha256_of(result.path)


def test_from_a_file_it_is_the_same(folder: Path, file: Path) -> None:
    of_folder, of_file = run(request_of(folder)), run(request_of(file, output=folder / "other.gguf"))
    assert [bytes(t.data) for t in gguf.GGUFReader(of_folder.path).tensors] == [
        bytes(t.data) for t in gguf.GGUFReader(of_file.path).tensors
    ]
    origin = origin_of(of_file.path)
    assert origin is not None
    assert origin.parent == "stdlib-BF16.gguf"


def test_the_16_bit_file_can_be_kept(folder: Path) -> None:
    run(request_of(folder, keep_intermediate=True))
    assert "stdlib-Q4_K_M-16bit.gguf" in names(folder)


def test_progress_is_true(file: Path) -> None:
    said: list[Event] = []
    run(request_of(file), said.append)
    shares = [event.done for event in said if isinstance(event, Progress) and event.stage is Stage.QUANTIZE]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1000)


def test_calibrated(folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.quantize import importance

    short = folder / "text.txt"
    short.write_text(EVAL_CODE.read_text()[:4000])
    monkeypatch.setattr(importance, "CALIBRATION_TEXT", short)
    plain, said = run(request_of(file)), []
    weighed = run(request_of(file, calibrate=True, output=folder / "weighed.gguf"), said.append)
    assert weighed.recipe == "Q4_K_M with an importance matrix"
    assert weighed.sha256 != plain.sha256
    assert Stage.CALIBRATE in {event.stage for event in said if isinstance(event, Progress)}
    assert not [name for name in names(folder) if "part" in name]


def test_several_types_get_names_of_their_own(file: Path) -> None:
    requests = each(request_of(file), ("Q4_0", "Q8_0"))
    assert [request.output.name for request in requests] == ["stdlib-Q4_0.gguf", "stdlib-Q8_0.gguf"]


def test_nothing_is_removed_that_is_not_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that may only be read even the attempt fails, and that is not how the user should hear of it."""

    def unlink(path: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system")

    request = request_of(file)
    request.output.write_bytes(b"mine")
    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(StorageError, match="there already"):
        run(request)


def test_recipes(file: Path) -> None:
    assert words_of((step_of(request_of(file, output_type="Q8_0")),)) == "Q4_K_M; output=Q8_0"
    assert "GPTQ" in words_of((step_of(request_of(file, best=True)),))


def no_room(_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.system.files.free_bytes", lambda _folder: 1000)


def no_memory(_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available_memory_bytes", lambda: 1000)


def output_there(folder: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "stdlib-Q4_K_M.gguf").write_bytes(b"mine")


def damaged_result(_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damage(part: Path) -> None:
        raise ModelFileError(f"{part.name} is damaged.")

    monkeypatch.setattr(module, "read_header", damage)


def half_weights(folder: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / "model.safetensors").open("r+b") as weights:
        weights.truncate(1_000_000)


def disk_fills_up(_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_run_native", fail)


@pytest.mark.parametrize(
    ("trouble", "error", "sentence"),
    [
        (no_room, DiskFullError, "must stay free there"),
        (no_memory, QuantizeError, "of memory"),
        (output_there, StorageError, "there already"),
        (damaged_result, QuantizeError, "cannot be read again"),
        (half_weights, ConversionError, "cut off"),
        (disk_fills_up, StorageError, "No space left"),
    ],
)
def test_trouble_is_said_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, trouble: Any, error: type[AppError], sentence: str
) -> None:
    trouble(folder, monkeypatch)
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    with pytest.raises(error) as caught:
        run(request_of(folder))
    assert sentence in caught.value.sentence
    assert {name: (folder / name).read_bytes() for name in names(folder)} == before


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"type": "Q9"}, "not a type to quantize to"),
        ({"type": "IQ2_XS"}, "with an importance matrix only"),
        ({"best": True, "type": "Q8_0"}, "best rounding makes Q4_0 or Q4_K_M"),
        ({"output": Path("/nowhere/m.gguf")}, "There is no folder"),
        ({"source": Path("/nowhere/m.gguf")}, "is not there"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    file: Path, changes: dict[str, Any], sentence: str
) -> None:
    before = names(file.parent)
    with pytest.raises(AppError) as caught:
        run(replace(request_of(file), **changes))
    assert sentence in caught.value.sentence
    assert caught.value.hint
    assert names(file.parent) == before


def test_a_quantized_source_is_refused_unless_it_is_allowed(file: Path) -> None:
    eight = run(request_of(file, "Q8_0")).path
    with pytest.raises(QuantizeError, match="quantized already"):
        run(request_of(eight, output=file.parent / "again.gguf"))
    assert run(request_of(eight, output=file.parent / "again.gguf", requantize=True))


@pytest.mark.parametrize("after", [0, 3, 10, 19])
def test_cancel_leaves_nothing(folder: Path, after: int) -> None:
    before = names(folder)
    asked = iter(range(10_000))
    with pytest.raises(Cancelled):
        quantize(request_of(folder), Context(stop=lambda: next(asked) >= after))
    assert names(folder) == before


def test_what_was_made_here_is_verified_as_such(file: Path) -> None:
    made = run(request_of(file)).path
    request = VerifyModel(made)
    assert verify(request, Context()).sentence == "Every byte is as it was made."
    data = bytearray(made.read_bytes())
    data[-1] ^= 1
    made.write_bytes(data)
    assert "is not what was made. Delete it and make it again." in verify(request, Context()).sentence
