"""What is asked of the engine, and what it says: loading a model, answering, measuring. Times are ms, sizes bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.operation import Event, Request

# What a loaded model takes in memory, in bytes.


PROCESS_BYTES = 45_000_000
"""The child itself, beside the buffers and the vocabulary: Python, the libraries, what is written down of a prompt.
Measured."""

ENGINE_BYTES = 49_000_000
"""The child with the vocabulary of a small model: where no more is known."""


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What llama.cpp itself says the model takes at this context, in bytes."""

    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    engine_bytes: int = ENGINE_BYTES
    """The process itself with this model's vocabulary."""
    draft_bytes: int = 0
    """A draft model beside it: its weights, KV cache, buffers and vocabulary."""

    @property
    def total_bytes(self) -> int:
        """Weights, KV cache and buffers together."""
        return self.weights_bytes + self.kv_bytes + self.compute_bytes

    @property
    def resident_bytes(self) -> int:
        """What the engine's process takes with them: compared with free memory before loading."""
        return self.total_bytes + self.engine_bytes + self.draft_bytes


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
    reasoning: str = ""
    """What the model thought before this answer; its chat template decides whether it goes back to it."""


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
    """Meant for measurements: go on where the model would end its answer."""


@dataclass(frozen=True, slots=True)
class LoadModel(Request):
    """Load a GGUF file. `context_tokens` 0 takes the model's own, at most 8192."""

    path: Path
    context_tokens: int = 4096
    kv_type: KvType = KvType.F16
    flash_attention: FlashAttention = FlashAttention.AUTO
    threads: ThreadCounts = ThreadCounts()
    safe_mode: bool = False
    """Whether it was loaded without llama.cpp's repacked kernels, whose AMX path kills the process on some machines."""
    load_anyway: bool = False
    """Skip the comparison with available memory: the user has seen the arithmetic and decided."""
    kv_disk_limit_bytes: int = 4_000_000_000
    """How much disk the saved KV caches of conversations may take; 0 keeps none."""
    draft: Path | None = None
    """A smaller model of the same vocabulary that drafts tokens for this one to verify (speculative decoding)."""
    prompt_lookup: bool = False
    """Draft with n-grams of the text so far too: costs no memory, and gains where text repeats."""


@dataclass(frozen=True, slots=True)
class Generate(Request):
    """Answer the last message. `messages` is the whole conversation in order, the system prompt first if there is one.

    An empty `conversation_id` is a conversation that is not kept on disk.
    """

    conversation_id: str
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    speculative: bool = True
    """Use the drafts the model was loaded with. Without, it is plain decoding: the same text, at another speed."""


@dataclass(frozen=True, slots=True)
class CompareDraft(Request):
    """Answer the last message by turns plainly and with the drafts for about `seconds`, and compare the speeds.

    It is asked of the loaded model, and belongs to no conversation.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling(temperature=0)
    seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class CheckDraft(Request):
    """Answer each prompt (none: the bundled ones) plainly and with the drafts, and compare token by token.

    It is asked of the loaded model. Each answer ends after `new_tokens`.
    """

    prompts: tuple[str, ...] = ()
    sampling: Sampling = Sampling(temperature=0)
    new_tokens: int = 64


DraftTrial = CompareDraft | CheckDraft


@dataclass(frozen=True, slots=True)
class OpenConversation(Request):
    """Save the KV cache of the conversation that is left and restore that of this one. Empty: only save."""

    conversation_id: str


@dataclass(frozen=True, slots=True)
class CountTokens(Request):
    """How many tokens the conversation takes once the chat template is applied: the context meter."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class MeasureThreads(Request):
    """Measure the best thread counts for the loaded model and remember them for this machine (about 10 s)."""


@dataclass(frozen=True, slots=True)
class Bench(Request):
    """Measure prefill, decode, time to first token and peak memory of a model, in a process of its own."""

    load: LoadModel
    prompt_tokens: int = 512
    new_tokens: int = 128
    repetitions: int = 3


@dataclass(frozen=True, slots=True)
class MeasureFit(Request):
    """Ask llama.cpp what the model at `path`, a file or a sparse stub of one, takes at each context and KV type."""

    path: Path
    context_tokens: tuple[int, ...]
    kv_types: tuple[KvType, ...] = (KvType.F16,)
    flash_attention: FlashAttention = FlashAttention.AUTO


@dataclass(frozen=True, slots=True)
class MeasureMachine(Request):
    """Measure how fast this machine reads weights of each type while decoding (about 10 s)."""


class StopReason(StrEnum):
    """Why an answer ended."""

    END = "end"
    """The model ended its answer."""
    STOP_STRING = "stop string"
    MAX_TOKENS = "max tokens"
    CONTEXT_FULL = "context full"
    STOPPED = "stopped"
    """Stopped by the user."""


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
class PromptReady(Event):
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
class Token(Event):
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


# What is said of drafts (speculative decoding): how they do in an answer, what they gain, that they change nothing.


PAYS_FROM = 1.05
"""Times as fast as plain decoding: less is within what two measurements differ by, and a draft takes memory."""

ROUNDING_MARGIN = 1e-3
"""A probability: a difference of tokens at a smaller margin is explained by rounding."""


@dataclass(frozen=True, slots=True)
class DraftLoaded:
    """The draft model that is in memory beside the model. `need` is its own, and part of the model's `draft_bytes`."""

    path: Path
    name: str
    need: MemoryNeed
    ms_per_token: float
    """Measured at the load."""


@dataclass(frozen=True, slots=True)
class DraftFigures(Event):
    """How drafting goes in an answer: said while it is generated, when something changes, and at its end.

    `is_on` is False while tokens are decoded plainly because drafting loses here; it is tried again now and then.
    `steps` counts the runs of the model, each of which gives one token and those that were accepted.
    """

    is_on: bool
    drafted_tokens: int
    accepted_tokens: int
    steps: int
    new_tokens: int
    ms_per_token: float
    plain_ms_per_token: float
    """The time of the tokens decoded without a draft, measured on this machine beside the others; 0 before any was."""

    @property
    def acceptance(self) -> float:
        """Share of the drafted tokens that the model accepted, 0 to 1."""
        return self.accepted_tokens / self.drafted_tokens if self.drafted_tokens else 0.0

    @property
    def tokens_per_step(self) -> float:
        """New tokens for each run of the model; 1 is plain decoding."""
        return self.new_tokens / self.steps if self.steps else 0.0

    @property
    def speed_up(self) -> float:
        """How many times faster than plain decoding, measured; 0 while that is not known."""
        return self.plain_ms_per_token / self.ms_per_token if self.ms_per_token else 0.0


@dataclass(frozen=True, slots=True)
class DraftVerdict:
    """What drafting gains on a prompt: medians over pairs of answers, one plain and one with the drafts."""

    plain_tokens_per_second: float
    speculative_tokens_per_second: float
    acceptance: float
    tokens_per_step: float
    pairs: int
    new_tokens: int
    """The tokens of one answer."""

    @property
    def ratio(self) -> float:
        """The speed with drafts over the plain one; above 1 drafting is faster."""
        return self.speculative_tokens_per_second / self.plain_tokens_per_second

    @property
    def pays(self) -> bool:
        """Whether it is faster by more than two measurements of the same thing differ."""
        return self.ratio >= PAYS_FROM and self.acceptance > 0


@dataclass(frozen=True, slots=True)
class Difference:
    """The first token at which an answer with drafts differs from the plain one.

    At temperature 0 `margin` is how much more probable the plain token was than the second best; otherwise the largest
    difference of probability of any token between the two ways. A few thousandths are rounding: a batch is summed
    in another order than a single token.
    """

    prompt: str
    position: int
    plain: str
    speculative: str
    margin: float

    @property
    def is_rounding(self) -> bool:
        """Whether rounding explains it; otherwise it is a fault."""
        return self.margin <= ROUNDING_MARGIN


@dataclass(frozen=True, slots=True)
class DraftCheck:
    """The result of comparing answers with and without drafts."""

    prompts: int
    tokens: int
    """Compared, of all answers together."""
    accepted_tokens: int
    """How many were accepted from a draft: without any, nothing was checked."""
    differences: tuple[Difference, ...]

    @property
    def is_sound(self) -> bool:
        """Identical, but for rounding."""
        return all(difference.is_rounding for difference in self.differences)
