"""Fewer attention heads: whole KV groups are removed, that is a key and value head with the query heads that read it.

A group's score is the energy of what it adds through the output projection, which is then fitted to the output of all
groups. The KV cache becomes smaller with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from app.convert.configuration import Config
from app.errors import PruneError
from app.library.provenance import KvGroupCut, shortened
from app.prune.block_model import BlockModel
from app.prune.method import Inputs, Method, Plan, Statistic, Tick
from app.prune.other_architecture import Housed, Widths, check_per_layer, housed, widths_of
from app.prune.statistics import allocate, pass_through
from app.prune.weights import keep_columns, keep_rows, linear_of

_OUTPUT = "self_attn.o_proj"


def groups_for(before: int, amount: float) -> int:
    """How many of `before` KV groups stay when about `amount` of them go: at least one fewer. Raises PruneError."""
    if before < 2:
        raise PruneError(
            "The model has a single KV head: without it nothing is left of its attention.",
            "Make its FFN narrower or drop layers instead.",
        )
    return min(max(round(before * (1 - amount)), 1), before - 1)


def scores(output: Tensor, inputs: Inputs, groups: int) -> Tensor:
    """Scores `[group]`: the mean energy of W x with each group's columns alone. `output` is [stream, heads]."""
    assert inputs.gram is not None
    width = output.shape[1] // groups
    found = []
    for group in range(groups):
        columns = slice(group * width, (group + 1) * width)
        part = output[:, columns].float()
        found.append((part @ inputs.gram[columns, columns] * part).sum() / max(inputs.tokens, 1))
    return torch.stack(found)


class KvGroups(Method):
    """The pruning method that removes KV groups; the module's docstring describes it."""

    def check(self, model: BlockModel) -> None:
        """See Method."""
        before = self._before
        groups_for(before.kv_heads, self.request.amount)
        if before.heads % before.kv_heads:
            raise PruneError(
                f"The model's {before.heads} heads do not divide among its {before.kv_heads} KV heads.",
                "Its config.json is damaged, or it is of a kind that cannot be pruned here.",
            )
        check_scale(self.source_config, "lose heads")
        if self.request.per_layer:
            check_per_layer(self.source_config)
        self.config_changes(self.source_config)

    def survey(self, model: BlockModel, tick: Tick) -> Plan:
        """Choose how many groups each layer keeps, where the layers may differ."""
        if not self.request.per_layer:
            return {}
        values = []
        for passed in pass_through(model, model.windows, {_OUTPUT: Statistic.GRAM}, tick):
            output: Any = passed.block.get_submodule(_OUTPUT)
            found = scores(output.weight.data, passed.inputs[_OUTPUT], self._before.kv_heads) / passed.energy
            values.append(found.sort(descending=True).values.tolist())
        return {"groups": allocate(values, self._uniform * len(values))}

    def needs(self, index: int, block: nn.Module) -> Mapping[str, Statistic]:
        """See Method."""
        return {_OUTPUT: Statistic.GRAM}

    def cut(self, index: int, block: nn.Module, inputs: Mapping[str, Inputs]) -> None:
        """See Method. The norms of queries and keys have the width of one head and are shared by all heads: they
        stay.
        """
        attention: Any = block.get_submodule("self_attn")
        groups = self._before.kv_heads
        found = scores(attention.o_proj.weight.data, inputs[_OUTPUT], groups)
        keep = found.topk(self._groups[index]).indices.sort().values
        kv_rows = _rows_of(keep, attention.k_proj.weight.shape[0] // groups)
        query_rows = _rows_of(keep, attention.q_proj.weight.shape[0] // groups)
        attention.q_proj = keep_rows(attention.q_proj, query_rows)
        attention.k_proj = keep_rows(attention.k_proj, kv_rows)
        attention.v_proj = keep_rows(attention.v_proj, kv_rows)
        output = keep_columns(attention.o_proj, query_rows, inputs[_OUTPUT] if self.request.refit else None)
        if self._housed(self.source_config).zero_output_bias:
            output = linear_of(output.weight, torch.zeros(output.out_features))
        attention.o_proj = output

    def config_changes(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """See Method."""
        return self._housed(config).changes

    def step(self) -> KvGroupCut:
        """See Method."""
        return KvGroupCut(self._before.kv_heads, shortened(self._groups), self.request.refit)

    def _housed(self, config: Mapping[str, Any]) -> Housed:
        now = zip(widths_of(config), self._groups, strict=True)
        return housed(config, [Widths(of.heads // of.kv_heads * kept, kept, of.ffn) for of, kept in now])

    @cached_property
    def _before(self) -> Widths:
        return widths_of(self.source_config)[0]

    @property
    def _uniform(self) -> int:
        return groups_for(self._before.kv_heads, self.request.amount)

    @property
    def _groups(self) -> list[int]:
        """Number of KV groups of each layer after pruning."""
        given: list[int] = self.plan.get("groups", [])
        return given or [self._uniform] * len(widths_of(self.source_config))


def check_scale(config: Mapping[str, Any], what: str) -> None:
    """Raise PruneError for the large Gemmas: llama.cpp tells their attention scale by their number of layers."""
    read = Config(dict(config))
    scale = read.get("query_pre_attn_scalar")
    if scale is not None and int(scale) != read.head:
        raise PruneError(
            f"llama.cpp knows this Gemma by its exact shape: it cannot {what}.", "Make its FFN narrower instead."
        )


def _rows_of(groups: Tensor, width: int) -> Tensor:
    """Row numbers of these groups, each of which is `width` rows."""
    return (groups[:, None] * width + torch.arange(width)).flatten()
