"""Recipes in the user's words: methods with the term of art beside them, widths as numbers, costs as "about"."""

from __future__ import annotations

from app.fit.judgement import MemoryBudget
from app.fit.verdict import ms_text
from app.prune.messages import LayerImportance, PruneMethod
from app.recipe.messages import RecipePlanned, ResultPlan, StepPlan
from app.recipe.recipe import PruneStep, QuantizeStep, Step
from app.recover.messages import BUNDLED_TEXT, TEACHER_TEXT, Recovered, RecoverMethod
from app.units import grouped, percent
from ui.words import BUDGET_WORDS, kl_words, size, time_left

PRUNE, RECOVER, QUANTIZE = "Prune", "Recover", "Quantize"
PRUNE_WORDS = {
    PruneMethod.FFN: "Thin the feed-forward layers (FFN neurons)",
    PruneMethod.LAYERS: "Drop whole layers (depth)",
    PruneMethod.KV_GROUPS: "Drop attention groups (KV groups)",
    PruneMethod.SPARSEGPT: "Set weights to zero and mend the rest (SparseGPT)",
    PruneMethod.WANDA: "Set the least used weights to zero (Wanda)",
    PruneMethod.MAGNITUDE: "Set the smallest weights to zero (magnitude)",
    PruneMethod.GLOBAL_MAGNITUDE: "Set the smallest of the whole model to zero (global)",
}
"""The methods in the order in which they are worth trying: the first three make a model smaller."""
RECOVER_WORDS = {
    RecoverMethod.LORA: "Learn from the original (distillation, LoRA)",
    RecoverMethod.QLORA: "The same in less memory, not less time (QLoRA)",
    RecoverMethod.FULL: "Learn with every weight (full), for small models",
}
IMPORTANCE_WORDS = {
    LayerImportance.COSINE: "what they change (cosine): quick",
    LayerImportance.LEAVE_OUT: "leaving each out (KL): slow, surer",
}
PATTERN_WORDS = {"": "Anywhere", "2:4": "2 of every 4 (2:4)", "4:8": "4 of every 8 (4:8)"}
TEXT_WORDS = {TEACHER_TEXT: "what the original writes itself", BUNDLED_TEXT: "the bundled text"}
NARROW_WARNING = "Below multiples of 256 the K types (Q4_K_M) fall back to older, larger ones."
_FRACTIONS = (
    (1 / 8, "an eighth"),
    (1 / 6, "a sixth"),
    (1 / 5, "a fifth"),
    (1 / 4, "a quarter"),
    (1 / 3, "a third"),
    (3 / 8, "three eighths"),
    (2 / 5, "two fifths"),
    (1 / 2, "half"),
    (3 / 5, "three fifths"),
    (5 / 8, "five eighths"),
    (2 / 3, "two thirds"),
    (3 / 4, "three quarters"),
)
_NEAR = 0.012
_NEARLY_FULL = 0.9


def kind_of(step: Step) -> str:
    """The word for a step's kind, which is also its place in the order."""
    return PRUNE if isinstance(step, PruneStep) else QUANTIZE if isinstance(step, QuantizeStep) else RECOVER


def less_words(before: int, after: int) -> str:
    """ "a third less", or "37 % less" where no plain fraction is near."""
    share = 1 - after / before
    near, words = min(_FRACTIONS, key=lambda one: abs(one[0] - share))
    if abs(near - share) <= _NEAR:
        return words if words == "half" else f"{words} less"
    return f"{percent(share)} less"


def cut_words(before: int, after: int) -> str:
    """ "1,536 → 1,024 (a third less)"."""
    return f"{grouped(before)} → {grouped(after)} ({less_words(before, after)})"


def budget_words(tokens: int) -> str:
    """The name of a budget with its tokens."""
    return BUDGET_WORDS.get(tokens, f"{grouped(tokens)} tokens")


def cost_words(plan: StepPlan) -> tuple[str, str, str]:
    """Time, memory and disk of a step; "" for what it does not take."""
    seconds = f"about {time_left(plan.seconds)}" if plan.seconds else "time not known yet"
    memory = f"{size(plan.peak_memory_bytes)} of memory" if plan.peak_memory_bytes else ""
    if not plan.disk_bytes:
        return seconds, memory, ""
    kept = "" if plan.kept_bytes == plan.disk_bytes else ", for a while" if not plan.kept_bytes else ", a part stays"
    return seconds, memory, f"{size(plan.disk_bytes)} on disk{kept}"


def recovered_words(result: Recovered) -> str:
    """What learning won back, on text that was not learned from."""
    before, after = kl_words(result.kl_before), kl_words(result.kl_after)
    return f"Learning brought its distance to the original (KL) from {before} to {after}."


def total_words(plan: RecipePlanned) -> str:
    """All steps together: "About 25 min and 4.1 GB of disk; 61.0 GB are free."."""
    seconds = sum(step.seconds for step in plan.steps)
    known = all(step.seconds for step in plan.steps)
    time = f"{'About' if known else 'More than'} {time_left(seconds)}" if seconds else "A time not known yet"
    return f"{time} and {size(plan.disk_bytes)} of disk; {size(plan.free_disk_bytes)} are free."


def verdict_words(result: ResultPlan, budget: MemoryBudget, target_ms: float) -> tuple[str, str]:
    """A sentence on whether the result runs well here, and the role of the label it stands in."""
    need, free = size(result.resident_bytes), size(budget.now_bytes)
    if result.resident_bytes > budget.machine_bytes:
        most = size(budget.machine_bytes)
        return f"{result.type} needs about {need}: too big for this computer, which can give {most}.", "danger"
    if result.resident_bytes > budget.now_bytes:
        return f"{result.type} needs about {need}; only {free} are free now. It fits with programs closed.", "warning"
    tight = " (tight)" if result.resident_bytes > _NEARLY_FULL * budget.now_bytes else ""
    fits = f"{result.type} fits: about {need} of your {free} free{tight}"
    if result.ms_per_token is None:
        return f"{fits}.", "success"
    ms = ms_text(result.ms_per_token)
    if result.ms_per_token > target_ms * 1.02:
        return f"{fits}, but at about {ms} a token it misses your {target_ms:.0f} ms.", "warning"
    return f"{fits}, about {ms} a token.", "success"
