import dataclasses

import pytest

from app.engine.llama import C, Model, ModelOptions
from app.errors import ModelFileError
from app.library.vocabulary import Vocabulary, read_vocabulary, vocabulary_problem
from app.system.paths import STARTER_MODEL
from tests.app.engine.drafts import draft_file, rewrite

NORMAL, UNUSED = 1, 5


def vocabulary(count=1000, padding=0, **fields):
    tokens = tuple(f"t{i}".encode() for i in range(count)) + tuple(f"[PAD{i}]".encode() for i in range(padding))
    types = (NORMAL,) * count + (UNUSED,) * padding
    return dataclasses.replace(Vocabulary("gpt2", tokens, types, None, None), **fields)


def with_token(index, text, type=NORMAL, **fields):
    base = vocabulary(**fields)
    tokens, types = list(base.tokens), list(base.types)
    tokens[index], types[index] = text, type
    return dataclasses.replace(base, tokens=tuple(tokens), types=tuple(types))


def test_a_vocabulary_suits_itself():
    assert vocabulary_problem(vocabulary(), vocabulary()) == ""


@pytest.mark.parametrize(
    ("draft", "reason"),
    [
        (vocabulary(1300), "its vocabulary has 300 tokens more"),
        (vocabulary(700), "its vocabulary has 300 tokens fewer"),
        (vocabulary(1128), ""),
        (vocabulary(872), ""),
        (vocabulary(1129), "its vocabulary has 129 tokens more"),
        (with_token(139, b"other"), "token 139 is different"),
        (with_token(5, b"other"), "token 5 is different"),
        (with_token(4, b"other"), ""),
        (vocabulary(kind="llama"), "its vocabulary is of another kind"),
        (vocabulary(bos=1), "it begins a text with another token"),
        (vocabulary(eos=2), "it ends a text with another token"),
    ],
)
def test_the_rule_of_llama_cpp_in_words(draft, reason):
    assert vocabulary_problem(vocabulary(), draft) == reason


def test_padding_does_not_count():
    assert vocabulary_problem(vocabulary(), vocabulary(padding=300)) == ""
    assert vocabulary_problem(vocabulary(padding=300), vocabulary()) == ""
    assert vocabulary_problem(vocabulary(padding=64), vocabulary(padding=364)) == ""


def test_padding_may_have_any_name_but_not_the_place_of_a_word():
    padded = with_token(900, b"[PAD]", UNUSED)
    assert vocabulary_problem(padded, with_token(900, b"<|unused|>", UNUSED)) == ""
    assert vocabulary_problem(padded, vocabulary()) == "token 900 is different"


def test_a_file_is_read_as_llama_cpp_reads_it():
    read = read_vocabulary(STARTER_MODEL)
    model = Model(STARTER_MODEL, ModelOptions(header_only=True), lambda _share: True)
    handle = model.vocabulary
    texts = tuple(C.llama_vocab_get_text(handle, token) for token in range(model.vocabulary_size))
    adds_bos, adds_eos = C.llama_vocab_get_add_bos(handle), C.llama_vocab_get_add_eos(handle)
    bos, eos = model.bos, model.eos
    model.close()
    assert read.tokens == texts
    assert len(read.types) == len(texts)
    assert read.bos == (bos if adds_bos else None)
    assert read.eos == (eos if adds_eos else None)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"nonsense" * 10, b"GGUF\3\0\0\0" + b"\xff" * 64])
def test_a_file_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "odd.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        read_vocabulary(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="not there"):
        read_vocabulary(tmp_path / "gone.gguf")


def test_a_cut_off_file_is_refused(tmp_path):
    path = tmp_path / "cut.gguf"
    path.write_bytes(STARTER_MODEL.read_bytes()[:20_000])
    with pytest.raises(ModelFileError):
        read_vocabulary(path)


SPECIAL = {"tokenizer_ggml_bos_token_id": 10**6, "tokenizer_ggml_pre": "gpt-2", "tokenizer_ggml_add_bos_token": True}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        SPECIAL,
        SPECIAL | {"tokenizer_ggml_pre": "glm4"},
        {"tokenizer_ggml_pre": "gemma4", "tokenizer_ggml_add_bos_token": False},
        {"tokenizer_ggml_pre": "tekken", "tokenizer_ggml_add_eos_token": True},
    ],
)
def test_what_is_added_to_a_text_is_what_llama_cpp_adds(tmp_path, fields):
    path = rewrite(draft_file(tmp_path), tmp_path / "other.gguf", **fields)
    read = read_vocabulary(path)
    model = Model(path, ModelOptions(header_only=True), lambda _share: True)
    adds_bos, adds_eos = C.llama_vocab_get_add_bos(model.vocabulary), C.llama_vocab_get_add_eos(model.vocabulary)
    expected = (model.bos if adds_bos else None, model.eos if adds_eos else None)
    model.close()
    assert (read.bos, read.eos) == expected
