"""What an operation says on the way and at its end: frozen dataclasses with plain fields. Times are ms, sizes bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.requests import ThreadCounts

ENGINE_BYTES = 40_000_000
"""The child itself, beside the buffers: Python, the libraries, the vocabulary of a small model. Measured."""


class Stage(StrEnum):
    """What is being waited for. The window has a plain word for each."""

    LOAD = "load"
    WARM_UP = "warm up"
    MEASURE_THREADS = "measure threads"
    MEASURE = "measure"
    PREFILL = "prefill"
    SAVE_CACHE = "save cache"
    RESTORE_CACHE = "restore cache"


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
    """`done` of `total` in the stage's own unit: per mille of the weights, tokens, measurements."""

    stage: Stage
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Notice:
    """One line the user should read, though nothing failed."""

    sentence: str


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What llama.cpp itself says the model takes at this context, in bytes."""

    weights_bytes: int
    kv_bytes: int
    compute_bytes: int

    @property
    def total_bytes(self) -> int:
        """All three together."""
        return self.weights_bytes + self.kv_bytes + self.compute_bytes

    @property
    def resident_bytes(self) -> int:
        """What the engine's process takes with them: compared with free memory before loading."""
        return self.total_bytes + ENGINE_BYTES


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


@dataclass(frozen=True, slots=True)
class PromptReady:
    """Sent before prefill. `left_out_messages` counts the oldest messages that no longer fit; never silent."""

    prompt_tokens: int
    reused_tokens: int
    left_out_messages: int
    context_tokens: int


@dataclass(frozen=True, slots=True)
class AnswerStatistics:
    """Said at the end of every answer."""

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


@dataclass(frozen=True, slots=True)
class Token:
    """One step of an answer. `text` may be empty while a character is incomplete or a stop string is possible.

    The last one carries `statistics`, and whatever text was held back.
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


Event = Progress | Notice | PromptReady | Token
Result = TooLarge | ModelLoaded | ConversationOpened | TokenCount | ThreadCounts | BenchResult | None

Report = Callable[[Event], None]
"""How an operation says something on the way."""

ShouldStop = Callable[[], bool]
"""Polled by an operation where it can stop: returns True once the user wants that."""
