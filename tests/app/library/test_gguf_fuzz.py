"""Whatever is in a file, reading its header ends soon, takes little memory and raises nothing but ModelFileError."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import ModelFileError
from app.library.gguf_file import read_header
from app.system.paths import STARTER_MODEL

HEADER_BYTES = 140_000
CHANGES = 300
ABSURD = [b"\xff" * 8, b"\0" * 8, b"\xff\xff\xff\x7f", b"\0\0\0\x80\0\0\0\0", b"\x08\0\0\0", b"\x09\0\0\0", b"\x01"]


def ends_well(path: Path) -> bool:
    """Whether it was read. Fails with anything but a ModelFileError, or above 50 MB."""
    tracemalloc.start()
    try:
        header = read_header(path)
    except ModelFileError as error:
        readable, said = False, [error.sentence, error.hint]
    else:
        readable, said = True, [header.architecture, header.name, header.license]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000
    assert "".join(said).isprintable()
    return readable


@pytest.mark.parametrize("seed", range(4))
def test_changed_bytes_of_a_real_header(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    whole = STARTER_MODEL.read_bytes()
    header = whole[:HEADER_BYTES]
    path = tmp_path / "a.gguf"
    read = 0
    for _ in range(CHANGES):
        changed = bytearray(header)
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(rng.choice((64, 2000, len(header))))
            patch = rng.choice([*ABSURD, rng.randbytes(4)])
            if rng.random() < 0.2:
                changed[at:at] = patch
            else:
                changed[at : at + len(patch)] = patch
        path.write_bytes(changed)
        with path.open("r+b") as file:
            file.truncate(len(whole))
        read += ends_well(path)
    assert 0 < read < CHANGES  # some changes hit only a token's text; not all do


@pytest.mark.parametrize("seed", range(2))
def test_cut_and_shuffled_headers(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    header = STARTER_MODEL.read_bytes()[:HEADER_BYTES]
    path = tmp_path / "a.gguf"
    for _ in range(100):
        a, b = sorted((rng.randrange(24, 4000), rng.randrange(24, len(header))))
        path.write_bytes(
            rng.choice([header[:a], header[:24] + header[a:], header[:a] + header[b:], header[:b] + header[a:]])
        )
        ends_well(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rest=st.binary(max_size=300), keys=st.integers(0, 4), tensors=st.integers(0, 4))
def test_any_bytes_after_the_counts(tmp_path: Path, raw: Any, rest: bytes, keys: int, tensors: int) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(raw.header([rest], keys=keys, count=tensors))
    ends_well(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300))
def test_any_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(data)
    assert not ends_well(path)


MANY = 500_000
HARD: list[Callable[[Any], tuple[bytes, int]]] = [
    # (the header, the size of the sparse file): what takes a careless reader minutes or gigabytes
    lambda raw: (raw.header([raw.text("k") + b"\x09\0\0\0\x08\0\0\0" + MANY.to_bytes(8, "little")]), 1 << 33),
    lambda raw: (raw.header([raw.text("k") + b"\x09\0\0\0\x04\0\0\0" + (1 << 30).to_bytes(8, "little")]), 1 << 40),
    lambda raw: (raw.header([raw.text("k") + b"\x08\0\0\0" + (1 << 36).to_bytes(8, "little")]), 1 << 40),
    lambda raw: (raw.header([], count=100_000), 1 << 33),
    lambda raw: (raw.header([], keys=65_536), 1 << 33),
]


@pytest.mark.parametrize("make", HARD)
def test_files_made_to_be_hard(tmp_path: Path, raw: Any, make: Callable[[Any], tuple[bytes, int]]) -> None:
    data, size = make(raw)
    path = tmp_path / "a.gguf"
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(size)
    assert not ends_well(path)
