"""Reads and checks the header of a GGUF file before llama.cpp, which trusts it, sees the file. Only the stdlib."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import ModelFileError
from app.library.gguf_reader import (
    HEAD_BYTES,
    MAGIC,
    RawHeader,
    TensorInfo,
    Value,
    damaged,
    not_gguf_error,
    printable,
    read_raw,
)
from app.library.tensor_types import quantization_name
from app.system import paths
from app.units import size_text

# The model architectures the pinned llama.cpp knows, and those among them that do not chat.


_NAMES = """
    clip llama llama4 deci falcon grok gpt2 gptj gptneox mpt baichuan starcoder refact bert modern-bert
    nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert bloom stablelm qwen qwen2 qwen2moe
    qwen2vl qwen3 qwen3moe qwen3next qwen3vl qwen3vlmoe qwen35 qwen35moe qwen4exp phi2 phi3 phimoe plamo plamo2
    plamo3 codeshell orion internlm2 minicpm minicpm3 gemma gemma2 gemma3 gemma3n gemma4 gemma4-assistant
    gemma-embedding starcoder2 mamba mamba2 maple jamba falcon-h1 xverse command-r cohere2 cohere2moe dbrx olmo
    olmo2 olmoe muse-glimmer openelm arctic deepseek deepseek2 deepseek2-ocr deepseek32 deepseek4 chatglm glm4
    glm4moe glm-dsa bitnet t5 t5encoder jais jais2 nemotron nemotron_h nemotron_h_moe exaone exaone4 exaone-moe
    rwkv6 rwkv6qwen2 rwkv7 arwkv7 granite granitemoe granitehybrid graniteswitch granite_swa chameleon
    wavtokenizer-dec plm bailingmoe bailingmoe2 bailingmoe3 dots1 dots3note arcee afmoe laguna ernie4_5
    ernie4_5-moe hunyuan-moe hunyuan-dense hunyuan_vl hy_v3 hy_v4 smollm3 gpt-oss lfm2 lfm2moe dream
    smallthinker llada llada-moe seed_oss grovemoe apertus minimax-01 hrm_text minimax-m2 minimax-m3 cogvlm rnd1
    pangu-embedded mistral3 eagle3 dflash mistral4 paddleocr mimo2 step35 spark2_5 llama-embed maincoder
    kimi-linear kimi-k3 glm5-next talkie mellum nanbeige qwen3tts pockettts
"""
KNOWN_ARCHITECTURES = frozenset(_NAMES.split())

_TAKE_NOTHING_BACK = """
    mamba mamba2 rwkv6 rwkv6qwen2 rwkv7 arwkv7 jamba falcon-h1 plamo2 granitehybrid lfm2 lfm2moe nemotron_h
    nemotron_h_moe qwen3next kimi-linear bailingmoe3 kimi-k3 glm5-next qwen35 qwen35moe qwen4exp deepseek4 minimax-01
"""
CANNOT_TAKE_BACK = frozenset(_TAKE_NOTHING_BACK.split())
"""Recurrent and hybrid models: some layers keep a state that cannot be rolled back to before a token.

From `llm_arch_is_recurrent` and `llm_arch_is_hybrid` of the same source.
"""

_EMBEDDING = (
    "This is an embedding model: it turns text into numbers for searching and does not answer.",
    "bert modern-bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert"
    " gemma-embedding llama-embed",
)
_DRAFT = (
    "This is a draft head: it speeds up the model it was made for and does not answer by itself.",
    "eagle3 dflash gemma4-assistant",
)
_AUDIO = ("This is a speech model: it does not answer in text.", "wavtokenizer-dec qwen3tts pockettts")
_ENCODER = ("This is a text encoder: it does not answer.", "t5encoder")
_ENCODER_DECODER = ("Models with a separate encoder, as T5, cannot be used for chat yet.", "t5")

NOT_FOR_CHAT: dict[str, str] = {
    name: sentence
    for sentence, names in (_EMBEDDING, _DRAFT, _AUDIO, _ENCODER, _ENCODER_DECODER)
    for name in names.split()
}
"""The sentence for each architecture that llama.cpp loads and that cannot chat."""


MAX_LAYERS = 512
MAX_EXPERTS = 1024
MAX_COUNT = 1 << 31
ROPE_SCALINGS = frozenset({"none", "linear", "yarn", "longrope"})

_GENERAL_KEYS = frozenset(
    f"general.{name}" for name in ("architecture", "name", "type", "license", "file_type", "alignment")
)
_TOKENIZER_KEYS = frozenset({"tokenizer.ggml.model", "tokenizer.chat_template"})
_ARCHITECTURE_KEYS = (
    ".context_length", ".embedding_length", ".block_count", ".vocab_size", ".nextn_predict_layers",
    ".attention.head_count", ".attention.head_count_kv", ".rope.scaling.type", ".rope.dimension_count",
    ".expert_count", ".expert_used_count", ".expert_group_count", ".expert_group_used_count",
)  # fmt: skip

_NO_CHAT_MODEL = {
    "mmproj": "This is the picture or sound part (mmproj) of a model, not a chat model.",
    "adapter": "This is an adapter (LoRA) for a model, not a model.",
    "imatrix": "This is an importance matrix for quantizing, not a model.",
    "vocab": "This is only the vocabulary of a model.",
}


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What the header says of the model. Counts are 0 and texts "" where it says nothing.

    `parameters` counts the elements of all tensors, `tensor_types` how many tensors there are of each ggml type,
    `vocabulary` the tokens, `context_tokens` what the model was trained for. Of a split model all is of all parts.
    Texts are plain, short and without control characters: they come from whoever made the file.
    """

    architecture: str
    name: str
    parameters: int
    quantization: str
    context_tokens: int
    layers: int
    embedding: int
    heads: int
    kv_heads: int
    vocabulary: int
    has_chat_template: bool
    file_bytes: int
    tensor_bytes: int
    tensor_types: dict[str, int] = field(default_factory=dict)
    read_bytes: dict[str, int] = field(default_factory=dict)
    """Bytes of each ggml type that decoding one token reads: of a mixture only the active experts."""
    license: str = ""
    split_count: int = 1
    has_vocabulary: bool = True

    @property
    def parameters_str(self) -> str:
        """ "7.6 B", "21 M"."""
        for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
            if self.parameters >= size:
                number = self.parameters / size
                return f"{number:.1f} {unit}" if number < 10 else f"{number:.0f} {unit}"
        return str(self.parameters)

    @property
    def is_unquantized(self) -> bool:
        """Whether its matrices have 16 bits or more."""
        return self.quantization in ("F32", "F16", "BF16")

    @property
    def chat_problem(self) -> str:
        """Why a sound file cannot be chatted with, or ""."""
        if not self.has_vocabulary:
            return "The file has no vocabulary, so that the model cannot read or write text."
        return NOT_FOR_CHAT.get(self.architecture, "")


def read_header(path: Path) -> GgufHeader:
    """Read and check the header of a model file (of a split model: all its parts, `path` is the first).

    Takes milliseconds and a few MB whatever the file claims. Raises ModelFileError where llama.cpp could not load the
    file, or would end the process trying.
    """
    first, file_bytes = _read_part(path)
    values = _Values(first.values)
    architecture = _check_kind(first, values)
    count = values.number("split.count", maximum=10_000) or 1
    raws = [first]
    if count > 1:
        for part in parts_of(path, values.number("split.no"), count)[1:]:
            raw, part_bytes = _read_part(part)
            raws.append(raw)
            file_bytes += part_bytes
    if not any(raw.tensors for raw in raws):
        raise ModelFileError("The file has no tensors: it is only a description of a model.")
    _check_shape(values, architecture)
    return _header(first, values, architecture, raws, file_bytes)


def _read_part(path: Path) -> tuple[RawHeader, int]:
    """The header of one file, checked against the size of the file. Raises ModelFileError."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a file"
            raise ModelFileError(f"“{printable(path.name)}” is {what}.", "Choose a .gguf file.")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if not head:
                raise ModelFileError("The file is empty.", "Download it again.")
            if not head.startswith(MAGIC):
                raise not_gguf_error(head, printable(path.name))
            file_bytes = os.fstat(file.fileno()).st_size
            raw = read_raw(file, file_bytes, _is_wanted)
    except FileNotFoundError as error:
        raise ModelFileError(f"The file “{printable(path.name)}” is not there.") from error
    except PermissionError as error:
        raise ModelFileError("The file may not be read.", "Change its permissions.") from error
    except OSError as error:
        raise ModelFileError(f"The file could not be read: {error.strerror or error}.") from error
    _check_size(raw, file_bytes)
    return raw, file_bytes


def _is_wanted(key: str) -> bool:
    return (
        key in _GENERAL_KEYS or key in _TOKENIZER_KEYS or key.startswith("split.") or key.endswith(_ARCHITECTURE_KEYS)
    )


def _check_size(raw: RawHeader, file_bytes: int) -> None:
    if not raw.tensors:
        return
    last = raw.tensors[-1]
    whole = raw.data_start + last.offset + last.size_bytes
    if file_bytes < whole:
        raise ModelFileError(
            f"The file is cut off: {_of(file_bytes, whole)} are there, {size_text(whole - file_bytes)} are missing.",
            "Download it again, or go on with the download.",
        )


def _of(part: int, whole: int) -> str:
    """ "1.2 GB of 4.1 GB", with the bytes where both would read alike."""
    texts = (size_text(part), size_text(whole))
    return f"{part:,} of {whole:,} bytes" if texts[0] == texts[1] else f"{texts[0]} of {texts[1]}"


def _check_kind(raw: RawHeader, values: _Values) -> str:
    """The architecture of a file that is a model llama.cpp knows. Raises ModelFileError for anything else."""
    architecture, kind = values.text("general.architecture"), values.text("general.type")
    if architecture == "clip":
        kind = "mmproj"
    if kind in _NO_CHAT_MODEL:
        raise ModelFileError(_NO_CHAT_MODEL[kind], "Load the model it belongs to.")
    if not architecture:
        if values.number("split.no"):
            return ""
        raise ModelFileError("The file does not say which architecture the model has.", "Download it again.")
    if architecture not in KNOWN_ARCHITECTURES:
        raise ModelFileError(
            f"The model has the architecture “{architecture}”, which the llama.cpp in this Bantam does not know.",
            "The file may be sound: a newer Bantam may load it.",
        )
    return architecture


_ALWAYS_ROTATED = frozenset({"phi3", "phimoe"})
"""Zero dimensions send llama.cpp round for ever in these. Hybrids without rotary positions do say zero."""


def _check_shape(values: _Values, architecture: str) -> None:
    """What llama.cpp asserts, and ends the process on, when it reads the header."""
    layers = values.number(f"{architecture}.block_count")
    if not layers:
        raise damaged("it says that the model has no layers")
    if layers > MAX_LAYERS:
        raise damaged(f"it claims {layers:,} layers")
    if values.number(f"{architecture}.nextn_predict_layers") > layers:
        raise damaged("it claims more prediction layers than layers")
    if not values.number(f"{architecture}.embedding_length") or not values.number(f"{architecture}.context_length"):
        raise damaged("it does not say how wide the model is and how long its context")
    if values.text(f"{architecture}.rope.scaling.type") not in ROPE_SCALINGS | {""}:
        raise damaged("it names an unknown way to scale positions")
    rotated = values.optional(f"{architecture}.rope.dimension_count")
    if rotated is not None and (rotated % 2 or (rotated == 0 and architecture in _ALWAYS_ROTATED)):
        raise damaged(f"it rotates {rotated} of the dimensions of a head")
    _check_experts(values, architecture)


def _check_experts(values: _Values, architecture: str) -> None:
    experts, used, groups, used_groups = (
        values.number(f"{architecture}.expert_{name}")
        for name in ("count", "used_count", "group_count", "group_used_count")
    )
    if architecture in ("hunyuan_vl", "hunyuan-dense") and experts <= 1:
        return
    bad_groups = groups > 1 and (experts % groups or not 0 < used_groups < groups)
    if experts > MAX_EXPERTS or used > experts or (experts and (not used or groups >= experts)) or bad_groups:
        raise damaged(f"its {experts:,} experts, of which {used:,} are used, do not fit together")
    if groups and not experts:
        raise damaged("it has groups of experts without experts")


def _header(raw: RawHeader, values: _Values, architecture: str, raws: list[RawHeader], file_bytes: int) -> GgufHeader:
    tensors = [tensor for each in raws for tensor in each.tensors]
    matrices: Counter[str] = Counter()
    for tensor in tensors:
        if len(tensor.shape) > 1:
            matrices[tensor.type.name] += tensor.elements
    heads = values.number(f"{architecture}.attention.head_count")
    model = values.text("tokenizer.ggml.model")
    return GgufHeader(
        architecture=architecture,
        name=values.text("general.name", 100),
        parameters=sum(tensor.elements for tensor in tensors),
        quantization=quantization_name(values.optional("general.file_type"), dict(matrices)),
        context_tokens=values.number(f"{architecture}.context_length"),
        layers=values.number(f"{architecture}.block_count"),
        embedding=values.number(f"{architecture}.embedding_length"),
        heads=heads,
        kv_heads=values.number(f"{architecture}.attention.head_count_kv") or heads,
        vocabulary=raw.lengths.get("tokenizer.ggml.tokens", values.number(f"{architecture}.vocab_size")),
        has_chat_template=bool(values.text("tokenizer.chat_template")),
        file_bytes=file_bytes,
        tensor_bytes=sum(tensor.size_bytes for tensor in tensors),
        tensor_types=dict(Counter(tensor.type.name for tensor in tensors)),
        read_bytes=_read_bytes(tensors, values, architecture),
        license=values.text("general.license"),
        split_count=len(raws),
        has_vocabulary=model not in ("", "none", "no_vocab"),
    )


def _read_bytes(tensors: list[TensorInfo], values: _Values, architecture: str) -> dict[str, int]:
    """The token embedding counts only where it is the output matrix too; else one row of it is read."""
    experts = values.number(f"{architecture}.expert_count") or 1
    used = values.number(f"{architecture}.expert_used_count") or experts
    tied = not any(tensor.name == "output.weight" for tensor in tensors)
    read: Counter[str] = Counter()
    for tensor in tensors:
        if tensor.name.startswith("per_layer_token_embd") or (tensor.name == "token_embd.weight" and not tied):
            continue
        share = used / experts if "_exps." in tensor.name else 1.0
        read[tensor.type.name] += int(tensor.size_bytes * share)
    return dict(read)


@dataclass(frozen=True, slots=True)
class _Values:
    """The entries of a header as the types they should have; of another type is as if absent."""

    values: dict[str, Value]

    def text(self, key: str, length: int = 60) -> str:
        value = self.values.get(key)
        return printable(value, length) if isinstance(value, str) else ""

    def optional(self, key: str) -> int | None:
        return self.number(key) if key in self.values else None

    def number(self, key: str, maximum: int = MAX_COUNT) -> int:
        """A count, of one for each layer the largest. Raises ModelFileError for one that cannot be."""
        value = self.values.get(key, 0)
        numbers = [n for n in (value if isinstance(value, tuple) else (value,)) if isinstance(n, int)]
        number = max(numbers, default=0)
        if number > maximum or min(numbers, default=0) < 0:
            raise damaged(f"“{printable(key)}” is {number:,}")
        return number


# Models in several files: `name-00001-of-00003.gguf`, as llama.cpp's gguf-split writes them.


_NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)


def split_name(name: str) -> tuple[str, int, int] | None:
    """(stem, number from 1, count) of the name of a part, or None for a file of its own."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    number, count = int(match["number"]), int(match["count"])
    return (match["stem"], number, count) if 1 <= number <= count and count > 1 else None


def part_path(path: Path, number: int) -> Path:
    """The part with this number of the model that `path` is a part of."""
    return path.with_name(re.sub(r"-\d{5}(-of-\d{5}\.gguf)$", rf"-{number:05d}\1", path.name, flags=re.IGNORECASE))


def parts_of(path: Path, index: int, count: int) -> list[Path]:
    """All parts of a split model by its first. `index` and `count` are what its header says. Raises ModelFileError."""
    name = split_name(path.name)
    if index > 0:
        first = f": “{part_path(path, 1).name}”" if name else ""
        raise ModelFileError(
            f"This is part {index + 1} of {count} of a model.", f"Load the first part{first}. It brings the others."
        )
    if name is None or name[1] != 1 or name[2] != count:
        raise ModelFileError(
            f"This is one of {count} parts of a model, and was given another name.",
            f"Name the parts …-00001-of-{count:05d}.gguf and so on again.",
        )
    parts = [part_path(path, number) for number in range(1, count + 1)]
    missing = [part for part in parts if not part.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelFileError(
            f"Part {split_number(missing[0])} of {count} of the model is missing{more}: “{missing[0].name}”.",
            "Download all parts into one folder.",
        )
    return parts


def split_number(path: Path) -> int:
    """Which part of a split model a file is, from 1; 1 for a file of its own."""
    name = split_name(path.name)
    return name[1] if name else 1


# What a model is called, and its family.


MAX_NAME = 120


_SIZE_OR_TYPE = re.compile(r"(?i)[-_. ](?:\d+(?:\.\d+)?[bm]\b|a\d+b|i?q\d|bf16|f16|f32|gguf|instruct|chat|it\b|base)")


def model_name(path: Path, name_in_header: str) -> str:
    """The name of its file, without a part's number: headers often say no more than "Model" or a folder's name.

    The starter model is called what its header says, and so is a file that is named by its hash, as Ollama's are.
    """
    if name_in_header and (path == paths.STARTER_MODEL or path.name.startswith("sha256-")):
        return name_in_header
    return printable((split_name(path.name) or (path.stem,))[0], MAX_NAME)


def family_name(name: str) -> str:
    """The name up to the first part that says a size, a type or a purpose: "Qwen2.5" of "Qwen2.5-7B-Instruct-Q4_K_M".

    A way to search for the other sizes of a model; the whole name where nothing of that kind is in it.
    """
    found = _SIZE_OR_TYPE.search(name)
    return name[: found.start()] if found and found.start() else name
