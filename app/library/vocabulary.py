"""The vocabulary of a GGUF file, and whether another model's is the same: only then can one draft for the other."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from app.errors import ModelFileError
from app.library.gguf_reader import HEAD_BYTES, MAGIC, RawHeader, not_gguf_error, printable, read_raw

MOST_DIFFERENCE = 128
"""Tokens that one vocabulary may have more than the other (SPEC_VOCAB_MAX_SIZE_DIFFERENCE of llama.cpp)."""
FIRST_COMPARED = 5
"""Tokens before this one may differ: marks that mean the same (SPEC_VOCAB_CHECK_START_TOKEN_ID)."""

_UNUSED = 5  # LLAMA_TOKEN_TYPE_UNUSED of llama.h
_KEY = "tokenizer.ggml."
_ADDS_BOS = frozenset(
    {
        "llama3",
        "llama-v3",
        "llama-bpe",
        "falcon3",
        "falcon-h1",
        "pixtral",
        "midm-2.0",
        "lfm2",
        "jina-v5-nano",
        "tekken",
        "chameleon",
    }
)
"""Byte-level pre-tokenizers with which a text begins with BOS where the file does not say (llama-vocab.cpp)."""
_DEFAULTS = {
    "llama": (1, 2),
    "gpt2": (11, 11),
    "hybriddna": (11, 11),
    "whitespace": (11, 11),
    "bert": (101, -1),
    "t5": (-1, 1),
    "plamo2": (1, 2),
}
"""BOS and EOS of each kind of vocabulary, where the file does not say (llama-vocab.cpp)."""
_WITHOUT_BOS = frozenset({"chatglm-bpe", "glm4", "glm5"})
"""Byte-level pre-tokenizers without a BOS of their own, where the file does not say."""
_ALWAYS_BOS = frozenset({"gemma4", "granite-embed-multi-311m"})
"""Those with which a text begins with BOS even where the file says that it does not."""
_BYTE_LEVEL = frozenset({"gpt2", "hybriddna", "whitespace", "gemma4"})
"""Names of one kind of vocabulary (LLAMA_VOCAB_TYPE_BPE)."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens in the order of their ids, as UTF-8, with their types (empty where the file has none).

    `bos` and `eos` are what is added to a text at its beginning and end; None where nothing is.
    """

    kind: str
    tokens: tuple[bytes, ...]
    types: tuple[int, ...]
    bos: int | None
    eos: int | None

    def is_padding(self, token: int) -> bool:
        """Whether the id only fills up the matrix to a round size; no text is ever split into it."""
        return token < len(self.types) and self.types[token] == _UNUSED


def read_vocabulary(path: Path) -> Vocabulary:
    """Read it from the header: 0.1 s for 150,000 tokens. Raises ModelFileError."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if not head.startswith(MAGIC):
                raise not_gguf_error(head, printable(path.name))
            lists = frozenset({_KEY + "tokens", _KEY + "token_type"})
            raw = read_raw(file, os.fstat(file.fileno()).st_size, lambda key: key.startswith(_KEY), lists)
    except FileNotFoundError as error:
        raise ModelFileError(f"The file “{printable(path.name)}” is not there.") from error
    except OSError as error:
        raise ModelFileError(f"The file could not be read: {error.strerror or error}.") from error
    return _build(raw)


def vocabulary_problem(target: Vocabulary, draft: Vocabulary) -> str:
    """Why the draft's tokens are not the target's, in words that follow "it cannot draft: "; "" where they are.

    llama.cpp's own rule (`common_speculative_are_compatible` in common/speculative.cpp), but that tokens which are only
    padding never count.
    """
    if draft.kind != target.kind:
        return "its vocabulary is of another kind"
    shorter = min(len(draft.tokens), len(target.tokens))
    more = _words(draft, shorter) - _words(target, shorter)
    if abs(more) > MOST_DIFFERENCE:
        return f"its vocabulary has {abs(more):,} tokens {'more' if more > 0 else 'fewer'}"
    if draft.bos != target.bos:
        return "it begins a text with another token"
    if draft.eos != target.eos:
        return "it ends a text with another token"
    if draft.tokens[FIRST_COMPARED:shorter] == target.tokens[FIRST_COMPARED:shorter]:
        return ""
    for token in range(FIRST_COMPARED, shorter):
        if draft.tokens[token] != target.tokens[token] and not (draft.is_padding(token) and target.is_padding(token)):
            return f"token {token:,} is different"
    return ""


def _words(vocabulary: Vocabulary, start: int) -> int:
    """Tokens from `start` on that are no padding."""
    return sum(not vocabulary.is_padding(token) for token in range(start, len(vocabulary.tokens)))


def _build(raw: RawHeader) -> Vocabulary:
    texts = (token for token in raw.lists.get(_KEY + "tokens", ()) if isinstance(token, bytes))
    tokens = tuple(text or b"[EMPTY_%d]" % token for token, text in enumerate(texts))
    types = tuple(kind for kind in raw.lists.get(_KEY + "token_type", ()) if isinstance(kind, int))
    if not tokens:
        raise ModelFileError("The file has no vocabulary.")
    model = str(raw.values.get(_KEY + "model", ""))
    pre = "gemma4" if model == "gemma4" else str(raw.values.get(_KEY + "pre", ""))
    is_byte_level = model in _BYTE_LEVEL
    bos, eos = _DEFAULTS.get(model, (-1, -1))
    adds_bos = _flag(raw, "bos", model in ("llama", "bert") or (is_byte_level and pre in _ADDS_BOS))
    adds_bos = adds_bos or (is_byte_level and pre in _ALWAYS_BOS)
    return Vocabulary(
        "gpt2" if is_byte_level else model,
        tokens,
        types,
        _special(raw, "bos", -1 if pre in _WITHOUT_BOS else bos, len(tokens)) if adds_bos else None,
        _special(raw, "eos", eos, len(tokens)) if _flag(raw, "eos", model == "t5") else None,
    )


def _flag(raw: RawHeader, name: str, usual: bool) -> bool:
    """Whether the token is added to each text."""
    return bool(raw.values.get(f"{_KEY}add_{name}_token", usual))


def _special(raw: RawHeader, name: str, default: int, tokens: int) -> int:
    """Its id; the default where the file gives none, or one that is not there; -1 where there is none at all."""
    token = raw.values.get(f"{_KEY}{name}_token_id", default)
    if isinstance(token, int) and 0 <= token < tokens:
        return token
    return default if default < tokens else -1
