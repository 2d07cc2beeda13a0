"""What an operation says on the way and at its end: frozen dataclasses with plain fields. Times are ms, sizes bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.drafting import DraftCheck, DraftFigures, DraftLoaded, DraftVerdict
from app.fit.curve import FitCurve
from app.fit.judgement import ReadProfile
from app.fit.need import MemoryNeed
from app.inside.said import Inside, TensorLook, TypesSuggested
from app.pruning import DraftMade, DraftsPlanned, Pruned, RecipePlanned, Recovered, RecoveryPlanned
from app.requests import ThreadCounts


class Stage(StrEnum):
    """What is being waited for. The window has a plain word for each."""

    LOAD = "load"
    WARM_UP = "warm up"
    MEASURE_THREADS = "measure threads"
    MEASURE = "measure"
    PREFILL = "prefill"
    SAVE_CACHE = "save cache"
    RESTORE_CACHE = "restore cache"
    MEASURE_SPEED = "measure speed"
    VERIFY = "verify"
    CONVERT = "convert"
    CALIBRATE = "calibrate"
    """Collecting an importance matrix."""
    FOLD = "fold"
    """AWQ: moving scales between layers, without changing what the model computes."""
    QUANTIZE = "quantize"
    REROUND = "re-round"
    """GPTQ: choosing the 4-bit values again, each for what the others got wrong."""
    REFERENCE = "reference"
    """Reading the evaluation text with the source."""
    QUALITY = "quality"
    """Reading the evaluation text with the model that is measured."""
    LOAD_DRAFT = "load draft"
    MEASURE_DRAFT = "measure draft"
    """Timing batches of drafted tokens, once for a model on this machine."""
    COMPARE_DRAFT = "compare draft"
    CHECK_DRAFT = "check draft"
    PRUNE = "prune"
    """A block at a time: reading what flows through it, cutting it, reading again."""
    RANK_LAYERS = "rank layers"
    WRITE_TEXT = "write text"
    """The teacher writes the text that the pruned model learns from."""
    RECOVER = "recover"
    HELD_OUT = "held out"
    """Reading held-out text with teacher and pruned model, before and after."""
    SENSITIVITY = "sensitivity"
    """Storing a group of tensors in 4 bits, and seeing how much the model minds."""


class StopReason(StrEnum):
    """Why an answer ended."""

    END = "end"
    """The model ended its answer."""
    STOP_STRING = "stop string"
    MAX_TOKENS = "max tokens"
    CONTEXT_FULL = "context full"
    STOPPED = "stopped"
    """By the user."""


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` in the stage's own unit: per mille of the weights, tokens, tensors, measurements."""

    stage: Stage
    done: int
    total: int
    seconds_left: float = 0.0
    """Of this stage; 0 while it is not known."""
    loss: float | None = None
    """Of the last step of a training, in nats a token; None elsewhere."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One line the user should read, though nothing failed."""

    sentence: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The model needs more than the memory that is available: a question, not an error. Answer with `load_anyway`."""

    path: Path
    need: MemoryNeed
    available_bytes: int
    sentence: str


@dataclass(frozen=True, slots=True)
class ModelLoaded:
    """The model is in memory and has decoded its first tokens."""

    path: Path
    name: str
    architecture: str
    quantization: str
    parameters: int
    context_tokens: int
    trained_context_tokens: int
    has_chat_template: bool
    need: MemoryNeed
    threads: ThreadCounts
    safe_mode: bool
    load_ms: float
    draft: DraftLoaded | None = None
    draft_problem: str = ""
    """Why the model was loaded without the draft that was asked for; "" otherwise."""
    prompt_lookup: bool = False


@dataclass(frozen=True, slots=True)
class PromptReady:
    """Sent before prefill. `left_out_messages` counts the oldest messages that no longer fit; never silent."""

    prompt_tokens: int
    reused_tokens: int
    left_out_messages: int
    context_tokens: int


@dataclass(frozen=True, slots=True)
class AnswerStatistics:
    """Said at the end of every answer. `draft_tokens` of the new ones came from a draft."""

    prompt_tokens: int
    reused_tokens: int
    new_tokens: int
    draft_tokens: int
    time_to_first_token_ms: float
    prefill_ms: float
    decode_ms: float
    ms_per_token_median: float
    ms_per_token_p95: float
    tokens_per_second: float
    stop_reason: StopReason
    seed: int
    left_out_messages: int = 0
    drafting: DraftFigures | None = None
    """None for plain decoding."""


@dataclass(frozen=True, slots=True)
class Token:
    """One step of an answer. `text` may be empty while a character is incomplete or a stop string is possible.

    The last one carries `statistics`, and whatever text was held back. `from_draft` tells the tokens that a draft
    guessed and the model agreed with; the ms of a step are shared among its tokens.
    """

    text: str
    ms: float
    from_draft: bool = False
    statistics: AnswerStatistics | None = None


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Length of a conversation as a prompt, and the context it must fit in."""

    tokens: int
    context_tokens: int


@dataclass(frozen=True, slots=True)
class ConversationOpened:
    """`restored_tokens` of the conversation's KV cache were found on disk and are in memory again."""

    conversation_id: str
    restored_tokens: int


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Speeds are medians over the repetitions; `peak_resident_bytes` is of the whole process."""

    path: Path
    context_tokens: int
    prompt_tokens: int
    new_tokens: int
    threads: ThreadCounts
    load_ms: float
    prefill_tokens_per_second: float
    decode_tokens_per_second: float
    ms_per_token_median: float
    ms_per_token_p95: float
    time_to_first_token_ms: float
    need: MemoryNeed
    peak_resident_bytes: int
    safe_mode: bool


class DownloadPhase(StrEnum):
    """What a download is doing."""

    CONNECTING = "connecting"
    DOWNLOADING = "downloading"
    WAITING = "waiting"
    """For the network or the hub: it goes on by itself."""
    CHECKING = "checking"
    """Computing the sha256 of what was there from an earlier attempt."""


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """Of all files of the download together. Speed and time left are 0 while they are not known."""

    phase: DownloadPhase
    done_bytes: int
    total_bytes: int
    bytes_per_second: float = 0.0
    seconds_left: float = 0.0
    sentence: str = ""
    """Why it waits: "The connection was lost. Trying again in 8 s."; "" otherwise."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """All files are there under their final names, checked, and named in the folder's manifest."""

    repository: str
    revision: str
    files: tuple[Path, ...]


class FileCheck(StrEnum):
    """What comparing a file with its manifest showed."""

    SOUND = "sound"
    DAMAGED = "damaged"
    """Its bytes are others than those that were downloaded."""
    UNKNOWN = "unknown"
    """Nobody has said what its bytes should be; its header is sound."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of checking a model. `sentence` says it for the user; `sha256` is of the first file."""

    path: Path
    check: FileCheck
    sentence: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class TensorSpeed:
    """How many bytes of weights of one ggml type this machine turns into an answer in a second, while decoding."""

    type: str
    bytes_per_second: float


@dataclass(frozen=True, slots=True)
class MachineSpeed:
    """Measured in a child, through the engine's own decoding. `ms_per_layer` is what a layer costs beside its bytes."""

    types: tuple[TensorSpeed, ...]
    kv_bytes_per_second: float
    ms_per_layer: float
    threads: int
    measured: str
    """ISO 8601 time."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What one type would make of a model. The size is exact, the memory is what llama.cpp plans."""

    type: str
    size_bytes: int
    need: MemoryNeed
    ms_per_token: float | None
    """Predicted; None before this machine's speed was measured."""


@dataclass(frozen=True, slots=True)
class Offers:
    """One for each type that was asked for. `between_bytes` is the 16-bit file on the way; 0 where none is needed."""

    source: Path
    offers: tuple[Offer, ...]
    between_bytes: int
    calibration_seconds: float
    """How long an importance matrix over the bundled text would take, about; 0 where that is not known."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """What one type would make of a folder. The size is exact, the memory is what llama.cpp plans."""

    type: str
    size_bytes: int
    curve: FitCurve
    reads: ReadProfile


@dataclass(frozen=True, slots=True)
class ConversionPlanned:
    """One file for each type that was asked for. `between_bytes` is the 16-bit file on the way.

    `problem` says why none of them could be chatted with; "" otherwise.
    """

    folder: Path
    files: tuple[PlannedFile, ...]
    between_bytes: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Converted:
    """The GGUF file is there, under its final name."""

    path: Path
    type: str
    tensors: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Quantized:
    """The quantized file is there, under its final name, with its row in the manifest."""

    path: Path
    type: str
    recipe: str
    """How it was made, in words that can be read: "Q4_K_M with an importance matrix"."""
    source_bytes: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ImportanceCollected:
    """`entries` is the number of matrices that have an importance now."""

    path: Path
    entries: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its standard error."""

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class Quality:
    """What a model is worth on a text. All but perplexity need a reference, and are None without one."""

    path: Path
    reference: Path | None
    text: str
    """Name of the text: "bundled" with its version, or the file's name and sha256."""
    context_tokens: int
    scored_tokens: int
    perplexity: Estimate
    reference_perplexity: Estimate | None = None
    kl_mean: Estimate | None = None
    """Kullback-Leibler divergence of the model's next-token distribution from the reference's, in nats."""
    kl_99: float | None = None
    """99th percentile of the same."""
    top_1: Estimate | None = None
    """Share of the positions at which both think the same token most likely, 0 to 1."""
    speed: BenchResult | None = None


Event = Progress | Notice | PromptReady | Token | DraftFigures | DownloadProgress
Result = (
    TooLarge | ModelLoaded | ConversationOpened | TokenCount | ThreadCounts | BenchResult
    | Downloaded | Verified | FitCurve | MachineSpeed | Converted | Quantized | Offers
    | ConversionPlanned | ImportanceCollected | Quality | DraftVerdict | DraftCheck
    | Inside | TensorLook | TypesSuggested
    | Pruned | Recovered | RecoveryPlanned | DraftMade | RecipePlanned | DraftsPlanned | None
)  # fmt: skip

Report = Callable[[Event], None]
"""How an operation says something on the way."""

ShouldStop = Callable[[], bool]
"""Polled by an operation where it can stop: returns True once the user wants that."""
