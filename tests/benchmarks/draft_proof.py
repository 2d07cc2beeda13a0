"""Drafting changes nothing: 200 answers greedily and 200 with seeds at 0.8, plain beside speculative, token by token.

    python -m tests.benchmarks.draft_proof [--prompts 200] [--new-tokens 48]

Drafts of changing length are verified at every step, whether they gain or not. Where two answers part, the margin at
the first different token tells rounding from a fault. The control is the same check with one wrong token in the KV
cache: it must be called a fault.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from app.engine.draft_trial import check_draft
from app.engine.kv_cache import KvCache
from app.engine.messages import ROUNDING_MARGIN, CheckDraft, DraftCheck, LoadModel, Sampling, ThreadCounts
from app.engine.session import Session
from app.operation import StopFlag
from app.system.paths import STARTER_MODEL, Paths
from tests.benchmarks import pairs
from tests.benchmarks.deep_pair import deep_pair
from tests.benchmarks.pairs import Figure, Goal, say
from tests.real_models import EVAL_CHAT

_OPENING = "<|im_start|>user\n"
_CASES = (("greedy", Sampling(temperature=0)), ("temperature 0.8", Sampling(temperature=0.8)))
_CONTROL_PROMPTS = 5


def main() -> int:
    parser = pairs.parser(__doc__, pairs=1)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--new-tokens", type=int, default=48)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    questions = _questions()[: options.prompts]
    before = pairs.machine()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as home:
        threads = ThreadCounts(options.threads, options.threads)
        request = LoadModel(STARTER_MODEL, 1024, threads=threads, draft=deep_pair().far, prompt_lookup=True)
        session = Session.load(request, Paths(Path(home)).ensure(), lambda _event: None, StopFlag())
        if not isinstance(session, Session) or session.loaded.draft_problem:
            raise SystemExit("The pair could not be loaded.")
        for name, sampling in _CASES:
            checked = _check(session, CheckDraft(questions, sampling, options.new_tokens))
            say(f"{name}: {checked}")
            figures += _figures(name, checked)
        figures.append(_control(session, CheckDraft(questions[:_CONTROL_PROMPTS], new_tokens=options.new_tokens)))
        session.close()
    return pairs.show(figures, before, options.json)


def _questions() -> tuple[str, ...]:
    """The different ones of the evaluation text."""
    parts = EVAL_CHAT.read_text("utf-8").split(_OPENING)[1:]
    return tuple(dict.fromkeys(part.partition("<|im_end|>")[0].strip() for part in parts))


def _check(session: Session, request: CheckDraft) -> DraftCheck:
    return check_draft(session, request, lambda _event: None, StopFlag())


def _figures(name: str, checked: DraftCheck) -> list[Figure]:
    worst = max((difference.margin for difference in checked.differences), default=0.0)
    same = checked.prompts - len(checked.differences)
    note = f"{same} of {checked.prompts} identical, {checked.accepted_tokens} of {checked.tokens} tokens from drafts"
    return [Figure(f"{name}: largest margin of a difference", (worst,), goal=Goal(ROUNDING_MARGIN), note=note)]


def _control(session: Session, request: CheckDraft) -> Figure:
    """The same check of a cache that holds a wrong token: its margin must be far above rounding."""
    verify = KvCache.verify

    def corrupt(cache: KvCache, tokens: tuple[int, ...], size: int) -> bool:
        return verify(cache, ((tokens[0] + 1) % 4000, *tokens[1:]), size)

    KvCache.verify = corrupt  # type: ignore[method-assign,assignment]
    try:
        checked = _check(session, request)
    finally:
        KvCache.verify = verify  # type: ignore[method-assign]
    worst = max((difference.margin for difference in checked.differences), default=0.0)
    return Figure("control, a wrong token: largest margin", (worst,), goal=Goal(ROUNDING_MARGIN, at_least=True))


if __name__ == "__main__":
    sys.exit(main())
