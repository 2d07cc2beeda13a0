"""What a recipe would make of a model, what quantizing alone would, what a draft of it promises: asked of a child."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.drafts.messages import MakeDraft, PlanDraft
from app.engine.messages import KvType
from app.quantize.messages import Offers, PlanOffers
from app.recipe.messages import PlanRecipe, RecipePlanned
from app.recipe.recipe import Recipe, as_toml
from app.system.paths import Paths
from workers.warm_child import PlanningChild


class RecipePlans(QObject):
    """`planned` or `refused` follows each question, unless another one does."""

    planned = Signal(object)
    """RecipePlanned"""
    offered = Signal(object)
    """Offers: the original as it is, to put the result beside"""
    drafts_planned = Signal(object)
    """DraftsPlanned"""
    drafts_refused = Signal(object, str)
    """Path of the model, and why no draft can be made of it"""
    refused = Signal(object, str)
    """Path of the model, and why nothing can be planned for it"""

    def __init__(self, paths: Paths, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._child = PlanningChild(paths, parent=self)
        self._child.answered.connect(self._on_answered)
        self._child.refused.connect(self.refused)
        self._drafts = PlanningChild(paths, parent=self)
        self._drafts.answered.connect(self.drafts_planned)
        self._drafts.refused.connect(self.drafts_refused)

    def plan(self, source: Path, recipe: Recipe, context_tokens: int) -> None:
        """Raises RecipeError for what is no recipe."""
        self._child.send(source, PlanRecipe(source, as_toml(recipe), context_tokens))

    def offers(self, source: Path, types: tuple[str, ...], context_tokens: int, kv_type: KvType) -> None:
        """What these types of the original would be."""
        self._child.send(source, PlanOffers(source, types, context_tokens, kv_type))

    def drafts(self, draft: MakeDraft) -> None:
        """What drafts of each number of layers promise."""
        self._drafts.send(draft.source, PlanDraft(draft))

    def close(self) -> None:
        """For the end of the program."""
        self._child.close()
        self._drafts.close()

    def _on_answered(self, answer: object) -> None:
        if isinstance(answer, RecipePlanned):
            self.planned.emit(answer)
        elif isinstance(answer, Offers):
            self.offered.emit(answer)
