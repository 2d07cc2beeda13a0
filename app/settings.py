"""The user's settings, declared once: type, default, label, help. The settings page reads the declarations."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from app.engine.messages import LEAST_CONTEXT_TOKENS, FlashAttention, KvType
from app.errors import StorageError
from app.system.files import read_json, read_object, update_json


class Theme(StrEnum):
    """Colours of the window."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the settings page needs to show one setting."""

    group: str
    label: str
    help: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    reload: bool = False
    """Takes effect when the model is loaded again."""


def _setting(default: Any, group: str, label: str, help: str, **more: Any) -> Any:
    declaration = Declaration(group, label, help, **more)
    if isinstance(default, (tuple, str, int, float, bool)):
        return field(default=default, metadata={"declaration": declaration})
    return field(default_factory=default, metadata={"declaration": declaration})


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Frozen: a change is a new object (`dataclasses.replace`), saved and then announced."""

    theme: Theme = _setting(Theme.SYSTEM, "Appearance", "Theme", "Light, dark, or as the system is.")
    target_ms_per_token: int = _setting(
        200, "Speed", "Target", "The line in the plot: an answer slower than this is hard to read along with.",
        unit="ms a token", minimum=10, maximum=2000,
    )  # fmt: skip
    context_tokens: int = _setting(
        4096, "Model", "Context", "How much of the conversation the model sees at once. More takes more memory.",
        unit="tokens", minimum=LEAST_CONTEXT_TOKENS, maximum=262144, reload=True,
    )  # fmt: skip
    kv_type: KvType = _setting(
        KvType.F16, "Model", "KV cache type",
        "How the conversation is kept in memory. q8_0 takes half of what f16 takes, q4_0 a quarter. Long prompts are "
        "read more slowly, some quality goes.",
        reload=True,
    )  # fmt: skip
    flash_attention: FlashAttention = _setting(
        FlashAttention.AUTO, "Model", "Flash attention", "A faster way to compute attention.",
        reload=True,
    )  # fmt: skip
    decode_threads: int = _setting(
        0, "Speed", "Threads for answering", "“As measured” takes the number that was fastest here.",
        minimum=0, maximum=256, reload=True,
    )  # fmt: skip
    prefill_threads: int = _setting(
        0, "Speed", "Threads for reading the prompt", "“As measured” takes the number that was fastest here.",
        minimum=0, maximum=256, reload=True,
    )  # fmt: skip
    prompt_lookup: bool = _setting(
        True, "Speed", "Guess from the text so far",
        "Where text repeats, what followed last time is tried first. Takes no memory and never changes an answer.",
        reload=True,
    )  # fmt: skip
    kv_disk_limit_gb: float = _setting(
        4.0, "Storage", "Saved conversation caches", "A long chat goes on without being read again. Oldest go first.",
        unit="GB", minimum=0, maximum=1000,
    )  # fmt: skip
    model_folders: tuple[str, ...] = _setting(
        (), "Storage", "More model folders", "Models in these folders are used where they lie."
    )
    model_files: tuple[str, ...] = _setting((), "Storage", "Single model files", "Used where they lie.")
    hub_endpoint: str = _setting(
        "", "Hub", "Mirror", "The address of another hub with the same models; empty is huggingface.co."
    )
    downloads_at_once: int = _setting(2, "Hub", "Downloads at once", "More wait their turn.", minimum=1, maximum=8)


@dataclass(frozen=True, slots=True)
class WindowState:
    """What the window remembers by itself, in a file of its own: nobody sets it on the Settings page."""

    geometry: str = ""
    """Qt's own (`QWidget.saveGeometry`), in base64; "" means: as the program likes."""
    page: int = 0
    conversation: str = ""
    """Id of the chat that was open; "" for a new one."""
    offered_files: tuple[str, ...] = ()
    """Models of other programs that were offered once; they are not offered again."""
    last_model: str = ""
    """The model that was loaded last; loaded again at the next start."""
    last_source: str = ""
    """The folder that a recipe was last made for; chosen again at the next start."""
    show_performance_panel: bool = True
    greeted: bool = False
    """There has been a first chat: an empty one says no more what Bantam is."""


def declarations() -> dict[str, Declaration]:
    """The settings a person can change, by field name, in the order they are shown."""
    return {f.name: f.metadata["declaration"] for f in dataclasses.fields(Settings) if "declaration" in f.metadata}


def load_settings(path: Path) -> Settings:
    """Read the settings. Unusable values fall back to the default one by one; a missing file is all defaults."""
    return Settings(**_usable(read_object(path), Settings()))


def load_window_state(path: Path, settings: Path) -> WindowState:
    """Read what the window remembers. What an older Bantam kept among the `settings` is taken from there."""
    return WindowState(**_usable(read_object(settings) | read_object(path), WindowState()))


def _usable(stored: dict[str, Any], defaults: Settings | WindowState) -> dict[str, Any]:
    """The values of the fields that can be used."""
    usable: dict[str, Any] = {}
    for f in dataclasses.fields(defaults):
        if f.name in stored and (value := _coerce(stored[f.name], getattr(defaults, f.name), f)) is not None:
            usable[f.name] = value
    return usable


def set_aside_damaged(path: Path) -> str:
    """Keep a file that holds no settings under another name, before the next change is written over it.

    Returns the sentence for the user; "" where nothing was wrong.
    """
    try:
        damaged = not isinstance(read_json(path), dict)
    except OSError:
        return ""
    except ValueError:
        damaged = True
    aside = path.with_name(path.name + ".damaged")
    try:
        if damaged:
            path.replace(aside)
    except OSError:
        return ""
    return f"The settings could not be read and are the usual ones now. The file is kept as {aside}." if damaged else ""


def save_settings(path: Path, settings: Settings, fields: Collection[str] | None = None) -> None:
    """Write these fields of the settings (None: all), and keep the others that are there. Raises StorageError.

    Those of another version of Bantam, and what another program has changed meanwhile, stay.
    """
    try:
        _save(path, settings, fields)
    except OSError as error:
        raise StorageError(f"The settings could not be saved: {error.strerror or error}.") from error


def save_window_state(path: Path, state: WindowState, fields: Collection[str] | None = None) -> None:
    """Write these fields (None: all). A full disk is not worth a message: nothing of value is in them."""
    with contextlib.suppress(OSError):
        _save(path, state, fields)


def _save(path: Path, values: Settings | WindowState, fields: Collection[str] | None) -> None:
    every = dataclasses.asdict(values)
    changed = {name: value for name, value in every.items() if fields is None or name in fields}
    update_json(path, lambda stored: every | stored | changed, indent=2)


def _coerce(value: Any, default: Any, f: dataclasses.Field[Any]) -> Any:
    """`value` as the type of `default` and inside the declared bounds, or None where it cannot be."""
    try:
        if isinstance(default, StrEnum):
            return type(default)(value)
        if isinstance(default, bool):
            return value if isinstance(value, bool) else None
        if isinstance(default, tuple):
            return tuple(filter(_is_text, value)) if isinstance(value, list) else None
        if isinstance(default, str):
            return value if _is_text(value) else None
        number = type(default)(value)
    except (TypeError, ValueError, OverflowError):
        return None
    declaration: Declaration | None = f.metadata.get("declaration")
    if declaration is None:
        return number
    # Written so that NaN, which compares with nothing, is outside.
    above = declaration.minimum is None or number >= declaration.minimum
    below = declaration.maximum is None or number <= declaration.maximum
    return number if above and below else None


def _is_text(value: Any) -> bool:
    """Whether it can be a name or a path: no path has a NUL."""
    return isinstance(value, str) and "\0" not in value
