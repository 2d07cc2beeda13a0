"""Records there and back: every message, tagged arms, what is refused on the wire, what is forgiven on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.operations import EVENTS, REQUESTS, RESULTS
from app.records import RecordError, build, build_leniently, plain

FINITE = st.floats(allow_nan=False, allow_infinity=False)
PATHS = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1).map(Path)


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Circle:
    radius: float


@dataclass(frozen=True, slots=True)
class Square:
    side: float
    colour: Colour = Colour.RED


@dataclass(frozen=True, slots=True)
class Picture:
    shapes: tuple[Circle | Square, ...]
    frame: Circle | Square | None = None
    at: tuple[int, str] = (0, "")
    counts: Mapping[int, float] = field(default_factory=dict)
    place: Path | None = None
    mixed: int | str = 0


PICTURE = Picture((Circle(1.0), Square(2.0)), Square(3.0), (7, "x"), {1: 2.5}, Path("a"), "b")


@pytest.mark.parametrize("cls", [*REQUESTS, *EVENTS, *RESULTS], ids=lambda cls: cls.__name__)
def test_every_message_comes_back_as_it_was(cls: type) -> None:
    st.register_type_strategy(float, FINITE)
    st.register_type_strategy(Path, PATHS)

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.from_type(cls))
    def there_and_back(value: object) -> None:
        assert build(cls, json.loads(json.dumps(plain(value)))) == value

    there_and_back()


def test_arms_of_a_union_are_told_apart() -> None:
    data = json.loads(json.dumps(plain(PICTURE)))
    assert data["shapes"] == [{"type": "Circle", "radius": 1.0}, {"type": "Square", "side": 2.0, "colour": "red"}]
    assert build(Picture, data) == PICTURE


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": 1}, "Picture has no field “colour”"),
        ({"shapes": [{"type": "Triangle"}]}, "Triangle"),
        ({"shapes": [{"radius": 1.0}]}, "None"),
        ({"shapes": [{"type": "Circle", "radius": "1"}]}, "Circle.radius"),
        ({"shapes": [{"type": "Circle", "radius": True}]}, "Circle.radius"),
        ({"frame": {"type": "Square"}}, "Square.side is missing"),
        ({"at": [1]}, "2 values are wanted"),
        ({"at": [1, 2]}, "at"),
        ({"counts": {"one": 1.0}}, "counts"),
        ({"mixed": 1.5}, "mixed"),
        ({"place": 7}, "place"),
    ],
)
def test_what_is_not_of_the_type_is_refused_by_name(change: dict[str, object], words: str) -> None:
    with pytest.raises(RecordError, match=words):
        build(Picture, plain(PICTURE) | change)


def test_a_field_that_is_missing_is_refused_by_name() -> None:
    with pytest.raises(RecordError, match=r"Circle\.radius is missing"):
        build(Circle, {})
    with pytest.raises(RecordError, match="no object"):
        build(Circle, [1.0])


def test_from_a_file_a_bad_field_has_its_default_alone() -> None:
    data = plain(PICTURE) | {"frame": 7, "at": None, "mixed": "kept", "of a newer version": 1}
    found = build_leniently(Picture, data)
    assert found == Picture(PICTURE.shapes, None, (0, ""), PICTURE.counts, PICTURE.place, "kept")
    with pytest.raises(RecordError, match="shapes"):
        build_leniently(Picture, {"shapes": 3})
    with pytest.raises(RecordError, match="missing"):
        build_leniently(Picture, {})
