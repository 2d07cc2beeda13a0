"""Which of llama.cpp's pre-tokenizers a tokenizer.json is, told by its structure.

llama.cpp's own converter hashes the tokens of a fixed text and knows published vocabularies only; a fine-tune with one
more token is refused. The structure says the same of any vocabulary. The splitting rules stand in llama.cpp's
src/llama-vocab.cpp under the names returned here.
"""

from __future__ import annotations

import json
from typing import Any

from app.errors import ConversionError
from app.library.gguf_reader import printable

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_THREE_DIGITS, _ONE_DIGIT = _WORDS % r"\p{N}{1,3}", _WORDS % r"\p{N}"
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def pre_tokenizer_of(tokenizer: dict[str, Any]) -> str:
    """llama.cpp's name of it. Raises ConversionError, with the rule, where there is none."""
    given = tokenizer.get("pre_tokenizer") or {}
    steps = given.get("pretokenizers", []) if given.get("type") == "Sequence" else [given]
    kinds = [step.get("type") for step in steps]
    # llama.cpp takes whole words from the vocabulary before it merges under the one name and not under the other.
    whole_words = bool((tokenizer.get("model") or {}).get("ignore_merges"))
    name = None
    if kinds == ["Split", "ByteLevel"] and not steps[1].get("use_regex", True):
        pattern = (steps[0].get("pattern") or {}).get("Regex")
        rules: dict[Any, str] = {
            _THREE_DIGITS: "llama-bpe" if whole_words else "dbrx",
            _ONE_DIGIT: "qwen2",
            _TEKKEN: "tekken",
        }
        name = rules.get(pattern)
    elif kinds == ["ByteLevel"] and steps[0].get("use_regex", True):
        name = "gpt-2"
    elif kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
        name = "smollm"
    if name is None:
        rule = printable(json.dumps(given, ensure_ascii=False), 200)
        raise ConversionError(
            f"The tokenizer splits text by a rule that is not known here: {rule}",
            "Without the right rule the model would read other tokens than it was trained on. Look for its GGUF files.",
        )
    return name
