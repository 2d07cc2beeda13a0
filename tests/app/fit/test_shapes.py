from __future__ import annotations

import pytest

from app.errors import HubError
from app.fit.curve import FitCurve, FitPoint
from app.fit.judgement import Judgement, ReadProfile, TypeBytes
from app.fit.judging import derived, relatives, to_be_read
from app.fit.shapes import judge_shapes
from app.hub.remote import RemoteTensor, SafetensorsHeader
from app.hub.repository import ModelFormat, RemoteFile, RemoteModel, Repository, RepositorySummary
from app.requests import KvType

CONFIG = {
    "model_type": "llama", "hidden_size": 2048, "num_attention_heads": 32, "num_key_value_heads": 8,
    "num_hidden_layers": 16, "intermediate_size": 8192, "vocab_size": 128256, "max_position_embeddings": 131072,
}  # fmt: skip


def header(**changes: object) -> SafetensorsHeader:
    tensors = [RemoteTensor("model.embed_tokens.weight", "BF16", (128256, 2048))]
    for n in range(16):
        shapes = {"q_proj": (2048, 2048), "k_proj": (512, 2048), "v_proj": (512, 2048), "o_proj": (2048, 2048),
                  "gate_proj": (8192, 2048), "up_proj": (8192, 2048), "down_proj": (2048, 8192)}  # fmt: skip
        tensors += [RemoteTensor(f"model.layers.{n}.x.{name}.weight", "BF16", shape) for name, shape in shapes.items()]
        tensors += [RemoteTensor(f"model.layers.{n}.input_layernorm.weight", "BF16", (2048,))]
    return SafetensorsHeader({**CONFIG, **changes}, tuple(tensors))


def test_sizes_of_a_1b_model_are_those_of_its_published_files() -> None:
    """Llama 3.2 1B as GGUF: F16 2.48 GB, Q8_0 1.32 GB, Q4_K_M 0.81 GB."""
    found = judge_shapes("config.json", header(), (4096,))
    sizes = {name: one.curve.weights_bytes / 1e9 for name, one in found.items() if one.curve}
    assert sizes["F16"] == pytest.approx(2.48, rel=0.02)
    assert sizes["Q8_0"] == pytest.approx(1.32, rel=0.02)
    assert sizes["Q4_K_M"] == pytest.approx(0.81, rel=0.03)


def test_it_is_said_not_to_be_exact_and_the_cache_is() -> None:
    curve = judge_shapes("config.json", header(), (4096,))["Q4_K_M"].curve
    assert curve is not None
    assert not curve.exact
    assert curve.need(4096, KvType.F16).kv_bytes == 134_217_728  # as llama.cpp says of the 1B shape


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"hidden_size": None}, "hidden_size"), ({"quantization_config": {}}, "quantized already")],
)
def test_what_cannot_be_told_is_not_guessed(changes: dict[str, object], words: str) -> None:
    with pytest.raises(HubError, match=words):
        judge_shapes("config.json", header(**changes), (4096,))


def remote(label: str, size: int, family: str = "m") -> RemoteModel:
    return RemoteModel(ModelFormat.GGUF, label, (RemoteFile(f"{family}-{label}.gguf", size),), family)


def test_one_header_speaks_for_the_other_quantizations() -> None:
    own, other, stranger = remote("Q4_0", 1000), remote("Q8_0", 1900), remote("Q4_0", 50, "draft")
    repository = Repository(RepositorySummary("a/b"), "c" * 40, (stranger, own, other))
    assert to_be_read(repository) == (stranger, own)
    assert relatives(own, repository.models) == (other,)
    curve = FitCurve(900, 4096, (FitPoint(1024, KvType.F16, 10, 20),))
    judged = Judgement(own.key, curve, ReadProfile((TypeBytes("Q4_0", 800),), 4))
    found = derived(judged, own, other)
    assert found.curve is not None
    assert found.reads is not None
    assert (found.curve.weights_bytes, found.curve.points, found.derived_from) == (1800, curve.points, "Q4_0")
    assert found.reads.types == (TypeBytes("Q8_0", 1600),)
