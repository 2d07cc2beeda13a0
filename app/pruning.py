"""What is asked and said of pruning, of recovering what it cost, and of drafts made from the model itself.

Frozen dataclasses with plain fields, as in `app.requests` and `app.events`, which take them up. No torch here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class PruneMethod(StrEnum):
    """What is taken away. The first four set weights to zero, the others make matrices or the model smaller."""

    MAGNITUDE = "magnitude"
    GLOBAL_MAGNITUDE = "global-magnitude"
    WANDA = "wanda"
    SPARSEGPT = "sparsegpt"
    FFN = "ffn"
    KV_GROUPS = "kv-groups"
    LAYERS = "layers"


SPARSE = frozenset({PruneMethod.MAGNITUDE, PruneMethod.GLOBAL_MAGNITUDE, PruneMethod.WANDA, PruneMethod.SPARSEGPT})
"""Methods that only set weights to zero: neither smaller files nor faster answers come of them."""


class LayerImportance(StrEnum):
    """How the layers to drop are found."""

    COSINE = "cosine"
    """1 - cosine of a block's input and output (ShortGPT's block influence)."""
    LEAVE_OUT = "leave-out"
    """KL divergence of the model without the layer."""


@dataclass(frozen=True, slots=True)
class Prune:
    """Write a pruned copy of the Hugging Face folder `source` to the new folder `output`.

    `amount` is the share that is taken away, above 0 and below 1: of the weights, the FFN neurons, the KV groups or
    the layers. Widths and counts are rounded to what runs well, and the result says what they became.
    """

    source: Path
    output: Path
    method: PruneMethod
    amount: float
    pattern: str = ""
    """"2:4" or "4:8": so many zeros among so many neighbours, for the methods that set zeros; "" for any place."""
    refit: bool = True
    """Fit what remains by least squares to what the whole matrix gave (FFN and KV groups)."""
    refit_gate_up: bool = False
    """Fit the gate and up projections too, in turn with the down one: nearer, takes several times as long (FFN)."""
    width_multiple: int = 256
    """FFN widths are multiples of it; 32 at least, and below 256 K-quants fall back to older types."""
    per_layer: bool = False
    """Other widths in each layer, by measured importance. llama.cpp reads them, transformers does not."""
    importance: LayerImportance = LayerImportance.COSINE
    layers: tuple[int, ...] = ()
    """Which layers to drop; none: the least important, by measurement."""
    rewind: Path | None = None
    """Folder of the same model early in its training: the mask is found on `source`, the weights come from here
    (lottery ticket rewinding, Frankle et al. 2020, arXiv 1912.05671)."""
    text: Path | None = None
    """What is read to see which weights matter; None: the bundled text."""
    context_tokens: int = 256
    chunks: int = 64
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Pruned:
    """The pruned folder is there, under its final name, with its row in the manifest."""

    path: Path
    recipe: str
    """How it was made, in words: "FFN 1536 to 1024, refitted"."""
    parameters_before: int
    parameters_after: int
    zeros: int
    """Weights of the pruned matrices that are zero now."""
    dropped_layers: tuple[int, ...]
    size_bytes: int
    seconds: float


class RecoverMethod(StrEnum):
    """Which weights are trained."""

    LORA = "lora"
    QLORA = "qlora"
    """LoRA over weights held in 4 bits: less memory, not less time."""
    FULL = "full"


SHORT_TOKENS = 80_000
OVERNIGHT_TOKENS = 1_000_000
TEACHER_TEXT, BUNDLED_TEXT = "teacher", "bundled"


@dataclass(frozen=True, slots=True)
class Recover:
    """Train the pruned folder `model` to answer as `teacher` does, and write the result to the new folder `output`.

    The loss is the forward KL divergence of the logits (Minitron, arXiv 2407.14679), of which `hard_loss` is replaced
    by the cross-entropy of the text. Zeros of a sparse model stay zeros. A result that is worse on held-out text than
    the model was is not kept: then the operation raises RecoverError and nothing is written.
    """

    model: Path
    teacher: Path
    output: Path
    method: RecoverMethod = RecoverMethod.LORA
    budget_tokens: int = SHORT_TOKENS
    text: str = TEACHER_TEXT
    """TEACHER_TEXT (written by the teacher itself, with a quarter of bundled text), BUNDLED_TEXT, or a text's path."""
    temperature: float = 1.0
    hard_loss: float = 0.0
    progressive: bool = False
    """In steps: short windows first, the whole length at the end."""
    quantization_aware: str = ""
    """"Q4_0": train on the grid of that type (straight-through estimator); "" for none."""
    rank: int = 16
    learning_rate: float = 0.0
    """0: what suits the method."""
    context_tokens: int = 256
    batch_windows: int = 2
    """Of a step: with budgets this short more steps are worth more than smoother ones."""
    seed: int = 1
    threads: int = 0
    or_keep: bool = False
    """Where the result is no better, `output` becomes the model as it was, and a Notice says so: for a recipe."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """The recovered folder is there. KL divergences are to the teacher on held-out text, in nats.

    With `quantization_aware` they are of the two models as that type's files would hold them.
    """

    path: Path
    recipe: str
    tokens: int
    kl_before: float
    kl_after: float
    perplexity_teacher: float
    perplexity_before: float
    perplexity_after: float
    seconds: float
    peak_resident_bytes: int


@dataclass(frozen=True, slots=True)
class PlanRecovery:
    """What `recover` would take: one step is run and timed. Nothing is written."""

    recover: Recover


@dataclass(frozen=True, slots=True)
class RecoveryPlanned:
    """Measured on this machine, now."""

    seconds: float
    peak_resident_bytes: int
    trained_parameters: int


@dataclass(frozen=True, slots=True)
class MakeDraft:
    """Make a draft of the Hugging Face folder `source`: few of its layers, recovered by distillation, quantized.

    `target` is the GGUF of the same model that it is to draft for, and with which the gain is measured.
    """

    source: Path
    target: Path
    output: Path
    layers: int = 0
    """How many to keep; 0: what promises the largest gain."""
    type: str = "Q8_0"
    budget_tokens: int = SHORT_TOKENS
    text: str = TEACHER_TEXT
    method: RecoverMethod = RecoverMethod.FULL
    seed: int = 1
    threads: int = 0


@dataclass(frozen=True, slots=True)
class PlanDraft:
    """What drafts of each number of layers promise: `draft` with any number. Reads headers alone."""

    draft: MakeDraft


@dataclass(frozen=True, slots=True)
class DraftOption:
    """A draft of so many layers. `cost` is its time for a token over the model's; `acceptance` is assumed."""

    layers: int
    cost: float
    acceptance: float
    speed_up: float


@dataclass(frozen=True, slots=True)
class DraftCost:
    """What making a draft takes, about. `problem` says why this computer cannot; "" otherwise."""

    seconds: float
    memory_bytes: int
    disk_bytes: int
    """On the way, at the most."""
    free_disk_bytes: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class DraftsPlanned:
    """One option, and what it costs, for each number of layers below the model's own, the fewest first."""

    draft: MakeDraft
    options: tuple[DraftOption, ...]
    costs: tuple[DraftCost, ...]


@dataclass(frozen=True, slots=True)
class DraftMade:
    """The draft is there and, where it pays, chosen for its parent. Speed-ups are against plain decoding."""

    path: Path
    layers: int
    acceptance: float
    predicted_speed_up: float
    """From the sizes and an assumed acceptance, before anything was made."""
    speed_up: float
    """Measured in pairs of answers."""
    kl_before: float
    kl_after: float
    seconds: float


@dataclass(frozen=True, slots=True)
class PlanRecipe:
    """What a recipe (TOML, see app.compress.recipe) would make of the folder `source`. Reads headers alone."""

    source: Path
    recipe: str
    context_tokens: int = 4096


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What one step costs. Seconds are 0 where they are not known yet."""

    seconds: float
    peak_memory_bytes: int
    disk_bytes: int
    """What it writes; `kept_bytes` of it stay."""
    kept_bytes: int
    changes: str
    """A sentence: what it will and will not change."""


@dataclass(frozen=True, slots=True)
class ResultPlan:
    """One file that the recipe makes. Size exact for uniform cuts, memory as llama.cpp plans it."""

    type: str
    size_bytes: int
    resident_bytes: int
    ms_per_token: float | None


@dataclass(frozen=True, slots=True)
class RecipePlanned:
    """`problem` says why the recipe cannot be run; "" otherwise."""

    source: Path
    steps: tuple[StepPlan, ...]
    results: tuple[ResultPlan, ...]
    parameters_after: int
    disk_bytes: int
    free_disk_bytes: int
    problem: str = ""
    notice: str = ""
    """What is there already of what it makes, a sentence; "" where nothing is."""
    then: str = ""
    """What running it does about that, without who does: "measures it again"."""


@dataclass(frozen=True, slots=True)
class FinishModel:
    """Note in the manifest of the folder `model` that it was made of `source`, and how; remove the folders `between`.

    The words are those that the folders between were made with, one after the other. `steps` is the recipe's own digest
    of what was done up to here; "" for a model that no recipe goes on from.
    """

    source: Path
    model: Path
    between: tuple[Path, ...]
    steps: str = ""
