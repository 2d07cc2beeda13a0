"""Named ways to sample: three that come with Bantam, and the user's own, which the chat database keeps."""

from __future__ import annotations

from dataclasses import dataclass

from app.engine.messages import Sampling


@dataclass(frozen=True, slots=True)
class SamplingPreset:
    """A name for a set of sampling values. `built_in` ones cannot be changed or deleted."""

    name: str
    sampling: Sampling
    description: str = ""
    built_in: bool = False


PRECISE = SamplingPreset(
    "Precise",
    Sampling(temperature=0.2, top_k=40, top_p=0.9, min_p=0.1),
    "Stays with the most likely words: facts, code, extraction.",
    built_in=True,
)
BALANCED = SamplingPreset("Balanced", Sampling(), "A little variety: everyday questions.", built_in=True)
CREATIVE = SamplingPreset(
    "Creative",
    Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.05),
    "Surprises more often: stories, names, ideas.",
    built_in=True,
)
BUILT_IN_PRESETS = (PRECISE, BALANCED, CREATIVE)


_SMALL_MODEL = 300_000_000


def suggested_preset(parameters: int) -> SamplingPreset:
    """What a new chat begins with: a very small model loses the thread where it takes less likely words."""
    return PRECISE if 0 < parameters < _SMALL_MODEL else BALANCED


def preset_named(name: str, own: tuple[SamplingPreset, ...] = ()) -> SamplingPreset | None:
    """The preset of this name, built in or the user's own."""
    return next((preset for preset in (*BUILT_IN_PRESETS, *own) if preset.name == name), None)
