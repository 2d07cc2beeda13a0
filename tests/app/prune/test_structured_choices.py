"""What is chosen: widths, budgets of layers, KV groups, layers to drop, and where their numbers are said."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from app.errors import PruneError
from app.prune.ffn import scores as neuron_scores
from app.prune.ffn_widths import width_for, widths
from app.prune.kv_groups import groups_for
from app.prune.kv_groups import scores as group_scores
from app.prune.layers import choose_kept
from app.prune.method import Inputs
from app.prune.other_architecture import Widths, check_per_layer, housed
from app.prune.statistics import allocate

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "intermediate_size": 1024,
    "max_position_embeddings": 512,
}
QWEN2 = LLAMA | {"architectures": ["Qwen2ForCausalLM"], "use_sliding_window": False, "sliding_window": 128}


def test_widths_are_multiples_that_make_no_file_larger() -> None:
    assert widths(1024) == [768, 512, 256]
    assert widths(768) == [512, 256]
    assert widths(4864)[0] == 4608
    # Just below a multiple of 256 the K-quants' fallback outweighs what is cut away.
    offered = widths(1024, 32)
    assert 992 not in offered
    assert 928 not in offered
    assert 896 in offered
    assert 768 in offered


@pytest.mark.parametrize(
    ("before", "amount", "multiple", "width"),
    [
        (1536, 0.25, 256, 1024),
        (1536, 0.5, 256, 768),
        (768, 0.01, 256, 512),
        (768, 0.99, 256, 256),
        (1536, 0.3, 32, 1088),
    ],
)
def test_the_nearest_width_is_taken(before: int, amount: float, multiple: int, width: int) -> None:
    assert width_for(before, amount, multiple) == width


def test_no_narrower_width_is_said() -> None:
    with pytest.raises(PruneError, match="no narrower width"):
        width_for(256, 0.5)


@pytest.mark.parametrize(("before", "amount", "groups"), [(4, 0.25, 3), (4, 0.5, 2), (2, 0.9, 1), (8, 0.01, 7)])
def test_groups_that_stay(before: int, amount: float, groups: int) -> None:
    assert groups_for(before, amount) == groups


def test_a_single_group_stays() -> None:
    with pytest.raises(PruneError, match="single KV head"):
        groups_for(1, 0.5)


def test_a_budget_goes_to_what_is_worth_most() -> None:
    values = [[9.0, 8.0, 7.0], [6.0, 1.0, 0.5], [0.1, 0.05, 0.01]]
    assert allocate(values, 6) == [3, 2, 1]
    assert allocate(values, 3) == [1, 1, 1]
    assert allocate(values, 9) == [3, 3, 3]


def test_neurons_count_by_what_they_add() -> None:
    rows = torch.randn(500, 6, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 9, 1, 1, 1, 1])
    down = torch.randn(4, 6, generator=torch.Generator().manual_seed(2))
    found = neuron_scores(down, Inputs(500, rows.square().sum(0)))
    expected = [(rows[:, [n]] @ down[:, [n]].T).square().sum(1).mean() for n in range(6)]
    torch.testing.assert_close(found, torch.stack(expected))


def test_groups_count_by_what_they_add() -> None:
    rows = torch.randn(500, 6, generator=torch.Generator().manual_seed(1))
    output = torch.randn(4, 6, generator=torch.Generator().manual_seed(2))
    found = group_scores(output, Inputs(500, rows.square().sum(0), rows.T @ rows), 3)
    parts = [slice(0, 2), slice(2, 4), slice(4, 6)]
    expected = [(rows[:, part] @ output[:, part].T).square().sum(1).mean() for part in parts]
    torch.testing.assert_close(found, torch.stack(expected))


def test_the_layers_of_least_effect_go_and_never_the_first() -> None:
    assert choose_kept([0.0, 0.3, 0.1, 0.2, 0.4], [""] * 5, 3) == [0, 1, 4]


@pytest.mark.parametrize("count", range(1, 12))
def test_a_pattern_of_sliding_windows_stays(count: int) -> None:
    """The best of all choices that keep the pattern, by trying them all."""
    kinds = (["s"] * 3 + ["f"]) * 3
    importance = torch.rand(12, generator=torch.Generator().manual_seed(count)).tolist()
    choices = (
        [0, *rest]
        for rest in itertools.combinations(range(1, 12), count - 1)
        if [kinds[i] for i in (0, *rest)] == kinds[:count]
    )
    assert choose_kept(importance, kinds, count) == max(choices, key=lambda kept: sum(importance[i] for i in kept[1:]))


def uniform(heads: int, kv_heads: int, ffn: int = 1024) -> list[Widths]:
    return [Widths(heads, kv_heads, ffn)] * 2


def test_a_llama_whose_heads_do_not_divide_its_width_becomes_a_mistral() -> None:
    assert housed(LLAMA, uniform(4, 2)).changes.get("architectures") is None
    changes = housed(LLAMA, uniform(6, 3)).changes
    assert changes["architectures"] == ["MistralForCausalLM"]
    assert (changes["head_dim"], changes["sliding_window"]) == (32, 512)


def test_a_qwen2_with_fewer_heads_becomes_a_llama_with_biases() -> None:
    found = housed(QWEN2, uniform(4, 2))
    assert found.changes["architectures"] == ["LlamaForCausalLM"]
    assert found.changes["attention_bias"]
    assert found.zero_output_bias
    assert housed(QWEN2, uniform(8, 4, 512)).changes == {"intermediate_size": 512}


def test_what_no_other_architecture_has_room_for_is_stored_by_layer() -> None:
    changes = housed(QWEN2, uniform(6, 3)).changes
    assert changes["architectures"] == ["DeciLMForCausalLM"]
    assert changes["num_attention_heads"] == [6, 6]


@pytest.mark.parametrize("name", ["Phi3ForCausalLM", "Olmo2ForCausalLM", "StableLmForCausalLM"])
def test_a_family_without_room_for_fewer_heads_is_refused(name: str) -> None:
    with pytest.raises(PruneError, match="none can be taken away"):
        housed(LLAMA | {"architectures": [name]}, uniform(4, 2))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"architectures": ["Qwen3ForCausalLM"]}, "must all have the same width"),
        ({"hidden_act": "gelu"}, "must all have the same width"),
        ({"architectures": ["MistralForCausalLM"], "sliding_window": 128}, "sliding window"),
    ],
)
def test_layers_that_cannot_differ_are_said(changes: dict[str, Any], sentence: str) -> None:
    check_per_layer(LLAMA)
    with pytest.raises(PruneError, match=sentence):
        check_per_layer(LLAMA | changes)
