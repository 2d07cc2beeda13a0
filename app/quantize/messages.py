"""What is asked of quantizing and of its previews, and what they say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.engine.curve import FitCurve
from app.engine.messages import KvType, MemoryNeed
from app.fit.judgement import Judgement, Made, ReadProfile, made_key
from app.operation import Request


@dataclass(frozen=True, slots=True)
class TensorOverride:
    """Tensors whose name matches the regular expression `pattern` are stored as `type` (ggml's name, "Q8_0")."""

    pattern: str
    type: str


@dataclass(frozen=True, slots=True)
class Quantize(Request):
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
class CollectImportance(Request):
    """Collect an importance matrix of the model over a text (None: the bundled one) in llama.cpp's GGUF format."""

    model: Path
    output: Path
    text: Path | None = None
    context_tokens: int = 512
    chunks: int = 0
    """At most so many windows of the text; 0 takes all of it."""
    threads: int = 0


@dataclass(frozen=True, slots=True)
class PlanOffers(Request):
    """What quantizing `source` to each of the types would make: size, memory, speed. Reads headers alone."""

    source: Path
    types: tuple[str, ...]
    context_tokens: int = 4096
    kv_type: KvType = KvType.F16


@dataclass(frozen=True, slots=True)
class PlanConversion(Request):
    """What quantizing a Hugging Face folder to each of the types would make, at each context and KV type.

    Its safetensors may be sparse: headers are read, and no weights.
    """

    folder: Path
    types: tuple[str, ...]
    context_tokens: tuple[int, ...]
    kv_types: tuple[KvType, ...] = (KvType.F16,)


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

    def judgements(self, key: str) -> tuple[Judgement, ...]:
        """How each file would fit, for the model with this key."""
        return tuple(
            Judgement(
                made_key(key, file.type),
                file.curve,
                file.reads,
                self.problem,
                made=Made(file.type, file.size_bytes, self.between_bytes + file.size_bytes),
            )
            for file in self.files
        )


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
