"""The file that is written: types, shards, the header alone, cancel; and what is refused, with nothing left behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from app.convert import checkpoint, conversion
from app.convert.conversion import check, convert, write_header
from app.convert.messages import Convert
from app.errors import Cancelled, ConversionError, DiskFullError, StorageError
from app.operation import Context, Progress, Stage
from tests.app.convert.small_models import change_config, make
from tests.real_models import STDLIB_3M, write_safetensors


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STDLIB_3M, tmp_path / "model"))


def run(folder: Path, output: Path, kind: str = "bf16") -> Path:
    return convert(Convert(folder, output, kind), Context()).path


def weights(folder: Path) -> dict[str, np.ndarray]:
    return {
        name: checkpoint.as_float32(tensor.rows(0, tensor.shape[0]), tensor.dtype)
        for name, tensor in checkpoint.open_checkpoint(folder).items()
    }


@pytest.mark.parametrize(("kind", "matrix"), [("f32", "F32"), ("f16", "F16"), ("bf16", "BF16"), ("q8_0", "Q8_0")])
def test_types(model: Path, tmp_path: Path, kind: str, matrix: str) -> None:
    tensors = {t.name: t for t in gguf.GGUFReader(run(model, tmp_path / "m.gguf", kind)).tensors}
    assert tensors["blk.0.ffn_up.weight"].tensor_type.name == matrix
    assert tensors["blk.0.attn_norm.weight"].tensor_type.name == "F32"
    written = gguf.quants.dequantize(
        tensors["blk.1.ffn_down.weight"].data, tensors["blk.1.ffn_down.weight"].tensor_type
    )
    source = weights(model)["model.layers.1.mlp.down_proj.weight"]
    np.testing.assert_allclose(written, source, atol=np.abs(source).max() / 250 if kind == "q8_0" else 1e-4)


def test_rows_that_do_not_divide_into_blocks_become_f16(tmp_path: Path) -> None:
    folder = make("llama", tmp_path / "odd", intermediate_size=500)
    tensors = {t.name: t for t in gguf.GGUFReader(run(folder, tmp_path / "m.gguf", "q8_0")).tensors}
    assert tensors["blk.0.ffn_down.weight"].tensor_type.name == "F16"
    assert tensors["blk.0.ffn_up.weight"].tensor_type.name == "Q8_0"


def test_shards_give_the_same_file(model: Path, tmp_path: Path) -> None:
    whole = run(model, tmp_path / "whole.gguf").read_bytes()
    shard(model)
    assert run(model, tmp_path / "sharded.gguf").read_bytes() == whole


def test_small_stretches_give_the_same_file(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.convert import tensors

    whole = run(model, tmp_path / "whole.gguf", "q8_0").read_bytes()
    monkeypatch.setattr(tensors, "_STRETCH_BYTES", 20_000)
    assert run(model, tmp_path / "stretches.gguf", "q8_0").read_bytes() == whole


def test_the_header_alone_is_that_of_the_file(model: Path, tmp_path: Path) -> None:
    file, stub = run(model, tmp_path / "m.gguf"), tmp_path / "stub.gguf"
    write_header(model, stub, "bf16")
    start = int(gguf.GGUFReader(file).data_offset)
    assert stub.read_bytes()[:start] == file.read_bytes()[:start]
    assert stub.stat().st_size == file.stat().st_size
    assert stub.stat().st_blocks * 512 < file.stat().st_size / 2, "a hole takes no disk"


def test_progress_counts_the_tensors(model: Path, tmp_path: Path) -> None:
    said: list[Any] = []
    convert(Convert(model, tmp_path / "m.gguf", "f16"), Context(report=said.append))
    assert [(event.stage, event.done) for event in said] == [(Stage.CONVERT, n + 1) for n in range(len(said))]
    assert said[-1] == Progress(Stage.CONVERT, len(weights(model)), len(weights(model)))


@pytest.mark.parametrize("after", [0, 1, 7, 15])
def test_cancel_leaves_nothing(model: Path, tmp_path: Path, after: int) -> None:
    asked = iter(range(100))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(Cancelled):
        convert(Convert(model, out / "m.gguf"), Context(stop=lambda: next(asked) >= after))
    assert list(out.iterdir()) == []


def shard(folder: Path) -> None:
    """Split the single file into two, with an index."""
    tensors = list(weights(folder).items())
    parts = {"model-00001-of-00002.safetensors": tensors[:9], "model-00002-of-00002.safetensors": tensors[9:]}
    for name, members in parts.items():
        write_safetensors(folder / name, dict(members))
    index = {name: file for file, members in parts.items() for name, _ in members}
    (folder / checkpoint.INDEX).write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (folder / checkpoint.SINGLE).unlink()


def test_an_index_of_an_earlier_save_beside_the_whole_file_is_passed_over(model: Path, tmp_path: Path) -> None:
    whole = run(model, tmp_path / "whole.gguf").read_bytes()
    (model / checkpoint.INDEX).write_text('{"weight_map": {"old.weight": "model-00001-of-00009.safetensors"}}')
    assert run(model, tmp_path / "beside.gguf").read_bytes() == whole


def test_an_output_matrix_that_is_listed_and_tied_need_not_be_there(model: Path, tmp_path: Path) -> None:
    headless(model)
    change_config(model, tie_word_embeddings=True)
    shard(model)
    index = json.loads((model / checkpoint.INDEX).read_text())
    index["weight_map"]["lm_head.weight"] = "model-00001-of-00002.safetensors"
    (model / checkpoint.INDEX).write_text(json.dumps(index))
    assert run(model, tmp_path / "m.gguf").is_file()


@pytest.mark.parametrize("dtype", ["BOOL", "U8", "I64"])
def test_a_mask_that_was_saved_with_the_weights_is_no_weight(model: Path, tmp_path: Path, dtype: str) -> None:
    whole = run(model, tmp_path / "whole.gguf").read_bytes()
    with_weights(model, **{"model.layers.0.self_attn.attn.bias": np.zeros((4, 4), np.float32)})
    file = model / checkpoint.SINGLE
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["model.layers.0.self_attn.attn.bias"] |= {"dtype": dtype, "shape": [64 // (8 if dtype == "I64" else 1)]}
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    assert run(model, tmp_path / "masked.gguf").read_bytes() == whole


ODD = (None, True, -1, 0, 1.5, 1e400, "x", [], {}, [None], {"a": []}, 1 << 70)


def spoiled(value: Any, places: list[tuple[Any, ...]], number: int) -> Any:
    """A copy of the JSON `value` with something odd at one of the places."""
    copy = json.loads(json.dumps(value))
    *path, last = places[number % len(places)]
    inner = copy
    for step in path:
        inner = inner[step]
    inner[last] = ODD[number % len(ODD)]
    return copy


def places_of(value: Any, depth: int = 4) -> list[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value[:5]) if isinstance(value, list) else ()
    found: list[tuple[Any, ...]] = []
    for key, inner in list(pairs)[:40]:
        found.append((key,))
        if depth:
            found += [(key, *rest) for rest in places_of(inner, depth - 1)]
    return found


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_whatever_stands_in_the_files_is_a_plan_or_a_sentence(model: Path, name: str) -> None:
    given = json.loads((model / name).read_text())
    places = places_of(given)
    generator = np.random.default_rng(5)
    refused = 0
    for number in generator.integers(0, 1 << 30, 150).tolist():
        (model / name).write_text(json.dumps(spoiled(given, places, number)))
        try:
            check(model)
        except ConversionError:
            refused += 1
    # What tokenizer_config.json says is mostly for chats; the other two decide about the file.
    assert refused > 5 or name == "tokenizer_config.json"


def missing_shard(folder: Path) -> None:
    shard(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


def wrong_index(folder: Path) -> None:
    shard(folder)
    index = json.loads((folder / checkpoint.INDEX).read_text())
    index["weight_map"]["model.layers.9.mlp.up_proj.weight"] = "model-00001-of-00002.safetensors"
    (folder / checkpoint.INDEX).write_text(json.dumps(index))


def hostile_index(folder: Path) -> None:
    shard(folder)
    (folder / checkpoint.INDEX).write_text(json.dumps({"weight_map": {"a": "../../secret"}}))


def truncated(folder: Path) -> None:
    with (folder / checkpoint.SINGLE).open("r+b") as file:
        file.truncate((folder / checkpoint.SINGLE).stat().st_size - 1000)


def with_weights(folder: Path, **changes: np.ndarray | None) -> None:
    tensors = weights(folder) | changes
    write_safetensors(folder / checkpoint.SINGLE, {k: v for k, v in tensors.items() if v is not None})


def not_a_number(folder: Path) -> None:
    bad = weights(folder)["model.layers.1.mlp.up_proj.weight"].copy()
    bad[700, 3] = np.nan
    with_weights(folder, **{"model.layers.1.mlp.up_proj.weight": bad})


def wrong_shape(folder: Path) -> None:
    with_weights(folder, **{"model.layers.0.mlp.down_proj.weight": np.zeros((256, 512), np.float32)})


def unknown_tensor(folder: Path) -> None:
    with_weights(folder, **{"model.layers.0.mystery.weight": np.zeros((256, 256), np.float32)})


def missing_tensor(folder: Path) -> None:
    with_weights(folder, **{"model.layers.1.mlp.up_proj.weight": None})


def pickles(folder: Path) -> None:
    (folder / checkpoint.SINGLE).rename(folder / "pytorch_model.bin")


def adapter(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/Base-1B"}')


def headless(folder: Path) -> None:
    with_weights(folder, **{"lm_head.weight": None})
    change_config(folder, tie_word_embeddings=False)


def set_config(**changes: Any) -> Any:
    return lambda folder: change_config(folder, **changes)


def rubbish(folder: Path) -> None:
    (folder / checkpoint.SINGLE).write_bytes(b"<html>not found</html>" * 100)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (missing_shard, "1 of the model's 2 files are missing"),
        (wrong_index, "index names other tensors"),
        (hostile_index, "outside its folder"),
        (truncated, "cut off: 1,000 bytes"),
        (rubbish, "damaged"),
        (not_a_number, "no numbers (NaN or infinity)"),
        (wrong_shape, "not what config.json says"),
        (unknown_tensor, "mystery"),
        (missing_tensor, "lacks “ffn_up.weight”"),
        (pickles, "a pickle"),
        (set_config(architectures=["MambaForCausalLM"]), "MambaForCausalLM"),
        (set_config(architectures=None), "does not name"),
        (set_config(num_hidden_layers=3), "Layer 2 of 3 is missing"),
        (set_config(hidden_size=None), "not what config.json says"),  # the class's 4096
        (set_config(hidden_size="wide"), "hidden_size"),
        (set_config(rope_parameters={"rope_type": "spiral"}), "spiral"),
        (set_config(rope_parameters={"rope_type": "linear"}), "factor"),
        (set_config(quantization_config={"quant_method": "gptq"}), "gptq"),
        (set_config(quantization_config={"quant_method": "awq"}), "awq"),
        (set_config(quantization_config={"quant_method": "fp8"}), "fp8"),
        (lambda folder: (folder / "config.json").write_text("[1]"), "not an object"),
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (adapter, "an adapter (LoRA) for someone/Base-1B"),
        (headless, "lm_head.weight"),
    ],
)
def test_what_cannot_be_converted_says_why_and_leaves_nothing(
    model: Path, tmp_path: Path, damage: Any, sentence: str
) -> None:
    damage(model)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ConversionError) as caught:
        run(model, out / "m.gguf")
    assert sentence in caught.value.sentence
    assert caught.value.hint or sentence in ("hidden_size", "factor", "damaged")
    assert list(out.iterdir()) == []


def test_checking_reads_no_weights(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint.SourceTensor, "rows", lambda *_: pytest.fail("read"))
    check(model)
    not_there = set_config(architectures=["X"])
    not_there(model)
    with pytest.raises(ConversionError):
        check(model)


def test_an_output_that_is_there_stays(model: Path, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"mine")
    with pytest.raises(StorageError, match="there already"):
        run(model, tmp_path / "m.gguf")
    assert (tmp_path / "m.gguf").read_bytes() == b"mine"


def test_no_folder_to_write_to(model: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no folder"):
        run(model, tmp_path / "away" / "m.gguf")


def test_no_room(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.system.files.free_bytes", lambda _folder: 1000)
    with pytest.raises(DiskFullError, match="must stay free there"):
        run(model, tmp_path / "m.gguf")


def test_a_disk_that_fills_up_leaves_nothing(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(conversion, "_write_tensors", fail)
    with pytest.raises(StorageError, match="No space left"):
        run(model, out / "m.gguf")
    assert list(out.iterdir()) == []


def test_a_source_that_goes_while_it_runs(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ConversionError, match="could not be read to its end"):
        convert(Convert(model, out / "m.gguf"), Context(report=lambda _: (model / checkpoint.SINGLE).unlink(True)))
    assert list(out.iterdir()) == []
