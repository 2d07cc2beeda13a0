"""GGUF files for the hub's tests: written by hand, so that a header of any length can be made without its weights."""

from __future__ import annotations

import struct
from pathlib import Path

STRING, ARRAY, UINT32, FLOAT32 = 8, 9, 4, 6


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def entry(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def number(key: str, value: int) -> bytes:
    return entry(key, UINT32, struct.pack("<I", value))


def texts(key: str, values: list[bytes]) -> bytes:
    return entry(key, ARRAY, struct.pack("<IQ", STRING, len(values)) + b"".join(map(text, values)))


def llama_8b(path: Path, *, vocabulary: int = 128_256, merges: int = 280_147) -> Path:
    """The header of an 8B Llama 3 in Q4_0 with its vocabulary, and a hole where the weights are. Returns `path`."""
    tokens = [b"t%d_abc" % n for n in range(vocabulary)]
    entries = [
        entry("general.architecture", STRING, text("llama")),
        entry("general.name", STRING, text("Shape of an 8B")),
        number("general.file_type", 2),
        number("llama.block_count", 32),
        number("llama.context_length", 131072),
        number("llama.embedding_length", 4096),
        number("llama.feed_forward_length", 14336),
        number("llama.attention.head_count", 32),
        number("llama.attention.head_count_kv", 8),
        number("llama.rope.dimension_count", 128),
        number("llama.vocab_size", vocabulary),
        entry("llama.attention.layer_norm_rms_epsilon", FLOAT32, struct.pack("<f", 1e-5)),
        entry("llama.rope.freq_base", FLOAT32, struct.pack("<f", 5e5)),
        entry("tokenizer.ggml.model", STRING, text("gpt2")),
        entry("tokenizer.ggml.pre", STRING, text("llama-bpe")),
        texts("tokenizer.ggml.tokens", tokens),
        entry(
            "tokenizer.ggml.token_type", ARRAY, struct.pack("<IQ", 5, vocabulary) + struct.pack("<i", 1) * vocabulary
        ),
        texts("tokenizer.ggml.merges", [b"t%d_abc t%d_abc" % (n % 997, n % 991) for n in range(merges)]),
        number("tokenizer.ggml.bos_token_id", 0),
        number("tokenizer.ggml.eos_token_id", 1),
    ]
    write(path, entries, _tensors(vocabulary))
    return path


def _tensors(vocabulary: int) -> list[tuple[str, tuple[int, ...], int]]:
    """Name, shape and ggml type: 2 is Q4_0, 14 is Q6_K, 0 is F32."""
    tensors: list[tuple[str, tuple[int, ...], int]] = [("token_embd.weight", (4096, vocabulary), 2)]
    for n in range(32):
        block = {
            "attn_norm": ((4096,), 0), "attn_q": ((4096, 4096), 2), "attn_k": ((4096, 1024), 2),
            "attn_v": ((4096, 1024), 2), "attn_output": ((4096, 4096), 2), "ffn_norm": ((4096,), 0),
            "ffn_gate": ((4096, 14336), 2), "ffn_up": ((4096, 14336), 2), "ffn_down": ((14336, 4096), 2),
        }  # fmt: skip
        tensors += [(f"blk.{n}.{name}.weight", shape, kind) for name, (shape, kind) in block.items()]
    return [*tensors, ("output_norm.weight", (4096,), 0), ("output.weight", (4096, vocabulary), 14)]


def write(path: Path, entries: list[bytes], tensors: list[tuple[str, tuple[int, ...], int]]) -> None:
    """A file with this header and zeros as weights, sparse."""
    block = {0: (1, 4), 2: (32, 18), 14: (256, 210)}
    infos, offset = [], 0
    for name, shape, kind in tensors:
        infos.append(text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape))
        infos.append(struct.pack("<IQ", kind, offset))
        elements = 1
        for length in shape:
            elements *= length
        offset += (elements // block[kind][0] * block[kind][1] + 31) // 32 * 32
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries)) + b"".join(entries) + b"".join(infos)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(header)
        file.truncate((len(header) + 31) // 32 * 32 + offset)
