"""Models of a real shape with random weights, written straight as Q4_0 blocks: for speed and memory, not for quality.

    python -m tests.benchmarks.shapes 1b [FOLDER]

As llama-quantize does for tied embeddings, the embedding is Q6_K. The tokenizer is byte-level BPE with one level of
merges and words that no merge reaches, so that every token but the control ones is valid UTF-8 text. Those that are not
(bytes above ASCII, control tokens) have an embedding of zeros: their logit is 0 and never the largest, so that an
answer neither ends nor breaks.
"""

from __future__ import annotations

import itertools
import os
import string
import sys
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import platformdirs
from gguf import GGMLQuantizationType as Type

_TEMPLATE = (
    "{% for m in messages %}{{'<|im_start|>'+m['role']+'\n'+m['content']+'<|im_end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\n'}}{% endif %}"
)
_CONTROL = ("<|bos|>", "<|im_start|>", "<|im_end|>")
_QUANT_SIZES = gguf.GGML_QUANT_SIZES


@dataclass(frozen=True)
class Shape:
    """The numbers of a Llama architecture; embeddings are tied."""

    name: str
    width: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int
    context: int = 8192


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("1b", 2048, 16, 32, 8, 8192, 128256),
        Shape("0.3b", 1024, 12, 16, 8, 4096, 128256),
        Shape("tiny", 256, 2, 4, 2, 768, 4096),
    )
}


def cache_folder() -> Path:
    """Where made models and built tools are kept: BANTAM_BENCH_CACHE, or the user's cache folder."""
    given = os.environ.get("BANTAM_BENCH_CACHE")
    folder = Path(given) if given else Path(platformdirs.user_cache_dir("bantam-benchmarks", appauthor=False))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def model_of_shape(name: str, folder: Path | None = None) -> Path:
    """The GGUF file of that shape, made at the first call (some seconds; the 1B shape takes 0.8 GB)."""
    shape = SHAPES[name]
    path = (folder or cache_folder()) / f"shape-{name}-q4_0.gguf"
    if not path.exists():
        part = path.with_suffix(".part")
        write_model(shape, part)
        part.replace(path)
    return path


def write_model(shape: Shape, path: Path, seed: int = 1) -> None:
    """Write the model, one tensor in memory at a time."""
    writer = gguf.GGUFWriter(path, "llama")
    vocabulary = _vocabulary(shape.vocabulary)
    _add_header(writer, shape)
    _add_tokenizer(writer, vocabulary)
    tensors = _tensors(shape)
    for tensor, (rows, columns, kind) in tensors.items():
        dtype, count = (np.float32, columns * 4) if kind is Type.F32 else (np.uint8, _row_bytes(columns, kind))
        byte_shape = (columns,) if kind is Type.F32 else (rows, count)
        writer.add_tensor_info(tensor, byte_shape, np.dtype(dtype), rows * count, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    rng = np.random.default_rng(seed)
    silent = [i for i, text in enumerate(vocabulary) if not _is_speakable(text)]
    for tensor, (rows, columns, kind) in tensors.items():
        data = _random(rng, rows, columns, kind)
        if tensor == "token_embd.weight":
            data[silent] = 0
        writer.write_tensor_data(data)
    writer.close()


def _tensors(shape: Shape) -> dict[str, tuple[int, int, Type]]:
    """Name -> (rows, columns, type) in the order of the file."""
    kv = shape.width * shape.kv_heads // shape.heads
    tensors = {"token_embd.weight": (shape.vocabulary, shape.width, Type.Q6_K)}
    for i in range(shape.layers):
        block = {
            "attn_norm": (1, shape.width, Type.F32),
            "attn_q": (shape.width, shape.width, Type.Q4_0),
            "attn_k": (kv, shape.width, Type.Q4_0),
            "attn_v": (kv, shape.width, Type.Q4_0),
            "attn_output": (shape.width, shape.width, Type.Q4_0),
            "ffn_norm": (1, shape.width, Type.F32),
            "ffn_gate": (shape.ffn, shape.width, Type.Q4_0),
            "ffn_up": (shape.ffn, shape.width, Type.Q4_0),
            "ffn_down": (shape.width, shape.ffn, Type.Q4_0),
        }
        tensors |= {f"blk.{i}.{name}.weight": value for name, value in block.items()}
    return tensors | {"output_norm.weight": (1, shape.width, Type.F32)}


def _random(rng: np.random.Generator, rows: int, columns: int, kind: Type) -> np.ndarray:
    """Weights whose products keep the size of their input: standard deviation 1/sqrt(columns). Norms are ones."""
    if kind is Type.F32:
        return np.ones(columns, np.float32)
    block, block_bytes = _QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (rows * columns // block, block_bytes), np.uint8)
    deviation = columns**-0.5
    if kind is Type.Q4_0:  # f16 scale, 32 nibbles around 8
        blocks[:, :2] = _f16_bytes(deviation / 4.6)
    else:  # Q6_K: 128 + 64 bytes of 6 bits around 32, 16 scales of 8 bits, f16 scale
        blocks[:, 192:208] = 32
        blocks[:, 208:] = _f16_bytes(deviation / (32 * 18.5))
    return blocks.reshape(rows, _row_bytes(columns, kind))


def _f16_bytes(value: float) -> np.ndarray:
    return np.array([value], np.float16).view(np.uint8)


def _row_bytes(columns: int, kind: Type) -> int:
    block, block_bytes = _QUANT_SIZES[kind]
    return columns // block * block_bytes


def _add_header(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_name(f"Random weights, shape {shape.name}")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(500000.0)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_vocab_size(shape.vocabulary)


def _add_tokenizer(writer: gguf.GGUFWriter, vocabulary: list[str]) -> None:
    kinds = [gguf.TokenType.CONTROL if text in _CONTROL else gguf.TokenType.NORMAL for text in vocabulary]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(vocabulary)
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_token_merges([f"{a} {b}" for a, b in _pairs()])
    writer.add_bos_token_id(vocabulary.index("<|bos|>"))
    writer.add_eos_token_id(vocabulary.index("<|im_end|>"))
    writer.add_add_bos_token(True)
    writer.add_chat_template(_TEMPLATE)


def _vocabulary(size: int) -> list[str]:
    tokens = [*_CONTROL, *_byte_characters(), *(a + b for a, b in _pairs())]
    return [*tokens, *(f"Ġw{i}" for i in range(size - len(tokens)))]


def _pairs() -> list[tuple[str, str]]:
    """The merges: a space and a letter, or two letters."""
    return list(itertools.product(["Ġ", *string.ascii_lowercase], string.ascii_lowercase))


def _byte_characters() -> list[str]:
    """GPT-2's printable character for each byte value."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = itertools.count(256)
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def _is_speakable(text: str) -> bool:
    return text not in _CONTROL and all(c == "Ġ" or (c.isascii() and c.isprintable()) for c in text)


if __name__ == "__main__":
    print(model_of_shape(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None))
