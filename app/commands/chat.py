"""`bantam chat`: a conversation in the terminal, or one question with `--prompt`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.commands.console import StderrReport, add_load_arguments, as_dict, load_request, print_json, refuse
from app.commands.isolation import isolated
from app.errors import Cancelled
from app.events import AnswerStatistics, PromptReady, StopReason, TooLarge
from app.paths import default_paths
from app.requests import Generate, Message, Role, Sampling
from app.settings import load_settings

if TYPE_CHECKING:
    from app.engine.session import Session
    from app.engine.stop_flag import StopFlag


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    defaults = Sampling()
    add_load_arguments(parser)
    parser.add_argument("--prompt", metavar="TEXT", help="answer this one question and end; - reads it from stdin")
    parser.add_argument("--system", default="", metavar="TEXT", help="system prompt")
    parser.add_argument("--temperature", type=float, default=defaults.temperature)
    parser.add_argument("--top-k", type=int, default=defaults.top_k)
    parser.add_argument("--top-p", type=float, default=defaults.top_p)
    parser.add_argument("--min-p", type=float, default=defaults.min_p)
    parser.add_argument("--repeat-penalty", type=float, default=defaults.repeat_penalty)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--stop", action="append", default=[], metavar="TEXT")
    parser.add_argument("--max-tokens", type=int, default=defaults.max_tokens)
    parser.set_defaults(run=isolated(_run))


def _run(parsed: argparse.Namespace) -> int:
    from app.engine.session import Session
    from app.engine.stop_flag import StopFlag

    paths = default_paths().ensure()
    report, stop = StderrReport(), StopFlag()
    with _stopped_by_ctrl_c(stop):
        session = Session.load(load_request(parsed, load_settings(paths.settings)), paths, report, stop)
    report.end()
    if isinstance(session, TooLarge):
        raise refuse(session)
    try:
        talk = _Talk(session, stop, report, parsed)
        one_question = parsed.prompt is not None or parsed.json or not sys.stdin.isatty()
        return talk.answer_once(_question(parsed)) if one_question else talk.converse()
    finally:
        session.close()


def _question(parsed: argparse.Namespace) -> str:
    return sys.stdin.read() if parsed.prompt in (None, "-") else parsed.prompt


class _Talk:
    """The conversation so far and the way to go on with it."""

    def __init__(self, session: Session, stop: StopFlag, report: StderrReport, parsed: argparse.Namespace) -> None:
        self._session = session
        self._stop = stop
        self._report = report
        self._json: bool = parsed.json
        self._messages = [Message(Role.SYSTEM, parsed.system)] if parsed.system else []
        self._sampling = Sampling(
            temperature=parsed.temperature,
            top_k=parsed.top_k,
            top_p=parsed.top_p,
            min_p=parsed.min_p,
            repeat_penalty=parsed.repeat_penalty,
            seed=parsed.seed,
            stop=tuple(parsed.stop),
            max_tokens=parsed.max_tokens,
        )

    def answer_once(self, question: str) -> int:
        """Answer and end; raises Cancelled after Ctrl+C."""
        text, last = self._answer(question, _nothing if self._json else _print_now)
        if self._json:
            model = as_dict(self._session.loaded)
            print_json({"answer": text, "statistics": as_dict(last), "model": model})
        else:
            print()
        if last.stop_reason is StopReason.STOPPED:
            raise Cancelled
        return 0

    def converse(self) -> int:
        """Question and answer until the end of input. Ctrl+C stops an answer, and at the prompt the program."""
        print(f"{self._session.loaded.name}. Ctrl+C stops an answer, Ctrl+D ends.", file=sys.stderr)
        while True:
            try:
                question = input("\n> ").strip()
            except (EOFError, KeyboardInterrupt):
                print()
                return 0
            if not question:
                continue
            _, last = self._answer(question, _print_now)
            print(f"\n\n{_summary(last)}", file=sys.stderr)

    def _answer(self, question: str, show: Callable[[str], None]) -> tuple[str, AnswerStatistics]:
        self._messages.append(Message(Role.USER, question))
        self._stop.clear()
        pieces: list[str] = []
        last: AnswerStatistics | None = None
        with _stopped_by_ctrl_c(self._stop):
            request = Generate("", tuple(self._messages), self._sampling)
            for token in self._session.generate(request, self._on_event, self._stop):
                self._report.end()
                pieces.append(token.text)
                show(token.text)
                last = token.statistics
        if last is None:
            raise Cancelled
        text = "".join(pieces)
        self._messages.append(Message(Role.ASSISTANT, text))
        return text, last

    def _on_event(self, event: object) -> None:
        if isinstance(event, PromptReady) and event.left_out_messages:
            self._report.end()
            print(
                f"The {event.left_out_messages} oldest messages were left out: they no longer fit in the context of "
                f"{event.context_tokens:,} tokens.",
                file=sys.stderr,
            )
        self._report(event)  # type: ignore[arg-type]


def _summary(answer: AnswerStatistics) -> str:
    reused = f", reused {answer.reused_tokens:,} of {answer.prompt_tokens:,} tokens" if answer.reused_tokens else ""
    return (
        f"[{answer.new_tokens:,} tokens, {answer.tokens_per_second:.1f} tokens/s, first token after "
        f"{answer.time_to_first_token_ms:,.0f} ms{reused}]"
    )


def _print_now(text: str) -> None:
    print(text, end="", flush=True)


def _nothing(_text: str) -> None:
    pass


@contextmanager
def _stopped_by_ctrl_c(stop: StopFlag) -> Iterator[None]:
    """While the body runs, Ctrl+C sets the flag; a second one ends the program."""

    def on_interrupt(_signal: int, _frame: object) -> None:
        if stop():
            raise KeyboardInterrupt
        stop.set()

    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
