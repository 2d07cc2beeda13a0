"""What quantizing a model would make, asked of a child."""

from __future__ import annotations

from pathlib import Path

from app.engine.messages import KvType
from app.quantize.messages import PlanOffers
from workers.warm_child import PlanningChild


class OfferService(PlanningChild):
    """`answered` carries Offers."""

    def ask(self, source: Path, types: tuple[str, ...], context_tokens: int, kv_type: KvType) -> None:
        """Plan these types."""
        self.send(source, PlanOffers(source, types, context_tokens, kv_type))
