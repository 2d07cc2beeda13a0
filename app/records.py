"""Frozen dataclasses as plain data and back: for the lines between window and child, and for small files on disk.

Plain data is what JSON has. An arm of a union of dataclasses is named by a tag, "type" beside its fields. On the wire
everything must be known (`build`): an unknown field, a missing one or a value of another type is a RecordError that
names it. From a file each bad or missing field has its default alone (`build_leniently`): an older program wrote it, or
a person.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Convert = Callable[[Any], Any]
TAG = "type"
_PRIMITIVES = (str, int, float, bool, type(None))


class RecordError(ValueError):
    """Data that is not of the type that it should be; the message names the field."""


def plain(value: Any) -> Any:
    """Dictionaries, lists, texts and numbers for a dataclass, whatever is inside it."""
    if type(value) in _PRIMITIVES:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        tagged = _tagged_fields(type(value))
        return {name: _inside(getattr(value, name), name in tagged) for name in _field_names(type(value))}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def build(cls: type[T], data: Any) -> T:
    """The reverse of `plain`. Raises RecordError for anything that is not wholly of the type."""
    value: T = _dataclass_builder(cls)(data)  # type: ignore[arg-type]
    return value


def build_leniently(cls: type[T], data: Any) -> T:
    """The record with the default of each field that is missing or bad. Raises RecordError for a field without one."""
    if not isinstance(data, dict):
        raise RecordError(f"{cls.__name__}: no object")
    values = {}
    builders = _field_builders(cls, lenient=True)  # type: ignore[arg-type]
    for field in fields(cls):  # type: ignore[arg-type]
        if field.name in data:
            try:
                values[field.name] = builders[field.name](data[field.name])
                continue
            except RecordError as error:
                if not _has_default(field):
                    raise RecordError(f"{cls.__name__}.{field.name}: {error}") from error
        elif not _has_default(field):
            raise RecordError(f"{cls.__name__}.{field.name} is missing")
    return cls(**values)


def _inside(value: Any, tagged: bool) -> Any:
    if tagged and isinstance(value, (tuple, list)):
        return [_inside(item, tagged) for item in value]
    data = plain(value)
    return {TAG: type(value).__name__, **data} if tagged and is_dataclass(value) else data


def _is_record(hint: Any) -> bool:
    return isinstance(hint, type) and is_dataclass(hint)


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


@functools.cache
def _field_names(cls: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(cls))


@functools.cache
def _tagged_fields(cls: type) -> frozenset[str]:
    """The fields whose value may be of several dataclasses."""
    return frozenset(name for name, hint in typing.get_type_hints(cls).items() if len(_arms(hint)) > 1)


def _arms(hint: Any) -> list[type]:
    """The dataclasses of a union, also of one that is the item of a tuple."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
        return _arms(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return [one for one in arguments if _is_record(one)]
    return []


@functools.cache
def _dataclass_builder(cls: Any, lenient: bool = False) -> Convert:
    if lenient:
        return functools.partial(build_leniently, cls)
    converts = _field_builders(cls)
    required = frozenset(f.name for f in fields(cls) if _has_default(f) is False)

    def build_one(data: Any) -> Any:
        if not isinstance(data, dict):
            raise RecordError(f"{cls.__name__}: no object")
        if not required <= data.keys():
            raise RecordError(f"{cls.__name__}.{min(required - data.keys())} is missing")
        values = {}
        for name, value in data.items():
            convert = converts.get(name)
            if convert is None:
                raise RecordError(f"{cls.__name__} has no field “{name[:60]}”")
            try:
                values[name] = convert(value)
            except RecordError as error:
                raise RecordError(f"{cls.__name__}.{name}: {error}") from error
        return cls(**values)

    return build_one


@functools.cache
def _field_builders(cls: Any, lenient: bool = False) -> dict[str, Convert]:
    hints = typing.get_type_hints(cls)
    return {f.name: _builder(hints[f.name], lenient) for f in fields(cls)}


@functools.cache
def _builder(hint: Any, lenient: bool) -> Convert:
    """What turns plain data into a value of this type. Made once: tokens come by the thousand."""
    if _is_record(hint):
        return _dataclass_builder(hint, lenient)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _union_builder(arguments, lenient)
    if origin is tuple:
        return _tuple_builder(arguments, lenient)
    if origin in (dict, Mapping, typing.get_origin(Mapping[str, int])):
        return _mapping_builder(arguments, lenient)
    if hint in (Any, object):
        return lambda data: data
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _guarded(hint)
    if hint is Path:
        return lambda data: Path(_of(str, data))
    if hint is float and lenient:
        return _finite
    return functools.partial(_of, hint)


def _finite(data: Any) -> float:
    """A number from a file, where it is one that can be compared: json reads NaN and Infinity too."""
    value: float = _of(float, data)
    if not math.isfinite(value):
        raise RecordError(f"{value} is no number")
    return value


def _guarded(cls: Any) -> Convert:
    def member(data: Any) -> Any:
        try:
            return cls(data)
        except ValueError as error:
            raise RecordError(f"{data!r} is no {cls.__name__}") from error

    return member


def _of(cls: Any, data: Any) -> Any:
    """The value, where it is one of this plain type; a whole number is a float too, a truth value no number."""
    if cls is float and type(data) is int:
        return float(data)
    if type(data) is not cls and not (cls is type(None) and data is None):
        raise RecordError(f"{str(data)[:60]!r} is no {getattr(cls, '__name__', cls)}")
    return data


def _union_builder(arguments: tuple[Any, ...], lenient: bool) -> Convert:
    arms = {one.__name__: _builder(one, lenient) for one in arguments if _is_record(one)}
    others = [_builder(one, lenient) for one in arguments if not _is_record(one)]

    def build_union(data: Any) -> Any:
        if isinstance(data, dict) and arms:
            if len(arms) == 1:
                return next(iter(arms.values()))(data)
            name = data.get(TAG)
            if name not in arms:
                raise RecordError(f"“{str(name)[:60]}” is none of {', '.join(arms)}")
            return arms[name]({key: value for key, value in data.items() if key != TAG})
        for convert in others:
            try:
                return convert(data)
            except RecordError:
                continue
        raise RecordError(f"{str(data)[:60]!r} is of no type that it may be")

    return build_union


def _tuple_builder(arguments: tuple[Any, ...], lenient: bool) -> Convert:
    if len(arguments) == 2 and arguments[1] is ...:
        item = _builder(arguments[0], lenient)
        return lambda data: tuple(item(one) for one in _of(list, data))
    items = [_builder(one, lenient) for one in arguments]

    def build_tuple(data: Any) -> Any:
        if len(_of(list, data)) != len(items):
            raise RecordError(f"{len(items)} values are wanted, and {len(data)} are there")
        return tuple(convert(one) for convert, one in zip(items, data, strict=True))

    return build_tuple


def _mapping_builder(arguments: tuple[Any, ...], lenient: bool) -> Convert:
    """JSON's keys are texts: whole numbers as keys are read from them."""
    key, item = arguments
    build_item = _builder(item, lenient)
    build_key = _number_key if key is int else _builder(key, lenient)
    return lambda data: {build_key(name): build_item(value) for name, value in _of(dict, data).items()}


def _number_key(text: Any) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise RecordError(f"{str(text)[:60]!r} is no whole number") from error
