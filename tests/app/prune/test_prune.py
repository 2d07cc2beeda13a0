"""Pruning a folder: what is written, what it says of itself, and the ways in which it must end well."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.errors import AppError, Cancelled, ConversionError, DiskFullError, ModelFileError, PruneError, StorageError
from app.library.manifest import read_manifest
from app.library.verify import sha256_of
from app.operation import Context, Event, Notice, Progress, Stage
from app.prune.folder_writer import work_folder
from app.prune.messages import PruneMethod
from app.prune.prune import prune
from tests.app.convert.small_models import change_config, make
from tests.app.prune.runs import files, logits, matrices, request, run, tensors, zeros
from tests.real_models import STDLIB_3M

SPARSE = [PruneMethod.MAGNITUDE, PruneMethod.GLOBAL_MAGNITUDE, PruneMethod.WANDA, PruneMethod.SPARSEGPT]
IDS = torch.arange(64).view(1, 64) * 31 % 4096


@pytest.mark.parametrize("method", SPARSE)
def test_half_of_the_weights_become_zero(method: PruneMethod, tmp_path: Path) -> None:
    result = run(request(tmp_path / "out", method))
    pruned = matrices(result.path)
    total = sum(values.numel() for values in pruned.values())
    assert result.zeros == sum(zeros(values) for values in pruned.values()) == total // 2
    assert result.parameters_before == result.parameters_after == sum(v.numel() for v in tensors(STDLIB_3M).values())
    assert result.size_bytes == sum(file.stat().st_size for file in result.path.glob("*.safetensors"))
    before, after = tensors(STDLIB_3M), tensors(result.path)
    assert {n: (v.shape, v.dtype) for n, v in after.items()} == {n: (v.shape, v.dtype) for n, v in before.items()}
    for name in before.keys() - pruned.keys():
        assert torch.equal(before[name], after[name])


@pytest.mark.parametrize("method", [m for m in SPARSE if m is not PruneMethod.GLOBAL_MAGNITUDE])
@pytest.mark.parametrize("pattern", ["2:4", "4:8"])
def test_a_pattern_holds_in_every_group(method: PruneMethod, pattern: str, tmp_path: Path) -> None:
    count, group = map(int, pattern.split(":"))
    run(request(tmp_path / "out", method, pattern=pattern))
    for values in matrices(tmp_path / "out").values():
        assert ((values.view(-1, group) == 0).sum(1) >= count).all()


def test_over_the_whole_model_the_smallest_go_wherever_they_are(tmp_path: Path) -> None:
    run(request(tmp_path / "out", PruneMethod.GLOBAL_MAGNITUDE, 0.3))
    before, after = matrices(STDLIB_3M), matrices(tmp_path / "out")
    taken = torch.cat([before[name][after[name] == 0].abs() for name in before])
    kept = torch.cat([before[name][after[name] != 0].abs() for name in before])
    assert len(taken) == int(0.3 * (len(taken) + len(kept)))
    assert taken.max() <= kept.min()
    shares = {zeros(values) / values.numel() for values in after.values()}
    assert max(shares) > 1.5 * min(shares), "the control: by matrix they would all lose the same"


def test_the_result_is_a_model_with_its_origin(tmp_path: Path) -> None:
    result = run(request(tmp_path / "out", PruneMethod.SPARSEGPT))
    assert logits(result.path, IDS).isfinite().all()
    convert(Convert(result.path, tmp_path / "out.gguf"), Context())
    for file in result.path.glob("*.safetensors"):
        origin = read_manifest(result.path).files[file.name]
        assert (origin.sha256, origin.size_bytes) == (sha256_of(file, lambda _count: None), file.stat().st_size)
        assert (result.path / origin.parent).resolve() == STDLIB_3M.resolve()
        assert origin.recipe == result.recipe == "SparseGPT, 50 % zeros"
        assert origin.altered, "and not only rounded"
    assert json.loads((result.path / "config.json").read_text()) == json.loads((STDLIB_3M / "config.json").read_text())
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("kind", ["llama3", "llama-biased", "mistral", "qwen2", "qwen3", "gemma2", "gemma3"])
def test_every_family_tied_or_with_biases(kind: str, tmp_path: Path) -> None:
    source = make(kind, tmp_path / "source", num_hidden_layers=2)
    result = run(request(tmp_path / "out", PruneMethod.SPARSEGPT, source=source, chunks=2))
    before, after = tensors(source), tensors(result.path)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before if name.endswith(("bias", "norm.weight")))
    assert all(zeros(values) == values.numel() // 2 for values in matrices(result.path).values())
    assert logits(result.path, IDS).isfinite().all()


def test_later_blocks_are_measured_with_what_earlier_ones_became(tmp_path: Path) -> None:
    """Wanda's mask of block 0 is the source's; that of block 1 changes with the share that block 0 lost."""
    half = {n: v == 0 for n, v in matrices(run(request(tmp_path / "a")).path).items()}
    source = shutil.copytree(tmp_path / "a", tmp_path / "source")
    again = {n: v == 0 for n, v in matrices(run(request(tmp_path / "b", source=source)).path).items()}
    assert all(torch.equal(half[name], again[name]) for name in half)


def test_rewinding_takes_the_mask_from_one_and_the_weights_from_the_other(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    early = shutil.copytree(STDLIB_3M, tmp_path / "early", copy_function=shutil.copyfile)
    save_file({n: v * 0.5 + 1 for n, v in tensors(STDLIB_3M).items()}, early / "model.safetensors", {"format": "pt"})
    plain = tensors(run(request(tmp_path / "plain")).path)
    rewound = tensors(run(request(tmp_path / "rewound", rewind=early)).path)
    weights, masked = tensors(early), matrices(tmp_path / "plain")
    for name, values in rewound.items():
        kept = plain[name] != 0 if name in masked else torch.ones_like(values, dtype=torch.bool)
        assert torch.equal(values, weights[name] * kept)


@pytest.mark.parametrize("amount", [0.0, 1.0, -0.5, 1.5, float("nan"), float("inf")])
def test_an_amount_that_cannot_be(amount: float, tmp_path: Path) -> None:
    with pytest.raises(PruneError, match="share to take away"):
        run(request(tmp_path / "out", amount=amount))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"pattern": "4:2"}, "“4:2” is not a pattern"),
        ({"pattern": "half"}, "“half” is not a pattern"),
        ({"pattern": "2:4", "amount": 0.3}, "sets 50 % of the weights to zero, and 30 %"),
        ({"pattern": "33:66"}, "no whole groups of 66"),
        ({"pattern": "2:4", "method": PruneMethod.GLOBAL_MAGNITUDE}, "nothing to compare"),
    ],
)
def test_a_pattern_that_cannot_be(changes: dict[str, object], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(PruneError, match=sentence):
        run(request(tmp_path / "out", **changes))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "Too short."])
def test_a_text_shorter_than_a_window(text: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(text)
    with pytest.raises(AppError, match=r"text\.txt is too short"):
        run(request(tmp_path / "out", text=tmp_path / "text.txt"))
    run(request(tmp_path / "out", PruneMethod.MAGNITUDE, text=tmp_path / "text.txt"))  # reads none


def test_activations_that_are_not_numbers_name_the_block(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    source = make("llama", tmp_path / "source")
    values = tensors(source)
    values["model.layers.1.mlp.gate_proj.weight"] *= 1e30
    values["model.layers.1.mlp.up_proj.weight"] *= 1e30
    save_file(values, source / "model.safetensors", {"format": "pt"})
    with pytest.raises(PruneError, match=r"Block 1 .* not a number"):
        run(request(tmp_path / "out", source=source))
    assert not work_folder(tmp_path / "out").exists()
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_without_padding_and_one_that_cannot_be_read(tmp_path: Path) -> None:
    source = shutil.copytree(STDLIB_3M, tmp_path / "source", copy_function=shutil.copyfile)
    settings = json.loads((source / "tokenizer_config.json").read_text())
    (source / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in settings.items() if k != "pad_token"}))
    change_config(source, pad_token_id=None)
    run(request(tmp_path / "out", source=source))
    (source / "tokenizer.json").write_text("{}")
    with pytest.raises(PruneError, match="tokenizer of source"):
        run(request(tmp_path / "other", source=source))


def test_the_source_is_only_read(tmp_path: Path) -> None:
    source = shutil.copytree(STDLIB_3M, tmp_path / "disk", copy_function=shutil.copyfile)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.iterdir()}
    for path in (*source.iterdir(), source):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        result = run(request(tmp_path / "out", source=source))
    finally:
        source.chmod(0o755)
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.iterdir()} == before
    assert all(path.stat().st_mode & 0o200 for path in result.path.iterdir()), "a copy is not read-only with it"


def test_what_is_checked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(StorageError, match="there already"):
        run(request(tmp_path / "there"))
    with pytest.raises(StorageError, match="There is no folder"):
        run(request(tmp_path / "nowhere" / "out"))
    with pytest.raises(ModelFileError, match="not there"):
        run(request(tmp_path / "nowhere" / "out", source=tmp_path / "nowhere" / "nothing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConversionError, match=r"no config\.json"):
        run(request(tmp_path / "out", source=tmp_path / "empty"))
    monkeypatch.setattr("app.prune.prune.available_memory_bytes", lambda: 1_000_000)
    with pytest.raises(PruneError, match="of memory"):
        run(request(tmp_path / "out"))
    monkeypatch.undo()
    monkeypatch.setattr("app.system.files.free_bytes", lambda _folder: 1_000_000)
    with pytest.raises(DiskFullError, match="on the disk"):
        run(request(tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "there"]


def test_it_says_the_memory_first_and_then_how_far_it_is(tmp_path: Path) -> None:
    events: list[Event] = []
    run(request(tmp_path / "out"), events)
    first = events[0]
    assert isinstance(first, Notice)
    assert "of memory" in first.sentence
    shares = [
        event.done / event.total for event in events if isinstance(event, Progress) and event.stage is Stage.PRUNE
    ]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(set(shares)) > 8


def test_a_stop_is_heeded_and_the_same_request_goes_on(tmp_path: Path) -> None:
    calls = Polls()
    asked = request(tmp_path / "whole", PruneMethod.SPARSEGPT, chunks=2)
    prune(asked, Context(stop=calls))
    for share in (0.2, 0.9):
        output = tmp_path / f"out-{share}"
        stopped = dataclasses.replace(asked, output=output)
        with pytest.raises(Cancelled):
            prune(stopped, Context(stop=Polls(round(share * (calls.count - 1)))))
        assert not output.exists()
        assert files(run(stopped).path) == files(tmp_path / "whole")


class Polls:
    """Counts how often it is asked whether to stop; says yes after `limit` times."""

    def __init__(self, limit: int | None = None) -> None:
        self.count, self.limit = 0, limit

    def __call__(self) -> bool:
        self.count += 1
        return self.limit is not None and self.count > self.limit
