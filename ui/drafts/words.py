"""What is said of drafts, in the user's words."""

from __future__ import annotations

from app.drafts.messages import DraftCost, DraftMade, DraftOption
from app.engine.messages import PAYS_FROM, DraftCheck, DraftVerdict
from app.fit.drafts import ASSUMED_ACCEPTANCE, DraftCandidate
from app.units import grouped
from ui.drafts.picker import DraftRow
from ui.words import size, time_left


def gain(ratio: float | None) -> str:
    """ "1.7 ×"; "" while it was not measured."""
    return "" if ratio is None else f"{ratio:.1f} ×" if ratio < 9.95 else f"{ratio:.0f} ×"


def row_of(candidate: DraftCandidate, ratio: float | None) -> DraftRow:
    """The line of a model in the list; `ratio` is what it was measured to gain."""
    if candidate.problem:
        facts = f"Cannot draft: {candidate.problem}"
        return DraftRow(candidate.path, candidate.name, facts, usable=False)
    memory = f"about {size(candidate.memory_bytes)} of memory"
    if ratio is not None:
        tone = "success" if ratio >= PAYS_FROM else "warning"
        return DraftRow(candidate.path, candidate.name, f"{memory} · measured here", gain(ratio), tone)
    share = round(ASSUMED_ACCEPTANCE * 10)
    facts = f"{memory} · predicted, if {share} of 10 guesses are right"
    return DraftRow(candidate.path, candidate.name, facts, f"about {gain(candidate.predicted_speed_up)}")


def verdict_words(verdict: DraftVerdict) -> str:
    """ "1.7 × faster here: on. …"."""
    rates = f"{verdict.speculative_tokens_per_second:.1f} tokens/s against {verdict.plain_tokens_per_second:.1f}"
    if verdict.pays:
        share = f"{100 * verdict.acceptance:.0f} % of its guesses were right"
        return f"{gain(verdict.ratio)} faster here: on. {rates}; {share}."
    if verdict.ratio >= 1:
        return f"{gain(verdict.ratio)}: off, because it gains nothing here. {rates}."
    return f"{gain(verdict.ratio)}: off, because it would be slower here. {rates}."


def check_words(check: DraftCheck) -> str:
    """What the proof showed."""
    same = check.prompts - len(check.differences)
    counted = f"{grouped(check.tokens)} tokens, {grouped(check.accepted_tokens)} from the draft"
    said = f"Identical in {same} of {check.prompts} answers ({counted})."
    if not check.accepted_tokens:
        return f"{said} No token came from the draft, so that nothing was checked."
    if not check.differences:
        return said
    if check.is_sound:
        return f"{said} The others differ where two words were equally likely: that is rounding, and no fault."
    worst = max(check.differences, key=lambda one: one.margin)
    return f"{said} “{worst.prompt}” differs by more than rounding explains. This is a fault in Bantam."


def option_words(option: DraftOption, layers: int) -> str:
    """ "4 of 28 layers: about 1.4 ×"."""
    return f"{option.layers} of {layers} layers: about {gain(option.speed_up)}"


def cost_words(cost: DraftCost) -> str:
    """What making it takes: "About 55 min, 5.8 GB of memory and up to 7.3 GB of disk; 61.2 GB are free."."""
    taken = f"About {time_left(cost.seconds)}, {size(cost.memory_bytes)} of memory"
    return f"{taken} and up to {size(cost.disk_bytes)} of disk; {size(cost.free_disk_bytes)} are free."


def promise_words(option: DraftOption) -> tuple[str, str]:
    """What a draft that is not made yet promises, and the role of its label."""
    right = f"{round(option.acceptance * 10)} of 10 of its guesses are right"
    if option.speed_up <= 1:
        return f"It promises no gain here: about {gain(option.speed_up)} if {right}.", "warning"
    return (
        f"Answers would be about {gain(option.speed_up)} as fast, if {right}. What it really gains is measured then.",
        "success",
    )


def made_words(made: DraftMade, pays_from: float) -> str:
    """What became of a draft, beside what was predicted."""
    measured, predicted = gain(made.speed_up), gain(made.predicted_speed_up)
    share = f"{100 * made.acceptance:.0f} % of its guesses are right"
    if made.speed_up >= pays_from:
        return f"{made.path.name} makes answers {measured} as fast ({predicted} predicted; {share}). It is chosen now."
    return (
        f"{made.path.name} does not pay: {measured} as fast ({predicted} predicted; {share}). It is not used; "
        "delete it on the Models page, or try more layers or a longer training."
    )


def notice_of(model: str, words: str) -> str:
    """The same for the bar over the page, where it is not seen which model is meant."""
    return f"Draft for {model}: {words}" if model else f"Draft: {words}"
