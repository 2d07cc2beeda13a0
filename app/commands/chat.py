"""`bantam chat`: a conversation in the terminal, or one question with `--prompt`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from app.chat.presets import BALANCED, PRECISE, suggested_preset
from app.commands.console import (
    StderrReport,
    add_load_arguments,
    as_dict,
    load_request,
    number,
    print_json,
    refuse,
    whole,
)
from app.commands.isolation import finishing_in_order, isolated
from app.engine.messages import AnswerStatistics, Generate, Message, PromptReady, Role, StopReason, TooLarge
from app.engine.reasoning import answer_message
from app.errors import AppError, Cancelled
from app.settings import load_settings
from app.system.paths import default_paths

if TYPE_CHECKING:
    from app.engine.session import Session
    from app.operation import StopFlag

_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed", "max_tokens")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_load_arguments(parser)
    parser.add_argument("--prompt", metavar="TEXT", help="answer this one question and end; - reads it from stdin")
    parser.add_argument("--system", default="", metavar="TEXT", help="system prompt: how it should answer")
    _add_sampling_arguments(parser)
    parser.set_defaults(run=isolated(_run))


def _add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    def add(name: str, kind: Callable[[str], float], help: str) -> None:
        usual, small = (getattr(preset.sampling, name.replace("-", "_")) for preset in (BALANCED, PRECISE))
        default = f"default: {usual}" if usual == small else f"default: {usual}, for a very small model {small}"
        parser.add_argument(f"--{name}", type=kind, metavar="N", help=f"{help} ({default})")

    add("temperature", number(0, 100), "0 always takes the likeliest token; higher surprises more")
    add("top-k", whole(0, 1_000_000), "choose among this many of the likeliest tokens; 0: all")
    add("top-p", number(0, 1), "choose among the likeliest that make up this share; 1: all")
    add("min-p", number(0, 1), "leave out what is less likely than this share of the likeliest; 0: nothing")
    add("repeat-penalty", number(0.01, 100), "above 1 makes repeating less likely")
    add("max-tokens", whole(0, 1_048_576), "end the answer here at the latest; 0: no limit")
    seed = "the same number gives the same text again (default: another one each time)"
    parser.add_argument("--seed", type=whole(0, 2**32 - 1), metavar="N", help=seed)
    stop = "end the answer before this text; may be given more than once"
    parser.add_argument("--stop", action="append", default=[], metavar="TEXT", help=stop)


def _run(parsed: argparse.Namespace) -> int:
    from app.engine.session import Session
    from app.operation import StopFlag

    one_question = parsed.prompt is not None or parsed.json or not sys.stdin.isatty()
    question = _question(parsed) if one_question else ""
    paths = default_paths().ensure()
    report, stop = StderrReport(), StopFlag()
    with finishing_in_order(stop):
        session = Session.load(load_request(parsed, load_settings(paths.settings)), paths, report, stop)
    report.end()
    if isinstance(session, TooLarge):
        raise refuse(session)
    if session.loaded.draft_problem:
        print(session.loaded.draft_problem, file=sys.stderr)
    try:
        talk = _Talk(session, stop, report, parsed)
        return talk.answer_once(question) if one_question else talk.converse()
    finally:
        session.close()


def _question(parsed: argparse.Namespace) -> str:
    question: str = sys.stdin.read() if parsed.prompt in (None, "-") else parsed.prompt
    if not question.strip():
        raise AppError("There is no question to answer.", "Give one with --prompt or on standard input.")
    return question


class _Talk:
    """The conversation so far and the way to go on with it."""

    def __init__(self, session: Session, stop: StopFlag, report: StderrReport, parsed: argparse.Namespace) -> None:
        self._session = session
        self._stop = stop
        self._report = report
        self._json: bool = parsed.json
        self._messages = [Message(Role.SYSTEM, parsed.system)] if parsed.system else []
        suggested = suggested_preset(session.loaded.parameters).sampling
        given = {name: value for name in _SAMPLING if (value := getattr(parsed, name)) is not None}
        self._sampling = dataclasses.replace(suggested, stop=tuple(parsed.stop), **given)

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
        with suppress(ImportError):  # Windows has its own line editing
            import readline  # noqa: F401 - edits lines, and without it the terminal cuts them at 4,095 bytes
        while True:
            try:
                question = input("\n> ").strip()
            except (EOFError, KeyboardInterrupt):
                print()
                return 0
            if not question:
                continue
            self._answer_in_turn(question)

    def _answer_in_turn(self, question: str) -> None:
        """Answer; a failure is told, and the conversation goes on without the question that led to it."""
        before = list(self._messages)
        try:
            _, last = self._answer(question, _print_now)
        except Cancelled:
            raise
        except AppError as error:
            self._messages = before
            self._report.end()
            print(f"\n{error.sentence} {error.hint}".rstrip(), file=sys.stderr)
        else:
            print(f"\n\n{_summary(last)}", file=sys.stderr)

    def _answer(self, question: str, show: Callable[[str], None]) -> tuple[str, AnswerStatistics]:
        self._messages.append(Message(Role.USER, question))
        self._stop.clear()
        pieces: list[str] = []
        last: AnswerStatistics | None = None
        with finishing_in_order(self._stop):
            request = Generate("", tuple(self._messages), self._sampling)
            for token in self._session.generate(request, self._on_event, self._stop):
                self._report.end()
                pieces.append(token.text)
                show(token.text)
                last = token.statistics
        if last is None:
            raise Cancelled
        text = "".join(pieces)
        self._messages.append(answer_message(text))
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
    drafted = ""
    if answer.drafting is not None:
        figures = answer.drafting
        drafted = f", {answer.draft_tokens:,} of them from the draft ({figures.speed_up:.2f} × plain)"
    return (
        f"[{answer.new_tokens:,} tokens{drafted}, {answer.tokens_per_second:.1f} tokens/s, first token after "
        f"{answer.time_to_first_token_ms:,.0f} ms{reused}]"
    )


def _print_now(text: str) -> None:
    print(text, end="", flush=True)


def _nothing(_text: str) -> None:
    pass
