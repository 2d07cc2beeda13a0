"""A child that speaks the protocol and misbehaves on request: for real, with real signals and a real pipe.

What it does is the stem of the path to load, or the last message to answer: "finish", "hang", "flood 50000",
"abort", "segfault", "illegal instruction", "exit 3", "noise on fd 1", "rubbish line", "close stdout", "half a line",
"raise", "refuse", "too large", "ignore stop", "crash when stopped", "stray lines", "environment GOMP_SPINCOUNT".
Several are joined by "+".
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.engine import loading_marker
from app.engine.messages import (
    AnswerStatistics,
    ConversationOpened,
    CountTokens,
    Generate,
    LoadModel,
    MeasureThreads,
    MemoryNeed,
    ModelLoaded,
    OpenConversation,
    PromptReady,
    StopReason,
    ThreadCounts,
    Token,
    TokenCount,
    TooLarge,
)
from app.errors import AppError, Cancelled
from app.operation import Notice, Progress, Stage
from app.system.paths import default_paths
from workers.child import Outbox, serve
from workers.protocol import End, Line

NEED = MemoryNeed(1000, 100, 10)


class Misbehaviour:
    """Runs requests as the real operations do, except where it is told to do worse."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox

    def run(self, request, report, stop):
        if isinstance(request, LoadModel):
            return self.load(request, report, stop)
        if isinstance(request, Generate):
            return self.generate(request, report, stop)
        if isinstance(request, OpenConversation):
            with (default_paths().home / "opened.txt").open("a") as file:
                file.write(f"{request.conversation_id or 'nothing'}\n")
            return ConversationOpened(request.conversation_id, 12)
        if isinstance(request, CountTokens):
            return TokenCount(len(request.messages), 4096)
        if isinstance(request, MeasureThreads):
            self.wait(report, stop, Stage.MEASURE_THREADS) if os.environ.get("SLOW") else None
            return ThreadCounts(2, 2)
        raise TypeError(f"what is {request}?")

    def load(self, request, report, stop):
        paths = default_paths()
        paths.home.mkdir(parents=True, exist_ok=True)
        words = request.path.stem.split("+")
        if request.draft is not None:
            with loading_marker.loading(paths.loading_marker, request.draft, request.safe_mode):
                for word in request.draft.stem.split("+"):
                    self.behave(word, report, stop, Stage.LOAD)
        with loading_marker.loading(paths.loading_marker, request.path, request.safe_mode) as stage:
            report(Progress(Stage.LOAD, 0, 100))
            if "in warm up" in words:
                stage.enter(Stage.WARM_UP)
            if "unless safe" in words and request.safe_mode:
                words = []
            for word in words:
                self.behave(word, report, stop, Stage.LOAD)
        if "too large" in words and not request.load_anyway:
            return TooLarge(request.path, NEED, 500, "It needs more than there is.")
        return ModelLoaded(
            request.path,
            "Fake",
            "llama",
            "Q8_0",
            21,
            4096,
            8192,
            True,
            NEED,
            ThreadCounts(1, 1),
            request.safe_mode,
            1.0,
        )

    def generate(self, request, report, stop):
        words = request.messages[-1].content.split("+")
        if "before the first token" not in words:
            report(PromptReady(10, 0, 0, 4096))
            report(Token("Hel", 5.0))
            report(Token("lo", 5.0))
        for word in words:
            self.behave(word, report, stop, Stage.PREFILL)
        reason = StopReason.STOPPED if stop() else StopReason.END
        report(Token("", 5.0, statistics=AnswerStatistics(10, 0, 3, 0, 1, 1, 1, 1, 1, 1, reason, 7)))

    def behave(self, word, report, stop, stage):
        self.hang_if_told(word, report, stop, stage)
        self.die_if_told(word)
        self.babble_if_told(word, report)
        if word == "raise":
            raise ValueError("a bug")
        if word == "refuse":
            raise AppError("It cannot be done.", "Do something else.")

    def hang_if_told(self, word, report, stop, stage):
        if word == "hang":
            self.wait(report, stop, stage)
            if stop() and stage is Stage.LOAD:
                raise Cancelled
        elif word == "crash when stopped":
            self.wait(report, stop, stage)
            ctypes.string_at(0)
        elif word in ("ignore stop", "close stdout"):
            report(Progress(stage, 1, 2))
            if word == "close stdout":
                os.close(self.outbox._fd)
            threading.Event().wait()

    def die_if_told(self, word):
        match word.split():
            case ["abort"]:
                os.abort()
            case ["segfault"]:
                ctypes.string_at(0)
            case ["illegal", "instruction"]:
                os.kill(os.getpid(), signal.SIGILL)
            case ["exit", code]:
                os._exit(int(code))

    def babble_if_told(self, word, report):
        match word.split():
            case ["flood", count]:
                for _ in range(int(count)):
                    report(Token(" hello", 1.0))
            case ["noise", "on", "fd", "1"]:
                os.write(1, b"native garbage on stdout\n")
                print("and from Python", flush=True)
            case ["rubbish", "line"]:
                os.write(self.outbox._fd, b"rubbish on the line\n[1, 2]\n\xff\xfe\n")
            case ["half", "a", "line"]:
                os.write(self.outbox._fd, b'{"id": 1, "type": "Tok')
            case ["stray", "lines"]:
                self.outbox.write(Line(99, Token(" stray", 1.0)))
                self.outbox.write(Line(99, None, End.RESULT))
            case ["environment", name]:
                report(Notice(os.environ.get(name, "unset")))

    def wait(self, report, stop, stage):
        report(Progress(stage, 1, 2))
        while not stop():
            threading.Event().wait(0.005)


def main() -> None:
    import faulthandler

    faulthandler.enable()
    outbox = Outbox.claim_stdout()
    serve(sys.stdin.buffer, outbox, Misbehaviour(outbox).run)


if __name__ == "__main__":
    main()
