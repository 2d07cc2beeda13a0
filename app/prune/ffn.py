"""Narrower FFNs: the neurons that contribute least to the residual stream are removed, the others fitted to make up for
it.

A neuron's score is the energy of its activation times that of its column of the down projection: what it adds to the
output, squared and averaged over the text. With the refit it is the part of that which the others cannot stand in for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from app.errors import PruneError
from app.library.provenance import FfnCut, shortened
from app.prune.block_model import BlockModel
from app.prune.ffn_widths import BLOCK, LEAST_MULTIPLE, width_for
from app.prune.method import Inputs, Method, Plan, Statistic, Tick
from app.prune.other_architecture import Widths, check_per_layer, housed, widths_of
from app.prune.refit import fit_in_turn, keep_for_refit, outputs
from app.prune.statistics import allocate, pass_through
from app.prune.weights import keep_columns, keep_rows

_DOWN, _UP = "mlp.down_proj", "mlp.up_proj"


def scores(down: Tensor, inputs: Inputs) -> Tensor:
    """Scores `[neuron]`: what each neuron adds to the output, squared and averaged. `down` is [width of the stream,
    neuron].
    """
    return inputs.sum_squares / max(inputs.tokens, 1) * down.float().square().sum(dim=0)


class Ffn(Method):
    """The pruning method that makes FFNs narrower; the module's docstring describes it."""

    def check(self, model: BlockModel) -> None:
        """See Method."""
        multiple = self.request.width_multiple
        if multiple < LEAST_MULTIPLE or multiple % LEAST_MULTIPLE:
            raise PruneError(
                f"FFN widths cannot be multiples of {multiple}: quantized weights come in blocks of {LEAST_MULTIPLE}.",
                f"Take {BLOCK}, or {LEAST_MULTIPLE} at the least.",
            )
        if self.request.refit_gate_up and not self.request.refit:
            raise PruneError(
                "The gate and up projections are fitted in turn with the down projection, and the refit is off.",
                "Leave the refit on.",
            )
        self._check_layout(model)
        width_for(self._before, self.request.amount, multiple)
        if self.request.per_layer:
            check_per_layer(self.source_config)

    def survey(self, model: BlockModel, tick: Tick) -> Plan:
        """Choose the width of each layer, where the layers may differ."""
        if not self.request.per_layer:
            return {}
        step, kept = self.request.width_multiple, self._uniform
        values = []
        for passed in pass_through(model, model.windows, {_DOWN: Statistic.SUM_SQUARES}, tick):
            down: Any = passed.block.get_submodule(_DOWN)
            best: Any = scores(down.weight.data, passed.inputs[_DOWN]).sort(descending=True).values / passed.energy
            values.append([float(part.sum()) for part in best.split(step) if len(part) == step])
        return {"widths": [units * step for units in allocate(values, kept // step * len(values))]}

    def needs(self, index: int, block: nn.Module) -> Mapping[str, Statistic]:
        """See Method."""
        of_down = {_DOWN: Statistic.GRAM if self.request.refit else Statistic.SUM_SQUARES}
        return of_down | ({_UP: Statistic.VALUES} if self.request.refit_gate_up else {})

    def cut(self, index: int, block: nn.Module, inputs: Mapping[str, Inputs]) -> None:
        """See Method."""
        mlp: Any = block.get_submodule("mlp")
        keep = self._kept(index, mlp.down_proj.weight.data, inputs[_DOWN])
        windows = inputs[_UP].values if self.request.refit_gate_up else []
        wanted = outputs(mlp, windows)
        mlp.gate_proj, mlp.up_proj = keep_rows(mlp.gate_proj, keep), keep_rows(mlp.up_proj, keep)
        mlp.down_proj = keep_columns(mlp.down_proj, keep, inputs[_DOWN] if self.request.refit else None)
        if windows:
            inputs[_DOWN].gram = None  # the matrix is wide, and no longer needed
            fit_in_turn(mlp, windows, wanted, self.stop)

    def config_changes(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """See Method."""
        now = zip(widths_of(config), self._widths, strict=True)
        return housed(config, [Widths(of.heads, of.kv_heads, width) for of, width in now]).changes

    def step(self) -> FfnCut:
        """See Method."""
        return FfnCut(self._before, shortened(self._widths), self.request.refit, self.request.refit_gate_up)

    @cached_property
    def _before(self) -> int:
        return widths_of(self.source_config)[0].ffn

    @property
    def _uniform(self) -> int:
        return width_for(self._before, self.request.amount, self.request.width_multiple)

    @property
    def _widths(self) -> list[int]:
        """Width of each layer after pruning."""
        given: list[int] = self.plan.get("widths", [])
        return given or [self._uniform] * len(widths_of(self.source_config))

    def _kept(self, index: int, down: Tensor, inputs: Inputs) -> Tensor:
        """The numbers of the neurons that stay, ascending."""
        if self.request.refit and inputs.gram is not None:
            return keep_for_refit(down, inputs.gram, self._widths[index])
        return scores(down, inputs).topk(self._widths[index]).indices.sort().values

    def _check_layout(self, model: BlockModel) -> None:
        names = dict(model.shell(0).named_modules())
        if not all(f"mlp.{name}_proj" in names for name in ("gate", "up", "down")):
            raise PruneError(
                "The FFN of this model has no gate, up and down projection: its neurons cannot be told apart.",
                "Drop layers instead.",
            )
