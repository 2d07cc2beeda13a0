"""Models in several files."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from app.errors import ModelFileError
from app.library.gguf_file import part_path, read_header, split_name


def short(key: str, value: int, raw: Any) -> bytes:
    return raw.text(key) + struct.pack("<IH", 2, value)


@pytest.fixture
def parts(tmp_path: Path, raw: Any) -> list[Path]:
    """A model in three files, the description in the first."""
    paths = [tmp_path / f"big-{n:05d}-of-00003.gguf" for n in (1, 2, 3)]
    for number, path in enumerate(paths):
        entries = [short("split.no", number, raw), short("split.count", 3, raw)]
        entries += raw.BASIC if number == 0 else []
        path.write_bytes(raw.header(entries, [raw.tensor(f"t{number}", (64, 8))]) + bytes(2100))
    return paths


def problem(path: Path) -> ModelFileError:
    with pytest.raises(ModelFileError) as caught:
        read_header(path)
    return caught.value


def test_the_header_is_of_all_parts(parts: list[Path]) -> None:
    header = read_header(parts[0])
    assert (header.parameters, header.split_count, header.tensor_bytes) == (3 * 512, 3, 3 * 2048)
    assert header.file_bytes == sum(path.stat().st_size for path in parts)


def test_a_missing_part_is_named(parts: list[Path]) -> None:
    parts[1].unlink()
    assert "Part 2 of 3" in problem(parts[0]).sentence
    assert "big-00002-of-00003.gguf" in problem(parts[0]).sentence


def test_two_missing_parts_are_counted(parts: list[Path]) -> None:
    parts[1].unlink()
    parts[2].unlink()
    assert "and 1 more" in problem(parts[0]).sentence


def test_a_later_part_names_the_first(parts: list[Path]) -> None:
    error = problem(parts[2])
    assert "part 3 of 3" in error.sentence
    assert "big-00001-of-00003.gguf" in error.hint


def test_a_renamed_first_part_says_how_to_name_it(parts: list[Path]) -> None:
    assert "another name" in problem(parts[0].rename(parts[0].with_name("renamed.gguf"))).sentence


def test_a_part_that_is_cut_off(parts: list[Path]) -> None:
    parts[2].write_bytes(parts[2].read_bytes()[:1000])
    assert "cut off" in problem(parts[0]).sentence


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a-00001-of-00003.gguf", ("a", 1, 3)),
        ("a.b-00003-of-00003.GGUF", ("a.b", 3, 3)),
        ("a-00004-of-00003.gguf", None),
        ("a-00000-of-00003.gguf", None),
        ("a-00001-of-00001.gguf", None),
        ("a-1-of-3.gguf", None),
        ("a.gguf", None),
    ],
)
def test_names_of_parts(name: str, expected: tuple[str, int, int] | None) -> None:
    assert split_name(name) == expected


def test_the_path_of_a_part() -> None:
    assert part_path(Path("/x/a-00001-of-00003.gguf"), 2) == Path("/x/a-00002-of-00003.gguf")
