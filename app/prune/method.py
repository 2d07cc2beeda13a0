"""What a pruning method is: which inputs it wants to see, how it cuts one block, and what config.json says afterwards.

A method implements `Method` in a file of its own and has one line in `app.prune.prune`. It never reads or
writes files: `app.prune.prune` brings it the blocks in their order and writes what it leaves of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from app.library.provenance import ProvenanceStep
from app.operation import ShouldStop, Stage
from app.prune.messages import Prune
from app.system.files import read_json

if TYPE_CHECKING:
    from app.prune.block_model import BlockModel

Plan = dict[str, Any]
"""What a survey found, in values that JSON can hold: it outlives an interruption."""
Tick = Callable[[float], None]
"""Called with the share of a survey that is done. Raises Cancelled after a stop."""


class Statistic(StrEnum):
    """What is kept of the inputs of a linear layer over the calibration text, beside the sum of squares."""

    SUM_SQUARES = "sum of squares"
    GRAM = "Gram matrix"
    VALUES = "the inputs themselves"


@dataclass(slots=True)
class Inputs:
    """What flowed into a linear layer, in float32. Layers that read the same tensor (q, k, v) share one object.

    A method may use up `gram` as working space; it is wide, and freed when nobody holds it.
    """

    tokens: int
    sum_squares: Tensor
    """Sum over the tokens of x², [in_features]."""
    gram: Tensor | None = None
    """Sum over the tokens of x xᵀ, [in_features, in_features]; None where Statistic.GRAM was not asked for."""
    sums: Tensor | None = None
    """Sum over the tokens of x, [in_features]; there with `gram`."""
    values: list[Tensor] = field(default_factory=list)
    """The inputs by window, [token, in_features]; none where Statistic.VALUES was not asked for."""


class Method(ABC):
    """One run of one method. Each method is made with the request and told when to stop; nothing else is kept between
    blocks that does not follow from the plan, so that a run can go on in another process.
    """

    reads_text = True
    """Whether text runs through the model, in `survey` or for `needs`."""
    survey_stage = Stage.PRUNE
    """What the survey is called while it is waited for."""

    def __init__(self, request: Prune, stop: ShouldStop) -> None:
        self.request = request
        self.stop = stop
        """To be polled in whatever takes seconds; raise Cancelled then."""
        self.plan: Plan = {}
        """What `survey` returned, here or in the process that was interrupted. Set before the first `cut`."""

    @cached_property
    def source_config(self) -> dict[str, Any]:
        """config.json of the source, as it is written there."""
        values: dict[str, Any] = read_json(self.request.source / "config.json")
        return values

    def check(self, model: BlockModel) -> None:  # noqa: B027  (most methods take every model)
        """Raise PruneError for what cannot be done. Reads shapes; no weights are in memory yet."""

    def survey(self, model: BlockModel, tick: Tick) -> Plan:
        """Look at the whole model before the first cut, where the method must. Runs once, may be slow.

        The calibration text is in `model.windows`.
        """
        return {}

    def needs(self, index: int, block: nn.Module) -> Mapping[str, Statistic]:
        """Which linear layers' inputs to sum up, by their name below the block ("mlp.down_proj"). None by default."""
        return {}

    @abstractmethod
    def cut(self, index: int, block: nn.Module, inputs: Mapping[str, Inputs]) -> None:
        """Change the float32 weights of the block in place, or put smaller linear layers in their places.

        The block must run afterwards: its outputs are the next block's inputs. Every parameter it has then is written
        under its name, new ones too. `index` is the block's number in the source.
        """

    def kept_layers(self, layers: int) -> Sequence[int]:
        """The numbers of the blocks that stay, ascending. Those left out are neither run, cut nor written."""
        return range(layers)

    def config_changes(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Keys of config.json that change; None takes a key away. Called after the survey and before the first cut.

        `num_hidden_layers` and `layer_types` follow from `kept_layers` by themselves.
        """
        return {}

    @abstractmethod
    def step(self) -> ProvenanceStep:
        """What was done, for the manifest. Called after the survey."""
