"""What a model was made of, across all the steps that were taken here: the farthest source, and how, in words."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from app.library.manifest import FileOrigin, origin_of
from app.library.safetensors import weight_files


@dataclass(frozen=True, slots=True)
class Lineage:
    """Of a folder that was pruned or trained here: what it was made of and how. Of any other model: itself, and ""."""

    parent: Path
    recipe: str = ""

    @property
    def altered(self) -> bool:
        """Whether it is another model than its parent, and not only a rounded one."""
        return bool(self.recipe)

    def then(self, recipe: str) -> str:
        """How something is made that is made of it: all steps from the parent on."""
        return f"{self.recipe}; {recipe}" if self.recipe else recipe

    def parent_from(self, folder: Path) -> str:
        """The parent, for a manifest in `folder`: with it both can be moved together."""
        return Path(os.path.relpath(self.parent.resolve(), folder.resolve())).as_posix()


def alteration(recipe: str) -> str:
    """What a folder's recipe did to the weights: "pruned", "recovered" or "pruned and recovered"; "" without one."""
    steps = [words.startswith("recovered") for words in recipe.split("; ") if words]
    done = ("pruned" if False in steps else "", "recovered" if True in steps else "")
    return " and ".join(words for words in done if words)


def lineage_of(source: Path) -> Lineage:
    """What its manifest says. A GGUF file stands for itself: what is made of it is compared with it."""
    origin = folder_origin(source) if source.is_dir() else None
    if origin is None or not (origin.parent and origin.recipe):
        return Lineage(source)
    return Lineage(Path(os.path.normpath(source.resolve() / origin.parent)), origin.recipe)


def original_of(source: Path) -> Path:
    """What nothing was taken from yet: the parent of a folder that was pruned here, where that is still there."""
    parent = lineage_of(source).parent
    return parent if parent.exists() else source


def folder_origin(folder: Path) -> FileOrigin | None:
    """What a manifest says of a folder's weights: of the first file, which speaks for all."""
    files = weight_files(folder)
    return origin_of(files[0]) if files else None
