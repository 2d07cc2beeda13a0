"""Which model the user wants in memory: has it loaded as the settings say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.engine.messages import LoadModel, ThreadCounts, TooLarge
from app.settings import Settings

if TYPE_CHECKING:
    from workers.engine.client import ChatEngine
    from workers.settings_store import SettingsStore

_CONTEXT_STEP = 256
_SMALLEST_CONTEXT = 512
_SPARE_BYTES = 100_000_000
"""What is left free when a smaller context is offered: it must not be refused again for a few bytes."""


def load_request(path: Path, settings: Settings, draft: Path | None = None) -> LoadModel:
    """The request that loads `path` as the settings say, with the draft that was chosen for it."""
    return LoadModel(
        path,
        context_tokens=settings.context_tokens,
        kv_type=settings.kv_type,
        flash_attention=settings.flash_attention,
        threads=ThreadCounts(settings.decode_threads, settings.prefill_threads),
        kv_disk_limit_bytes=int(settings.kv_disk_limit_gb * 1e9),
        draft=draft,
        prompt_lookup=settings.prompt_lookup,
    )


def smaller_context(question: TooLarge, asked_tokens: int) -> int:
    """The largest context that fits in the memory that is free, in steps of 256 tokens; 0 where none does.

    Only the KV cache is taken to shrink with the context, though the buffers do so too: it errs on the safe side.
    """
    if asked_tokens <= 0 or question.need.kv_bytes <= 0:
        return 0
    for_kv = question.available_bytes - question.need.weights_bytes - question.need.compute_bytes - _SPARE_BYTES
    tokens = int(asked_tokens * for_kv / question.need.kv_bytes) // _CONTEXT_STEP * _CONTEXT_STEP
    return tokens if _SMALLEST_CONTEXT <= tokens < asked_tokens else 0


class CurrentModel(QObject):
    """Loads, loads again, unloads. The engine's own signals tell what came of it."""

    asked = Signal(Path)
    """Path that is being loaded from now on"""

    def __init__(
        self,
        engine: ChatEngine,
        settings: SettingsStore,
        parent: QObject | None = None,
        chosen_draft: Callable[[Path], Path | None] = lambda _path: None,
    ) -> None:
        """`chosen_draft` tells the draft that the user has chosen for a model."""
        super().__init__(parent)
        self._chosen_draft = chosen_draft
        self._engine = engine
        self._settings = settings
        self._request: LoadModel | None = None

    @property
    def request(self) -> LoadModel | None:
        """What was asked for last."""
        return self._request

    @property
    def needs_reload(self) -> bool:
        """The model in memory was loaded with other settings than those of now."""
        if self._request is None or self._engine.model is None:
            return False
        wanted = load_request(self._request.path, self._settings.current, self._request.draft)
        return (
            dataclasses.replace(
                wanted, load_anyway=self._request.load_anyway, kv_disk_limit_bytes=self._request.kv_disk_limit_bytes
            )
            != self._request
        )

    def load(self, path: Path) -> None:
        """Load the model at `path` with the settings of now and the draft chosen for it."""
        self._ask(load_request(path, self._settings.current, self._chosen_draft(path)))

    def reload(self) -> None:
        """Load the same model again, as the settings are now."""
        if self._request is not None:
            self.load(self._request.path)

    def load_anyway(self) -> None:
        """The user has read the arithmetic and wants it nonetheless."""
        if self._request is not None:
            self._ask(dataclasses.replace(self._request, load_anyway=True))

    def load_without_draft(self) -> None:
        """The same model alone, this time only."""
        if self._request is not None:
            self._ask(dataclasses.replace(self._request, draft=None))

    def load_with_context(self, tokens: int) -> None:
        """The same model with a smaller context, this time only."""
        if self._request is not None:
            self._ask(dataclasses.replace(self._request, context_tokens=tokens))

    def unload(self) -> None:
        """Give the memory of the model back."""
        self._request = None
        self._engine.unload()

    def _ask(self, request: LoadModel) -> None:
        self._request = request
        self.asked.emit(request.path)
        self._engine.load(request)
