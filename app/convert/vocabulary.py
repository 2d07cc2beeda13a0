"""Writes the tokenizer of a folder as GGUF keys: byte-level BPE, or SentencePiece with or without its model file."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
from gguf import TokenType

from app.convert.configuration import Config
from app.errors import ConversionError
from app.library.gguf_reader import printable

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_SPACE = "▁"


@dataclass(slots=True)
class _Table:
    """Text, score and type of every token, by id."""

    texts: list[bytes]
    scores: list[float]
    types: list[int]
    beyond: dict[int, str]
    """Tokens without a row in the embedding: the model can neither read nor write them."""

    @staticmethod
    def unused(size: int) -> _Table:
        return _Table([f"[PAD{i}]".encode() for i in range(size)], [-10000.0] * size, [TokenType.UNUSED] * size, {})

    def put(self, number: int, text: str, score: float, kind: int) -> None:
        if 0 <= number < len(self.texts):
            self.texts[number], self.scores[number], self.types[number] = text.encode(), score, kind
        else:
            self.beyond[number] = text


def add_vocabulary(writer: gguf.GGUFWriter, folder: Path, config: Config, *, space_prefix: bool | None) -> str:
    """Write the tokenizer's keys, special tokens and chat template. `space_prefix` None: as the tokenizer says.

    Returns a sentence about the tokens that were left out, "" where none was. Raises ConversionError for a tokenizer
    that llama.cpp does not have.
    """
    logging.getLogger("gguf").setLevel(logging.ERROR)
    tokenizer = _json(folder / "tokenizer.json")
    settings = _json(folder / "tokenizer_config.json")
    _check_settings(settings)
    if (folder / "tokenizer.model").is_file():
        table = _model_file(folder, config)
        _add_sentencepiece(writer, table, tokenizer, settings, space_prefix)
    elif not tokenizer:
        raise ConversionError(
            f"There is no tokenizer that can be read in {folder.name}.",
            "It needs tokenizer.json or tokenizer.model: download them too.",
        )
    elif (kind := (tokenizer.get("model") or {}).get("type")) != "BPE":
        raise ConversionError(f"The tokenizer is of the kind “{printable(str(kind))}”; only BPE can be converted.")
    elif tokenizer["model"].get("byte_fallback"):
        _check_tokenizer(tokenizer, _SPACES)
        table = _from_merges(tokenizer, config)
        _add_sentencepiece(writer, table, tokenizer, settings, space_prefix)
    else:
        _check_tokenizer(tokenizer, _NFC)
        table = _add_byte_level(writer, tokenizer, settings, config)
    merges = not (folder / "tokenizer.model").is_file() and not tokenizer["model"].get("byte_fallback")
    gguf.SpecialVocab(folder, load_merges=merges, n_vocab=config.vocabulary).add_to_gguf(writer, quiet=True)
    return _left_out(table, folder, settings, config)


_SPACES = ("Prepend", "Replace")
_NFC = ("NFC",)
"""What a normalizer may do. llama.cpp composes no characters; all but text of decomposed letters is read the same."""
_MODEL_KEYS = {"type", "vocab", "merges", "unk_token", "fuse_unk", "byte_fallback", "ignore_merges"}
_MODEL_OFF = ("dropout", "continuing_subword_prefix", "end_of_word_suffix")


def _check_settings(settings: dict[str, Any]) -> None:
    """Refuse what changes how text is split and has no key in GGUF."""
    for name in ("do_lower_case", "split_special_tokens", "sp_model_kwargs"):
        if settings.get(name):
            raise _not_known("tokenizer_config.json", name, settings[name])


def _check_tokenizer(tokenizer: dict[str, Any], normalizers: tuple[str, ...]) -> None:
    """Refuse a tokenizer.json that does to the text what llama.cpp does not."""
    model = tokenizer["model"]
    for name, value in model.items():
        if name not in _MODEL_KEYS and (value or name not in _MODEL_OFF):
            raise _not_known("tokenizer.json", name, value)
    normalizer = tokenizer.get("normalizer") or {}
    steps = normalizer.get("normalizers", []) if normalizer.get("type") == "Sequence" else [normalizer]
    for step in steps:
        spaces = step.get("type") != "Replace" or (step.get("pattern") or {}).get("String") == " "
        if step and (step.get("type") not in normalizers or not spaces):
            raise _not_known("tokenizer.json", "normalizer", step)


def _not_known(file: str, name: str, value: object) -> ConversionError:
    return ConversionError(
        f"{file} says “{printable(name)}”: {printable(repr(value), 80)}, and llama.cpp reads text without it.",
        "The model would read other tokens than it was trained on. Look for its GGUF files.",
    )


def _left_out(table: _Table, folder: Path, settings: dict[str, Any], config: Config) -> str:
    """A sentence about tokens without a row in the embedding. Raises ConversionError where a chat would need one."""
    if not table.beyond:
        return ""
    ends = config.get("eos_token_id")
    needed = {str(_content(settings.get(name))) for name in ("bos_token", "eos_token")}
    needed |= {table.beyond.get(number, "") for number in (ends if isinstance(ends, list) else [ends])}
    lost = [text for text in table.beyond.values() if text in needed]
    if lost:
        raise ConversionError(
            f"The token “{printable(lost[0])}” has no row in the model's embedding of {config.vocabulary:,}.",
            "The tokenizer is of another model, or was changed: download the folder again.",
        )
    some = ", ".join(f"“{printable(text, 20)}”" for text in list(table.beyond.values())[:3])
    return (
        f"{folder.name} has no row in its embedding for {len(table.beyond)} of its tokens, which are left out: {some}."
    )


def _content(token: Any) -> Any:
    """A special token's text, which tokenizer_config.json has plainly or inside an object."""
    return token.get("content") if isinstance(token, dict) else token


def _json(path: Path) -> dict[str, Any]:
    """The JSON object in the file; empty where there is no such file. Raises ConversionError."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ConversionError(f"“{path.name}” cannot be read.", "Download it again.") from error
    if not isinstance(value, dict):
        raise ConversionError(f"“{path.name}” is not an object.", "Download it again.")
    return value


def _added(tokenizer: dict[str, Any], settings: dict[str, Any]) -> dict[int, tuple[str, bool]]:
    """Added tokens: id -> (text, whether it is a control token). transformers 5 names them in tokenizer.json alone."""
    entries = {int(key): value for key, value in (settings.get("added_tokens_decoder") or {}).items()}
    entries |= {int(entry["id"]): entry for entry in tokenizer.get("added_tokens") or ()}
    found = {}
    for number, entry in entries.items():
        text = str(entry["content"])
        found[number] = (text, bool(entry.get("special")) or (text.startswith("<|") and text.endswith("|>")))
    return found


def _add_byte_level(
    writer: gguf.GGUFWriter, tokenizer: dict[str, Any], settings: dict[str, Any], config: Config
) -> _Table:
    table = _Table.unused(config.vocabulary)
    for text, number in tokenizer["model"]["vocab"].items():
        table.put(number, text, 0.0, TokenType.NORMAL)
    for number, (text, special) in _added(tokenizer, settings).items():
        table.put(number, text, 0.0, TokenType.CONTROL if special else TokenType.USER_DEFINED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer_of(tokenizer))
    writer.add_token_list(table.texts)
    writer.add_token_types(table.types)
    steps = tokenizer.get("pre_tokenizer") or {}
    byte_level: dict[str, Any] = next(
        (step for step in (steps.get("pretokenizers") or [steps]) if step.get("type") == "ByteLevel"), {}
    )
    writer.add_add_space_prefix(bool(byte_level.get("add_prefix_space", False)))
    return table


def _model_file(folder: Path, config: Config) -> _Table:
    """The pieces of tokenizer.model. Raises ConversionError."""
    from sentencepiece import SentencePieceProcessor

    model = SentencePieceProcessor()
    try:
        model.LoadFromFile(str(folder / "tokenizer.model"))
    except (OSError, RuntimeError) as error:
        raise ConversionError("“tokenizer.model” cannot be read.", "Download it again.") from error
    table = _Table.unused(config.vocabulary)
    for number in range(model.vocab_size()):
        kind = TokenType.NORMAL
        if model.IsUnknown(number):
            kind = TokenType.UNKNOWN
        elif model.IsControl(number):
            kind = TokenType.CONTROL
        elif model.IsUnused(number):
            kind = TokenType.UNUSED
        elif model.IsByte(number):
            kind = TokenType.BYTE
        table.put(number, model.IdToPiece(number), model.GetScore(number), kind)
    return table


def _from_merges(tokenizer: dict[str, Any], config: Config) -> _Table:
    """The table of a SentencePiece tokenizer without its model file.

    llama.cpp merges the pair with the highest score first, tokenizer.json the pair that stands first in its list, so
    the score of a token is minus the rank of its merge.
    """
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(tokenizer["model"]["merges"]):
        pair = merge if isinstance(merge, list) else merge.split(" ")
        ranks.setdefault("".join(pair), rank)
    table = _Table.unused(config.vocabulary)
    unknown = tokenizer["model"].get("unk_token")
    for text, number in tokenizer["model"]["vocab"].items():
        kind = TokenType.BYTE if _BYTE.fullmatch(text) else TokenType.NORMAL
        table.put(number, text, -float(ranks.get(text, len(ranks))), TokenType.UNKNOWN if text == unknown else kind)
    return table


def _add_sentencepiece(
    writer: gguf.GGUFWriter,
    table: _Table,
    tokenizer: dict[str, Any],
    settings: dict[str, Any],
    space_prefix: bool | None,
) -> None:
    for number, (text, special) in _added(tokenizer, settings).items():
        if 0 <= number < len(table.types) and table.types[number] in (TokenType.UNKNOWN, TokenType.BYTE):
            continue
        text = text if special else text.replace(_SPACE, " ")
        table.put(number, text, -1000.0, TokenType.CONTROL if special else TokenType.USER_DEFINED)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(table.texts)
    writer.add_token_scores(table.scores)
    writer.add_token_types(table.types)
    prefix = _says_prefix(tokenizer, settings) if space_prefix is None else space_prefix
    if prefix is not None:
        writer.add_add_space_prefix(prefix)


def _says_prefix(tokenizer: dict[str, Any], settings: dict[str, Any]) -> bool | None:
    """Whether a space is put before the text; None where no file says so."""
    if isinstance(settings.get("add_prefix_space"), bool):
        return bool(settings["add_prefix_space"])
    normalizer = tokenizer.get("normalizer") or {}
    steps = normalizer.get("normalizers") or [normalizer]
    if any(step.get("type") == "Prepend" for step in steps):
        return True
    scheme = (tokenizer.get("pre_tokenizer") or {}).get("prepend_scheme")
    if scheme is not None:
        return bool(scheme != "never")
    return False if tokenizer.get("normalizer") else None


# Tells by the structure of a tokenizer.json which of llama.cpp's pre-tokenizers it needs.
#
# llama.cpp's own converter hashes the tokens of a fixed text and so knows published vocabularies only: it rejects a
# fine-tune with one more token. The structure identifies any vocabulary. The splitting rules stand in llama.cpp's
# src/llama-vocab.cpp under the names returned here.


_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_THREE_DIGITS, _ONE_DIGIT = _WORDS % r"\p{N}{1,3}", _WORDS % r"\p{N}"
_MARKS_TOO = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
_GPT_4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DEEPSEEK_3 = [
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+",
]
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def pre_tokenizer_of(tokenizer: dict[str, Any]) -> str:
    """llama.cpp's name of the pre-tokenizer. Raises ConversionError, with the rule, where llama.cpp has none."""
    given = tokenizer.get("pre_tokenizer") or {}
    steps = given.get("pretokenizers", []) if given.get("type") == "Sequence" else [given]
    kinds = [step.get("type") for step in steps]
    splits = [_pattern_of(step) for step in steps if step.get("type") == "Split"]
    name = None
    if kinds == ["Split"] * len(splits) + ["ByteLevel"] and not steps[-1].get("use_regex", True):
        # Two names differ only in whether llama.cpp takes whole words from the vocabulary before it merges.
        whole_words = bool((tokenizer.get("model") or {}).get("ignore_merges"))
        rules: dict[Any, str] = {
            (_THREE_DIGITS,): "llama-bpe" if whole_words else "dbrx",
            (_ONE_DIGIT,): "qwen2",
            (_MARKS_TOO,): "qwen35",
            (_TEKKEN,): "tekken",
            (_GPT_4O,): "gpt-4o",
            tuple(_DEEPSEEK_3): "deepseek-v3",
        }
        name = rules.get(tuple(splits))
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


def _pattern_of(step: dict[str, Any]) -> str | None:
    """The pattern whose matches are the words; None where the step does something else with it."""
    kept = (step.get("behavior"), bool(step.get("invert"))) in (("Isolated", False), ("Removed", True))
    return (step.get("pattern") or {}).get("Regex") if kept else None
