"""What a header says, and what is wrong with files that are not models."""

from __future__ import annotations

import importlib.util
import re
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest

from app.errors import ModelFileError
from app.library.gguf_file import KNOWN_ARCHITECTURES, NOT_FOR_CHAT, read_header
from app.library.tensor_types import FILE_TYPES, TENSOR_TYPES, quantization_name
from app.system.paths import STARTER_MODEL

MakeModel = Callable[..., Path]
TYPE = gguf.GGMLQuantizationType


def problem(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        read_header(path)
    assert "\n" not in caught.value.sentence
    assert len(caught.value.sentence) < 300
    return caught.value.sentence


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "file.gguf"
    path.write_bytes(data)
    return path


def test_the_header_of_the_starter_model() -> None:
    header = read_header(STARTER_MODEL)
    assert (header.architecture, header.quantization, header.layers, header.embedding) == ("llama", "Q8_0", 6, 512)
    assert (header.heads, header.kv_heads, header.vocabulary, header.context_tokens) == (8, 4, 4096, 2048)
    assert header.parameters_str == "21 M"
    assert header.has_chat_template
    assert header.has_vocabulary
    assert header.chat_problem == ""
    assert header.file_bytes == STARTER_MODEL.stat().st_size


def test_the_header_agrees_with_ggufs_own_reader() -> None:
    reader = gguf.GGUFReader(STARTER_MODEL)
    header = read_header(STARTER_MODEL)
    assert header.parameters == sum(int(t.n_elements) for t in reader.tensors)
    assert header.tensor_bytes == sum(int(t.n_bytes) for t in reader.tensors)
    assert header.tensor_types["Q8_0"] == sum(t.tensor_type == TYPE.Q8_0 for t in reader.tensors)


def test_the_header_of_a_made_model(tmp_path: Path, make_model: MakeModel) -> None:
    header = read_header(make_model(tmp_path / "a.gguf"))
    assert (header.name, header.license, header.parameters) == ("Tiny", "MIT", 64 * 32 + 64 * 64 + 128)
    assert header.tensor_types == {"Q8_0": 2, "F32": 2}


def test_counts_for_each_layer_are_the_largest(tmp_path: Path, make_model: MakeModel) -> None:
    values = {"attention.head_count": [4, 8], "attention.head_count_kv": [0, 2]}
    header = read_header(make_model(tmp_path / "a.gguf", values=values))
    assert (header.heads, header.kv_heads) == (8, 2)


def test_texts_of_the_file_are_made_plain_and_short(tmp_path: Path, make_model: MakeModel) -> None:
    name = "a\x1b[31m\n\u202egnp.exe\u200b <b>bold</b> " + "x" * 5000
    header = read_header(make_model(tmp_path / "a.gguf", name=name))
    assert len(header.name) <= 100
    assert header.name.isprintable()
    assert header.name.startswith("a [31m gnp.exe <b>bold</b>")


@pytest.mark.parametrize("kind", [t for t in TYPE if t.name not in ("Q8_1", "Q8_K")])
def test_each_tensor_type_has_the_size_that_gguf_says(kind: gguf.GGMLQuantizationType) -> None:
    mine = TENSOR_TYPES[kind.value]
    assert (mine.name, (mine.block, mine.block_bytes)) == (kind.name, gguf.GGML_QUANT_SIZES[kind])


@pytest.mark.parametrize(
    ("file_type", "elements", "name"),
    [
        (15, {"Q4_K": 80, "Q6_K": 20}, "Q4_K_M"),
        (15 + 1024, {"Q4_K": 80}, "Q4_K_M"),
        (7, {"Q4_0": 100}, "Q4_0"),
        (None, {"Q4_0": 90, "Q6_K": 10}, "Q4_0"),
        (999, {"Q5_K": 1}, "Q5_K"),
        (29, {"IQ2_S": 50, "IQ3_S": 10}, "IQ2_M"),
        (1, {"F16": 10}, "F16"),
        (0, {"F32": 10}, "F32"),
        (12, {}, "Q3_K_M"),
        (None, {}, ""),
    ],
)
def test_the_quantization_is_what_the_tensors_bear_out(
    file_type: int | None, elements: dict[str, int], name: str
) -> None:
    assert quantization_name(file_type, elements) == name


def test_file_types_are_those_of_gguf() -> None:
    theirs = {t.value: re.sub("^(MOSTLY|ALL)_", "", t.name) for t in gguf.LlamaFileType if t.value < 1024}
    assert theirs.items() <= FILE_TYPES.items()


def test_the_architectures_include_those_everyone_uses() -> None:
    assert {"llama", "qwen2", "qwen3", "gemma3", "phi3", "gpt-oss", "mistral3", "smollm3"} <= KNOWN_ARCHITECTURES
    assert set(NOT_FOR_CHAT) < KNOWN_ARCHITECTURES
    assert "clip" in KNOWN_ARCHITECTURES


def test_the_architectures_are_those_of_the_installed_llama_cpp() -> None:
    found = importlib.util.find_spec("llama_cpp")
    if found is None or found.origin is None:
        pytest.skip("llama_cpp is not installed")
    libraries = [p for p in Path(found.origin).parent.glob("lib/*llama*") if p.suffix in (".so", ".dylib", ".dll")]
    code = b"".join(path.read_bytes() for path in libraries)
    assert [name for name in KNOWN_ARCHITECTURES if name.encode() + b"\0" not in code] == []


# Files that are something else


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><head>", "web page"),
        (b"\xef\xbb\xbf\n <HTML lang='en'>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 4\n", "Git LFS pointer"),
        (b"These are my notes.\n" * 99, "text file"),
        ("名前 ü".encode() * 200, "text file"),
        (b'{"error": "Repository not found"}', "text file"),
        (bytes(5000), "begins with zeros"),
        (b"PK\x03\x04" + bytes(range(256)), "archive or a PyTorch"),
        (b"tjgg\x01\0\0\0", "older than GGUF"),
        (b"\x80\x00\0\0\0\0\0\0" + b'{"weight":', "safetensors"),
        (bytes(range(1, 256)) * 9, "not a GGUF model"),
        (b"GGU", "text file"),
    ],
)
def test_what_is_not_gguf_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    assert words in problem(written(tmp_path, data))


def test_folders_and_files_that_are_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "folder.gguf"
    folder.mkdir()
    assert "a folder" in problem(folder)
    assert "not there" in problem(tmp_path / "absent.gguf")
    assert "could not be read" in problem(tmp_path / ("n" * 300 + ".gguf"))


def test_a_broken_link(tmp_path: Path) -> None:
    link = tmp_path / "link.gguf"
    link.symlink_to(tmp_path / "gone.gguf")
    assert "not there" in problem(link)


# Damage


def test_a_file_cut_off_in_its_data_says_how_much_is_missing(tmp_path: Path) -> None:
    data = STARTER_MODEL.read_bytes()
    assert problem(written(tmp_path, data[:-400_000])) == (
        "The file is cut off: 22.0 MB of 22.4 MB are there, 400.0 kB are missing."
    )
    assert "22,440,767 of 22,440,768 bytes" in problem(written(tmp_path, data[:-1]))


def test_a_big_file_cut_off_speaks_in_gigabytes(tmp_path: Path, raw: Any) -> None:
    header = raw.header([*raw.BASIC], [raw.tensor("a", (1024, 1_000_000))])
    path = written(tmp_path, header)
    with path.open("r+b") as file:
        file.truncate(1_200_000_000)
    assert problem(path).startswith("The file is cut off: 1.2 GB of 4.1 GB are there")


@pytest.mark.parametrize("kept", [4, 7, 8, 20, 24, 30, 100, 1000, 50_000])
def test_a_file_cut_off_in_its_header(tmp_path: Path, kept: int) -> None:
    assert "cut off" in problem(written(tmp_path, STARTER_MODEL.read_bytes()[:kept]))


def test_a_reserved_file_of_the_right_size_is_read(tmp_path: Path, make_model: MakeModel) -> None:
    path = make_model(tmp_path / "a.gguf")
    with path.open("ab") as file:
        file.write(bytes(100))
    assert read_header(path).layers == 2


@pytest.mark.parametrize("version", [0, 1, 4, 77])
def test_versions(tmp_path: Path, raw: Any, version: int) -> None:
    assert f"GGUF version {version}" in problem(written(tmp_path, raw.header([*raw.BASIC], version=version)))


def test_version_2_is_read(tmp_path: Path, raw: Any) -> None:
    data = raw.header([*raw.BASIC], [raw.tensor("a", (8,))], version=2) + bytes(200)
    assert read_header(written(tmp_path, data)).parameters == 8


def test_big_endian(tmp_path: Path) -> None:
    assert "big-endian" in problem(written(tmp_path, b"GGUF" + struct.pack(">IQQ", 3, 1, 1) + bytes(99)))


HUGE = 2**63


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda raw: raw.header([*raw.BASIC], keys=HUGE), "claims 9,223,372,036,854,775,808 entries"),
        (lambda raw: raw.header([*raw.BASIC], count=HUGE), "claims 9,223,372,036,854,775,808 tensors"),
        (lambda raw: raw.header([struct.pack("<Q", HUGE) + b"key"]), "claims"),
        (lambda raw: raw.header([raw.text("k" * 70_000)]) + bytes(99), "70,000 bytes long"),
        (lambda raw: raw.header([raw.text("") + bytes(99)]), "no name"),
        (lambda raw: raw.header([*raw.BASIC, raw.BASIC[0]]), "there twice"),
        (lambda raw: raw.header([raw.text("k") + struct.pack("<I", 99)]), "unknown type 99"),
        (lambda raw: raw.header([raw.text("k") + struct.pack("<IIQ", 9, 9, 1)]), "unknown type 9"),
        (lambda raw: raw.header([raw.text("k") + struct.pack("<IIQ", 9, 4, HUGE)]), "claims"),
        (lambda raw: raw.header([raw.text("k") + struct.pack("<IIQ", 9, 8, 2**29)]), "claim"),
        (lambda raw: raw.header([raw.text("k") + struct.pack("<IIQ", 9, 4, 2**29)]), "longer than"),
        (lambda raw: raw.header([*raw.BASIC, raw.number("general.alignment", 0)]), "alignment"),
        (lambda raw: raw.header([*raw.BASIC, raw.number("general.alignment", 24)]), "alignment"),
        (lambda raw: raw.header([*raw.BASIC, raw.string("general.alignment", "32")]), "alignment"),
        (lambda raw: raw.header([*raw.BASIC], [raw.tensor("n" * 64, (8,))]) + bytes(99), "64 bytes long"),
        (lambda raw: raw.header([*raw.BASIC], [raw.tensor("a", (1,) * 5)]) + bytes(99), "5 dimensions"),
        (lambda raw: raw.header([*raw.BASIC], [raw.tensor("a", (2**40, 2**40))]) + bytes(99), "absurd shape"),
        (lambda raw: raw.header([*raw.BASIC], [raw.tensor("a", (0, HUGE))]) + bytes(99), "absurd shape"),
        (lambda raw: raw.header([*raw.BASIC], [raw.tensor("a", (8,), 4)]) + bytes(99), "type 4"),
        (lambda raw: raw.header([*raw.BASIC], [raw.tensor("a", (33,), 8)]) + bytes(99), "do not fit its type Q8_0"),
        (lambda raw: raw.header([*raw.BASIC], [raw.tensor("a", (8,), 0, 32)]) + bytes(999), "not where it should be"),
        (lambda raw: raw.header([*raw.BASIC], [raw.tensor("a", (8,))] * 2) + bytes(999), "there twice"),
        (lambda raw: raw.header([*raw.BASIC], [raw.tensor("a", (2**50,))]) + bytes(99), "cut off"),
        (lambda raw: raw.header([*raw.BASIC]), "no tensors"),
        (lambda raw: raw.header([], [raw.tensor("a", (8,))]) + bytes(99), "which architecture"),
    ],
)
def test_absurd_headers(tmp_path: Path, raw: Any, make: Callable[[Any], bytes], words: str) -> None:
    assert words in problem(written(tmp_path, make(raw)))


@pytest.mark.parametrize(
    "values",
    [
        {"rope.dimension_count": 63},
        {"block_count": 0}, {"block_count": None}, {"block_count": 513}, {"block_count": "two"},
        {"embedding_length": 0}, {"context_length": None}, {"nextn_predict_layers": 3},
        {"attention.head_count": 2**31 + 1},
        {"rope.scaling.type": "sideways"}, {"expert_count": 2000, "expert_used_count": 2}, {"expert_count": 8},
        {"expert_count": 2, "expert_used_count": 3}, {"expert_used_count": 2}, {"expert_group_count": 2},
        {"expert_count": 8, "expert_used_count": 2, "expert_group_count": 3, "expert_group_used_count": 1},
        {"expert_count": 8, "expert_used_count": 2, "expert_group_count": 8, "expert_group_used_count": 1},
    ],
)  # fmt: skip
def test_what_would_end_llama_cpp_is_refused(tmp_path: Path, make_model: MakeModel, values: dict[str, Any]) -> None:
    assert "header of the file is damaged" in problem(make_model(tmp_path / "a.gguf", values=values))


def test_no_rotated_dimensions_are_refused_where_llama_cpp_would_not_end(tmp_path: Path, make_model: MakeModel) -> None:
    values = {"rope.dimension_count": 0}
    assert "rotates 0 of the dimensions" in problem(make_model(tmp_path / "a.gguf", "phi3", values))
    assert read_header(make_model(tmp_path / "b.gguf", "phi3", {"rope.dimension_count": 64})).layers == 2


@pytest.mark.parametrize(
    "values",
    [
        {"rope.scaling.type": "yarn"},
        {"rope.dimension_count": 0},
        {"expert_count": 8, "expert_used_count": 2},
        {"expert_count": 8, "expert_used_count": 2, "expert_group_count": 4, "expert_group_used_count": 2},
        {"nextn_predict_layers": 1},
    ],
)
def test_what_llama_cpp_takes_is_not_refused(tmp_path: Path, make_model: MakeModel, values: dict[str, Any]) -> None:
    assert read_header(make_model(tmp_path / "a.gguf", values=values)).layers == 2


def test_an_unknown_architecture_is_named_with_what_would_be_needed(tmp_path: Path, make_model: MakeModel) -> None:
    path = make_model(tmp_path / "a.gguf", "llama99")
    with pytest.raises(ModelFileError, match="“llama99”") as caught:
        read_header(path)
    assert "newer Bantam" in caught.value.hint


def test_a_hostile_architecture_is_plain_text(tmp_path: Path, raw: Any) -> None:
    entry = raw.string("general.architecture", b"\x1b]0;evil\x07\n\xff" * 50)
    sentence = problem(written(tmp_path, raw.header([entry], [raw.tensor("a", (8,))]) + bytes(99)))
    assert sentence.isprintable()


@pytest.mark.parametrize(
    ("kind", "architecture", "words"),
    [
        ("mmproj", "clip", "mmproj"),
        ("model", "clip", "mmproj"),
        ("adapter", "llama", "LoRA"),
        ("imatrix", "", "importance"),
    ],
)
def test_parts_of_models_say_what_they_are(tmp_path: Path, raw: Any, kind: str, architecture: str, words: str) -> None:
    entries = [raw.string("general.type", kind)]
    entries += [raw.string("general.architecture", architecture)] if architecture else []
    assert words in problem(written(tmp_path, raw.header(entries, [raw.tensor("a", (8,))]) + bytes(99)))


def test_models_that_do_not_chat_have_a_header_and_a_reason(tmp_path: Path, make_model: MakeModel) -> None:
    assert "embedding model" in read_header(make_model(tmp_path / "a.gguf", "bert")).chat_problem
    assert "no vocabulary" in read_header(make_model(tmp_path / "b.gguf", vocabulary=0)).chat_problem


def test_a_huge_vocabulary_is_walked_without_taking_memory(tmp_path: Path, make_model: MakeModel) -> None:
    path = make_model(tmp_path / "a.gguf", vocabulary=150_000)
    tracemalloc.start()
    header = read_header(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert header.vocabulary == 150_000
    assert peak < 8_000_000
