"""Speculative against plain decoding, and against llama-speculative-simple at the best of its draft lengths.

    python -m tests.benchmarks.speculative [--threads 2] [--pairs 3]

The pair is that of `deep_pair`: the starter model at a larger model's cost, with drafts of known acceptance. Both
programs are of the same llama.cpp and get the same files, prompts, threads and number of tokens, greedily.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from app.engine.messages import AnswerStatistics, Generate, LoadModel, Message, Role, Sampling, ThreadCounts
from app.engine.session import Session
from app.operation import StopFlag
from app.system.paths import Paths
from tests.benchmarks import pairs, peers
from tests.benchmarks.deep_pair import Pair, deep_pair
from tests.benchmarks.pairs import Figure, Goal, say

_QUESTIONS = (
    "What does os.path.join do?",
    "Show the signature of shutil.copy.",
    "What does str.split do?",
    "What is collections.OrderedDict?",
)
_LENGTHS = (1, 2, 3, 4, 6, 7, 8, 12, 15)
_GREEDY = Sampling(temperature=0)
_TOKENS, _LONG = 128, 300
_CONTEXT = 2048
_TRIES = 5
_REPEATING = "one two three four five six seven eight nine ten, " * 6
_SPEED = re.compile(r"decoded +\d+ tokens in +[\d.]+ seconds, speed: +([\d.]+) t/s")
_ACCEPT = re.compile(r"accept += +([\d.]+)%")


@dataclass(frozen=True)
class Setting:
    """How both programs run."""

    threads: int
    pairs: int
    home: Path


def main() -> int:
    options = _options()
    pair = deep_pair(options.type)
    before = pairs.machine()
    with tempfile.TemporaryDirectory() as home:
        setting = Setting(options.threads, options.pairs, Path(home))
        figures = [
            *_against_peer(pair, pair.far, "3M draft", setting),
            *_against_peer(pair, pair.near, "21M draft", setting),
            _useless(pair, setting),
            *_lookup(pair, setting),
            *(_memory(pair, draft, name, setting) for draft, name in ((pair.far, "3M"), (pair.near, "21M"))),
        ]
    return pairs.show(figures, before, options.json)


def _against_peer(pair: Pair, draft: Path, name: str, setting: Setting) -> list[Figure]:
    """One of our answers is thrown away: what drafting costs and how often it is right is learned in it."""
    plain, ours, theirs, accepted = [], [], [], []
    best, peer_accepted = _best_length(pair.target, draft, setting)
    with _session(pair.target, setting, draft) as session:
        _speed(session, _QUESTIONS[:1], speculative=True)
        for number in range(setting.pairs):
            for kind in ("plain", "ours", "theirs") if number % 2 == 0 else ("theirs", "ours", "plain"):
                if kind == "theirs":
                    theirs.append(median(_peer(pair.target, draft, q, best, setting)[0] for q in _QUESTIONS))
                elif kind == "plain":
                    plain.append(_speed(session, _QUESTIONS, speculative=False)[0])
                else:
                    speed, share = _speed(session, _QUESTIONS, speculative=True)
                    ours.append(speed)
                    accepted.append(share)
            say(f"{name}: plain {plain[-1]:.1f}, ours {ours[-1]:.1f}, theirs {theirs[-1]:.1f} tokens/s")
    note = f"length {best}, {peer_accepted:.0f} % accepted"
    return [
        Figure(f"{name}: speculative ÷ plain", pairs.ratios(ours, plain), goal=Goal(1.5, at_least=True)),
        Figure(f"{name}: ours ÷ the peer", pairs.ratios(ours, theirs), goal=Goal(1.1, at_least=True), note=note),
        Figure(f"{name}: accepted", tuple(100 * share for share in accepted), "%"),
        Figure(f"{name}: plain", tuple(plain), "tokens/s"),
        Figure(f"{name}: speculative", tuple(ours), "tokens/s"),
    ]


def _best_length(target: Path, draft: Path, setting: Setting) -> tuple[int, float]:
    """Of llama-speculative-simple over all prompts, and its acceptance there."""
    speeds = {}
    for length in _LENGTHS:
        runs = [_peer(target, draft, question, length, setting) for question in _QUESTIONS]
        speeds[length] = (median(speed for speed, _ in runs), median(share for _, share in runs))
        say(f"llama-speculative-simple, length {length}: {speeds[length][0]:.1f} tokens/s")
    best = max(speeds, key=lambda length: speeds[length][0])
    return best, speeds[best][1]


def _peer(target: Path, draft: Path, question: str, length: int, setting: Setting) -> tuple[float, float]:
    """(tokens/s, per cent accepted) of one run."""
    threads = str(setting.threads)
    prompt = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    command = [
        peers.tool("llama-speculative-simple"), "-m", target, "-md", draft, "--spec-type", "draft-simple",
        "--spec-draft-n-max", str(length), "-t", threads, "-td", threads, "--temp", "0", "-n", str(_TOKENS),
        "-c", str(_CONTEXT), "--ignore-eos", "-p", prompt,
    ]  # fmt: skip
    environment = {**os.environ, "GOMP_SPINCOUNT": "1000", "OMP_NUM_THREADS": threads}
    for _ in range(_TRIES):  # now and then it ends before its last lines are written
        done = subprocess.run(command, check=True, capture_output=True, text=True, errors="replace", env=environment)
        said = done.stdout + done.stderr
        if (speed := _SPEED.search(said)) and (share := _ACCEPT.search(said)):
            return float(speed[1]), float(share[1])
    raise SystemExit(f"llama-speculative-simple said no speed:\n{said[-2000:]}")


def _useless(pair: Pair, setting: Setting) -> Figure:
    """A session of its own each time: it does not know yet that the draft is useless."""
    found = []
    for number in range(2 * setting.pairs):
        with _session(pair.target, setting, pair.useless) as session:
            order = (False, True) if number % 2 else (True, False)
            speeds = {kind: _speed(session, _QUESTIONS[:1], speculative=kind, tokens=_LONG)[0] for kind in order}
        found.append(speeds[True] / speeds[False])
    goal = Goal(0.97, at_least=True)
    return Figure(f"useless draft ÷ plain over {_LONG} tokens", tuple(found), goal=goal)


def _lookup(pair: Pair, setting: Setting) -> Iterator[Figure]:
    hot = Sampling(temperature=1.5, top_k=0, top_p=1.0, min_p=0.0, seed=3)
    cases = (
        ("text that repeats", _REPEATING, _GREEDY, 1.5),
        ("text that does not", _QUESTIONS[0], hot, 0.97),
    )
    for name, question, sampling, goal in cases:
        found = []
        for number in range(2 * setting.pairs):
            with _session(pair.target, setting, None, prompt_lookup=True) as session:
                order = (False, True) if number % 2 else (True, False)
                speeds = {
                    kind: _speed(session, (question,), speculative=kind, tokens=_LONG, sampling=sampling)[0]
                    for kind in order
                }
            found.append(speeds[True] / speeds[False])
        yield Figure(f"n-grams ÷ plain, {name}", tuple(found), goal=Goal(goal, at_least=True))


def _memory(pair: Pair, draft: Path, name: str, setting: Setting) -> Figure:
    """Peak of a process that loads both and answers, over what was predicted."""
    command = [
        sys.executable, "-m", "app", "bench", pair.target, "--draft", draft, "--context", str(_CONTEXT), "--json",
        "--repetitions", "1", "--prompt-tokens", "512", "--threads", str(setting.threads),
    ]  # fmt: skip
    environment = {**os.environ, "BANTAM_HOME": str(setting.home)}
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)
    predicted = sum(result["need"].values())
    ratio = result["peak_resident_bytes"] / predicted
    note = f"{result['peak_resident_bytes'] / 1e6:.0f} MB of {predicted / 1e6:.0f} MB predicted"
    return Figure(f"{name} draft: |measured ÷ predicted - 1| of memory", (abs(ratio - 1),), goal=Goal(0.03), note=note)


def _speed(
    session: Session,
    questions: Sequence[str],
    *,
    speculative: bool,
    tokens: int = _TOKENS,
    sampling: Sampling = _GREEDY,
) -> tuple[float, float]:
    """(median tokens/s of the answers, median share accepted)."""
    answers = [_answer(session, question, speculative, tokens, sampling) for question in questions]
    shares = [one.drafting.acceptance for one in answers if one.drafting is not None]
    return median(one.tokens_per_second for one in answers), median(shares) if shares else 0.0


def _answer(session: Session, question: str, speculative: bool, tokens: int, sampling: Sampling) -> AnswerStatistics:
    session.forget_conversation()
    endless = replace(sampling, max_tokens=tokens, ignore_end=True)
    request = Generate("", (Message(Role.USER, question),), endless, speculative)
    last = list(session.generate(request, lambda _event: None, StopFlag()))[-1].statistics
    assert last is not None
    return last


@contextmanager
def _session(target: Path, setting: Setting, draft: Path | None, *, prompt_lookup: bool = False) -> Iterator[Session]:
    threads = ThreadCounts(setting.threads, setting.threads)
    request = LoadModel(target, _CONTEXT, threads=threads, draft=draft, prompt_lookup=prompt_lookup)
    session = Session.load(request, Paths(setting.home).ensure(), lambda _event: None, StopFlag())
    if not isinstance(session, Session) or session.loaded.draft_problem:
        raise SystemExit("The pair could not be loaded.")
    try:
        yield session
    finally:
        session.close()


def _options() -> argparse.Namespace:
    parser = pairs.parser(__doc__, pairs=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--type", default="Q4_0", help="what the target is quantized to (default Q4_0)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
