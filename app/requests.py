"""What can be asked of an operation: frozen dataclasses with plain fields, for a test, a terminal and the child."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from app.hub.repository import RemoteFile
from app.inside.asked import LookAtTensor, LookInside, SuggestTypes
from app.pruning import FinishModel, MakeDraft, PlanDraft, PlanRecipe, PlanRecovery, Prune, Recover

LEAST_CONTEXT_TOKENS = 256
"""Less holds no question with its answer, and llama.cpp rounds up to it."""


class KvType(StrEnum):
    """Element type of the KV cache, in ggml's names."""

    F16 = "f16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


class FlashAttention(StrEnum):
    """Whether attention is computed block by block; AUTO lets llama.cpp decide."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Role(StrEnum):
    """Who says a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class ThreadCounts:
    """Threads for one token at a time (decode) and for many (prefill). 0 means: as measured on this machine."""

    decode: int = 0
    prefill: int = 0


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. Temperature 0 is greedy and ignores the rest but the repeat penalty.

    A `top_k` of 0, a `top_p` of 1 and a `min_p` of 0 switch that filter off. `seed` None draws a new one for each
    answer and reports it. `max_tokens` 0 means until the model ends or the context is full.
    """

    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int = 0
    ignore_end: bool = False
    """For measurements: go on where the model would end its answer."""


@dataclass(frozen=True, slots=True)
class LoadModel:
    """Load a GGUF file. `context_tokens` 0 takes the model's own, at most 8192."""

    path: Path
    context_tokens: int = 4096
    kv_type: KvType = KvType.F16
    flash_attention: FlashAttention = FlashAttention.AUTO
    threads: ThreadCounts = ThreadCounts()
    safe_mode: bool = False
    """Without llama.cpp's repacked kernels, whose AMX path kills the process on some machines."""
    load_anyway: bool = False
    """Skip the comparison with available memory: the user has seen the arithmetic and decided."""
    kv_disk_limit_bytes: int = 4_000_000_000
    """How much disk the saved KV caches of conversations may take; 0 keeps none."""
    draft: Path | None = None
    """A smaller model of the same vocabulary that drafts tokens for this one to verify (speculative decoding)."""
    prompt_lookup: bool = False
    """Draft with n-grams of the text so far too: costs no memory, and gains where text repeats."""


@dataclass(frozen=True, slots=True)
class Generate:
    """Answer the last message. `messages` is the whole conversation in order, the system prompt first if there is one.

    An empty `conversation_id` is a conversation that is not kept on disk.
    """

    conversation_id: str
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    speculative: bool = True
    """Use the drafts the model was loaded with. Without, it is plain decoding: the same text, at another speed."""


@dataclass(frozen=True, slots=True)
class CompareDraft:
    """Answer the last message by turns plainly and with the drafts for about `seconds`, and compare the speeds.

    It is asked of the loaded model, and belongs to no conversation.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling(temperature=0)
    seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class CheckDraft:
    """Answer each prompt (none: the bundled ones) plainly and with the drafts, and compare token by token.

    It is asked of the loaded model. Each answer ends after `new_tokens`.
    """

    prompts: tuple[str, ...] = ()
    sampling: Sampling = Sampling(temperature=0)
    new_tokens: int = 64


DraftTrial = CompareDraft | CheckDraft


@dataclass(frozen=True, slots=True)
class OpenConversation:
    """Save the KV cache of the conversation that is left and restore that of this one. Empty: only save."""

    conversation_id: str


@dataclass(frozen=True, slots=True)
class CountTokens:
    """How many tokens the conversation takes once the chat template is applied: the context meter."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class MeasureThreads:
    """Measure the best thread counts for the loaded model and remember them for this machine (about 10 s)."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Measure prefill, decode, time to first token and peak memory of a model, in a process of its own."""

    load: LoadModel
    prompt_tokens: int = 512
    new_tokens: int = 128
    repetitions: int = 3


@dataclass(frozen=True, slots=True)
class MeasureFit:
    """Ask llama.cpp what the model at `path`, a file or a sparse stub of one, takes at each context and KV type."""

    path: Path
    context_tokens: tuple[int, ...]
    kv_types: tuple[KvType, ...] = (KvType.F16,)
    flash_attention: FlashAttention = FlashAttention.AUTO


@dataclass(frozen=True, slots=True)
class MeasureMachine:
    """Measure how fast this machine reads weights of each type while decoding (about 10 s)."""


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """What is downloaded from where to where. Written to disk until it is done: it holds no secret."""

    endpoint: str
    repository: str
    revision: str
    """The commit, 40 hexadecimal digits."""
    title: str
    """For people: "Qwen3-8B, Q4_K_M"."""
    files: tuple[RemoteFile, ...]
    folder: Path
    """models/<owner>/<name>; the files keep their paths below it."""
    reserve_bytes: int = 0
    """What must stay free on the disk beside the files: for a conversion that follows."""


@dataclass(frozen=True, slots=True)
class Download:
    """Download, or go on downloading, what is not there yet of the plan. `token` is for the endpoint alone."""

    plan: DownloadPlan
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class VerifyModel:
    """Read all bytes of a model (of a split one all parts) and compare them with its manifest."""

    path: Path


@dataclass(frozen=True, slots=True)
class Convert:
    """Write a Hugging Face folder (config.json, tokenizer, safetensors) as one GGUF file."""

    folder: Path
    output: Path
    type: str = "bf16"
    """f32, f16, bf16 or q8_0: what matrices are stored as. Vectors and norms stay f32."""


@dataclass(frozen=True, slots=True)
class TensorOverride:
    """Tensors whose name matches the regular expression `pattern` are stored as `type` (ggml's name, "Q8_0")."""

    pattern: str
    type: str


@dataclass(frozen=True, slots=True)
class Quantize:
    """Make a smaller GGUF of a model: of a GGUF file, or of a Hugging Face folder, which is converted first.

    `type` is llama.cpp's name of the mixture ("Q4_K_M"). An `importance` matrix weighs the rounding errors by what
    flows through the weights; `calibrate` collects one first, over the bundled text. `threads` 0 takes all cores.
    """

    source: Path
    output: Path
    type: str
    importance: Path | None = None
    calibrate: bool = False
    overrides: tuple[TensorOverride, ...] = ()
    output_type: str = ""
    """ggml type of the output matrix; "" as the mixture has it."""
    embedding_type: str = ""
    threads: int = 0
    requantize: bool = False
    """Allow a source that is quantized already: its errors stay, and new ones come."""
    keep_intermediate: bool = False
    """Keep the converted 16-bit file beside the result."""
    best: bool = False
    """AWQ folding, importance matrix and GPTQ re-rounding, to Q4_0 or Q4_K_M."""
    text: Path | None = None
    """What `calibrate` and `best` read; None: the bundled text."""


@dataclass(frozen=True, slots=True)
class CollectImportance:
    """Collect an importance matrix of the model over a text (None: the bundled one) in llama.cpp's GGUF format."""

    model: Path
    output: Path
    text: Path | None = None
    context_tokens: int = 512
    chunks: int = 0
    """At most so many windows of the text; 0 takes all of it."""
    threads: int = 0


@dataclass(frozen=True, slots=True)
class MeasureQuality:
    """Perplexity of a model over a text (None: the bundled one), and against a `reference` KL divergence and top-1.

    Windows of `context_tokens`; the second half of each is scored, as llama-perplexity does.
    """

    model: Path
    reference: Path | None = None
    text: Path | None = None
    context_tokens: int = 512
    chunks: int = 0
    threads: int = 0
    speed: bool = False
    """Measure decode speed, time to first token and peak memory of `model` in the same job."""


@dataclass(frozen=True, slots=True)
class PlanOffers:
    """What quantizing `source` to each of the types would make: size, memory, speed. Reads headers alone."""

    source: Path
    types: tuple[str, ...]
    context_tokens: int = 4096
    kv_type: KvType = KvType.F16


@dataclass(frozen=True, slots=True)
class PlanConversion:
    """What quantizing a Hugging Face folder to each of the types would make, at each context and KV type.

    Its safetensors may be sparse: headers are read, and no weights.
    """

    folder: Path
    types: tuple[str, ...]
    context_tokens: tuple[int, ...]
    kv_types: tuple[KvType, ...] = (KvType.F16,)


Request = (
    LoadModel
    | Generate
    | CompareDraft
    | CheckDraft
    | OpenConversation
    | CountTokens
    | MeasureThreads
    | Bench
    | MeasureFit
    | MeasureMachine
    | Download
    | VerifyModel
    | Convert
    | Quantize
    | CollectImportance
    | MeasureQuality
    | PlanOffers
    | PlanConversion
    | Prune
    | Recover
    | PlanRecovery
    | MakeDraft
    | PlanRecipe
    | PlanDraft
    | FinishModel
    | LookInside
    | LookAtTensor
    | SuggestTypes
)
