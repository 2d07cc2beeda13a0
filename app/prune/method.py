"""The interface of a pruning method: which inputs it needs, how it cuts one block, and what config.json says
afterwards.

A method implements `Method` in a file of its own and has one line in `app.prune.prune`. It never reads or writes files:
`app.prune.prune` passes it the blocks in their order and writes what it leaves of them.
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
"""What a survey found, in values that JSON can hold: it is stored, so that an interrupted run can go on."""
Tick = Callable[[float], None]
"""Function that is called with the share of a survey that is done. Raises Cancelled after a stop."""


class Statistic(StrEnum):
    """What is recorded of the inputs of a linear layer over the calibration text, in addition to the sum of squares."""

    SUM_SQUARES = "sum of squares"
    GRAM = "Gram matrix"
    VALUES = "the inputs themselves"


@dataclass(slots=True)
class Inputs:
    """What flowed into a linear layer, in float32. Layers that read the same tensor (q, k, v) share one object.

    A method may overwrite `gram` as working space; the matrix is large, and freed when nothing refers to it.
    """

    tokens: int
    sum_squares: Tensor
    """Sum over the tokens of x², [in_features]."""
    gram: Tensor | None = None
    """Sum over the tokens of x xᵀ, [in_features, in_features]; None where Statistic.GRAM was not asked for."""
    sums: Tensor | None = None
    """Sum over the tokens of x, [in_features]; present with `gram`."""
    values: list[Tensor] = field(default_factory=list)
    """The inputs of each window, [token, in_features]; empty where Statistic.VALUES was not asked for."""


class Method(ABC):
    """One run of one method. It is created with the request and a function that tells when to stop. Between blocks it
    keeps nothing that does not follow from the plan, so that a run can go on in another process.
    """

    reads_text = True
    """Whether text runs through the model, in `survey` or for `needs`."""
    survey_stage = Stage.PRUNE
    """Stage that is shown during the survey."""

    def __init__(self, request: Prune, stop: ShouldStop) -> None:
        self.request = request
        self.stop = stop
        """Function to poll in whatever takes seconds; raise Cancelled when it returns True."""
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
        """Examine the whole model before the first cut, where the method needs it. Runs once, may be slow.

        The calibration text is in `model.windows`.
        """
        return {}

    def needs(self, index: int, block: nn.Module) -> Mapping[str, Statistic]:
        """Linear layers whose inputs are to be summed up, by their name inside the block ("mlp.down_proj"). None by
        default.
        """
        return {}

    @abstractmethod
    def cut(self, index: int, block: nn.Module, inputs: Mapping[str, Inputs]) -> None:
        """Change the float32 weights of the block in place, or put smaller linear layers in their places.

        The block must still run: its outputs are the next block's inputs. Every parameter that it has then, a new one
        too, is written under its name. `index` is the block's number in the source.
        """

    def kept_layers(self, layers: int) -> Sequence[int]:
        """Numbers of the blocks that stay, ascending. The others are neither run, cut nor written."""
        return range(layers)

    def config_changes(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Keys of config.json that change; None removes a key. Called after the survey and before the first cut.

        `num_hidden_layers` and `layer_types` follow from `kept_layers` and are not returned here.
        """
        return {}

    @abstractmethod
    def step(self) -> ProvenanceStep:
        """What was done, for the manifest. Called after the survey."""
