"""Fewer layers: those that change least in what flows through them are dropped, never the first one.

Importance by cosine distance follows Men et al., "ShortGPT" (arXiv 2403.03853). The other measure leaves each layer out
and takes the KL divergence of the model's output, for all layers in one pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, kl_div

from app.convert.configuration import Config
from app.errors import PruneError
from app.library.provenance import LayerCut
from app.operation import ShouldStop, Stage
from app.prune.block_model import BlockModel
from app.prune.kv_groups import check_scale
from app.prune.messages import LayerImportance, Prune
from app.prune.method import Inputs, Method, Plan, Tick
from app.prune.peak import LEAVE_OUT_WINDOWS
from app.prune.statistics import not_a_number, pass_through

_FIXED_PATTERNS = ("Gemma2ForCausalLM", "Gemma3ForCausalLM")
"""Families in which llama.cpp tells by a layer's number whether it has a sliding window."""


def cosine_distances(model: BlockModel, windows: Tensor, tick: Tick) -> list[float]:
    """Importance of each layer: 1 - cosine of a block's input and output, averaged over the tokens."""
    found = []
    for passed in pass_through(model, windows, {}, tick):
        distance = float((1 - cosine_similarity(passed.before, passed.after, dim=-1)).mean())
        if math.isnan(distance):
            raise not_a_number(passed.index, "in what it gives")
        found.append(distance)
    return found


@torch.no_grad()
def leave_out_divergences(model: BlockModel, windows: Tensor, tick: Tick) -> list[float]:
    """Importance of each layer: mean KL divergence, in nats, of the model without it; infinite for the first, which
    stays.

    The streams of all models with one layer missing flow side by side, so that each block is read once. They take as
    much memory as activations of that many times the text.
    """
    whole = model.embed(windows)
    without: dict[int, Tensor] = {}
    steps = model.layers * (model.layers + 1) / 2
    done = 0
    for index in range(model.layers):
        block = model.block(index)
        skipping = whole
        for left_out, hidden in without.items():
            without[left_out] = _run_all(model, index, block, hidden)
        whole = _run_all(model, index, block, whole)
        if index:
            without[index] = skipping
        done += index + 1
        tick(done / steps)
    found = [float("inf"), *(_divergence(model, whole, without[index]) for index in range(1, model.layers))]
    model.free_head()
    return found


def _run_all(model: BlockModel, index: int, block: nn.Module, hidden: Tensor) -> Tensor:
    return torch.stack([model.run(index, block, window) for window in hidden])


def _some(windows: Tensor) -> Tensor:
    """At most LEAVE_OUT_WINDOWS windows, from all over the text."""
    return windows[:: max(1, -(-len(windows) // LEAVE_OUT_WINDOWS))]


def _divergence(model: BlockModel, whole: Tensor, other: Tensor) -> float:
    total = 0.0
    for one, two in zip(whole, other, strict=True):
        reference, answer = model.logits(one).log_softmax(-1), model.logits(two).log_softmax(-1)
        total += float(kl_div(answer, reference, log_target=True, reduction="none").sum(-1).mean())
    return total / len(whole)


def choose_kept(importance: Sequence[float], kinds: Sequence[str], count: int) -> list[int]:
    """The `count` layers to keep: those with the greatest total importance, the first layer always among them.

    `kinds` has the kind of each layer. The kept layers must have the kinds of the first `count` layers, in the same
    order, because some families derive a layer's kind from its number; elsewhere all kinds are equal. Raises PruneError
    where there is no such choice.
    """
    start = (0.0, [0])
    best: dict[int, tuple[float, list[int]]] = {1: start}
    for layer in range(1, len(importance)):
        for kept in range(min(layer, count - 1), 0, -1):
            if kept in best and kinds[layer] == kinds[kept]:
                worth, chosen = best[kept]
                new = (worth + importance[layer], [*chosen, layer])
                if kept + 1 not in best or new[0] > best[kept + 1][0]:
                    best[kept + 1] = new
    if count not in best:
        raise PruneError(
            "No such number of layers can be left out: those with a sliding window would come at other places.",
            "Leave out another number of layers.",
        )
    return best[count][1]


class Layers(Method):
    """The pruning method that drops layers; the module's docstring describes it."""

    survey_stage = Stage.RANK_LAYERS

    def __init__(self, request: Prune, stop: ShouldStop) -> None:
        super().__init__(request, stop)
        self.reads_text = not request.layers

    def check(self, model: BlockModel) -> None:
        """See Method."""
        if model.layers < 2:
            raise PruneError("The model has a single layer: without it nothing is left.", "Make its FFN narrower.")
        check_scale(self.source_config, "lose layers")
        if self.request.layers:
            self._check_given(model)
        else:
            choose_kept([0.0] * model.layers, self._kinds(model), model.layers - self._count(model.layers))

    def survey(self, model: BlockModel, tick: Tick) -> Plan:
        """Choose the layers to drop."""
        if self.request.layers:
            return {"dropped": sorted(self.request.layers), "layers": model.layers}
        if self.request.importance is LayerImportance.LEAVE_OUT:
            importance = leave_out_divergences(model, _some(model.windows), tick)
        else:
            importance = cosine_distances(model, model.windows, tick)
        kept = choose_kept(importance, self._kinds(model), model.layers - self._count(model.layers))
        return {"dropped": [index for index in range(model.layers) if index not in kept], "layers": model.layers}

    def cut(self, index: int, block: nn.Module, inputs: Mapping[str, Inputs]) -> None:
        """Change nothing: the layers that stay are as they were."""

    def kept_layers(self, layers: int) -> Sequence[int]:
        """See Method."""
        return [index for index in range(layers) if index not in self.plan["dropped"]]

    def config_changes(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Move `max_window_layers`, the number from which on the layers of Qwen2 have sliding windows."""
        first = config.get("max_window_layers")
        if not isinstance(first, int):
            return {}
        return {"max_window_layers": sum(index < first for index in self.kept_layers(self.plan["layers"]))}

    def step(self) -> LayerCut:
        """See Method."""
        return LayerCut(self.plan["layers"], tuple(self.plan["dropped"]))

    def _count(self, layers: int) -> int:
        """How many layers go: at least one, and at least one stays."""
        return min(max(round(layers * self.request.amount), 1), layers - 1)

    def _kinds(self, model: BlockModel) -> list[str]:
        fixed = Config(self.source_config).architecture in _FIXED_PATTERNS
        types = getattr(model.config, "layer_types", None) if fixed else None
        return list(types) if types else [""] * model.layers

    def _check_given(self, model: BlockModel) -> None:
        given = sorted(self.request.layers)
        if len(set(given)) < len(given) or not set(given) < set(range(model.layers)):
            raise PruneError(
                f"The layers to leave out must be different numbers from 1 to {model.layers - 1}.", "The first is 0."
            )
        if 0 in given:
            raise PruneError(
                "The first layer cannot be left out: everything after it builds on what it makes of the words.",
                "Leave out layers from the middle.",
            )
        kinds = self._kinds(model)
        kept = [index for index in range(model.layers) if index not in given]
        if [kinds[index] for index in kept] != kinds[: len(kept)]:
            raise PruneError(
                "Without these layers those with a sliding window would come at other places than llama.cpp expects.",
                "Leave out whole periods of the pattern, or let the layers be chosen.",
            )
