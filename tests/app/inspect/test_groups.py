"""Groups of tensors, and the regular expressions that give them types."""

from __future__ import annotations

import re
from pathlib import Path

from app.inspect.suggesting import groups_of, overrides_of
from app.inspect.tensors import open_tensors
from tests.app.inspect.models import normal, write_gguf


def tensors(tmp_path: Path, layers: int = 6):  # type: ignore[no-untyped-def]
    names = ["token_embd.weight", "output.weight"]
    names += [f"blk.{n}.{kind}.weight" for n in range(layers) for kind in ("attn_output", "ffn_down")]
    return open_tensors(write_gguf(tmp_path / "m.gguf", {name: normal(2, 256) for name in names}))


def test_kinds_are_divided_into_bands_of_layers(tmp_path: Path) -> None:
    found = tensors(tmp_path)
    groups = groups_of(found, set(found), 3)
    assert [group.name for group in groups] == [
        "token_embd", "output",
        "attn_output, layers 0 to 1", "attn_output, layers 2 to 3", "attn_output, layers 4 to 5",
        "ffn_down, layers 0 to 1", "ffn_down, layers 2 to 3", "ffn_down, layers 4 to 5",
    ]  # fmt: skip
    assert sum(group.elements for group in groups) == 14 * 2 * 256
    assert [group.kind for group in groups_of(found, {"output.weight"}, 3)] == ["output"]


def test_each_tensor_matches_one_pattern_and_has_its_type(tmp_path: Path) -> None:
    found = tensors(tmp_path, layers=12)
    groups = groups_of(found, set(found), 3)
    types = ["Q6_K", "Q5_K", "Q8_0", "Q4_K", "Q8_0", "Q3_K", "Q3_K", "Q3_K"]
    overrides = overrides_of(groups, types)
    for group, kind in zip(groups, types, strict=True):
        for tensor in group.tensors:
            matching = [override.type for override in overrides if re.search(override.pattern, tensor.row.name)]
            assert matching == [kind], tensor.row.name
    assert len(overrides) == 5, "one for what is the same everywhere"
    assert not any("," in override.pattern for override in overrides), "the dialog divides its field at commas"
