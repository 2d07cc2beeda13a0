"""What the terminal commands share: JSON out, progress on stderr, the arguments that say how a model is loaded."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from app.engine.messages import LEAST_CONTEXT_TOKENS, FlashAttention, KvType, LoadModel, ThreadCounts, TooLarge
from app.errors import AppError
from app.hub.repository import RemoteModel, Repository, open_repository, repository_id
from app.hub.token import TokenStore
from app.hub.transport import Hub, endpoint_of
from app.operation import Event, Notice, Progress, Stage
from app.operation_words import STAGE_WORDS as SHARED_STAGE_WORDS
from app.settings import Settings
from app.system.paths import STARTER_MODEL

_STAGES = SHARED_STAGE_WORDS | {
    Stage.MEASURE_THREADS: "Measuring the best number of threads (once)",
    Stage.MEASURE_SPEED: "Measuring how fast this computer is (once)",
    Stage.MEASURE_DRAFT: "Measuring what batches cost (once)",
    Stage.CHECK_DRAFT: "Answering with and without the draft",
}


def add_load_arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL, its draft, and how to load them."""
    add = parser.add_argument
    add("model", nargs="?", type=Path, help="a GGUF file; the starter model when left out")
    add("--draft", type=Path, metavar="FILE", help="a smaller model of the same vocabulary that drafts for this one")
    add("--prompt-lookup", action="store_true", help="draft what followed the last time the text read like this")
    add_load_options(parser)


def add_load_options(parser: argparse.ArgumentParser) -> None:
    """How to load a model."""
    add = parser.add_argument
    context = whole(LEAST_CONTEXT_TOKENS, 1_048_576)
    add("--context", type=context, metavar="N", help="context in tokens (default: as in the window's settings)")
    kinds, modes = [kind.value for kind in KvType], [mode.value for mode in FlashAttention]
    add("--kv-type", choices=kinds, help="element type of the KV cache (default: as in the settings)")
    add("--flash-attention", choices=modes, help="default: as in the settings")
    add("--threads", type=whole(0, 1024), default=0, metavar="N", help="0, the default: as measured on this computer")
    add("--safe-mode", action="store_true", help="for a computer where loading a model crashes; a little slower")
    add("--load-anyway", action="store_true", help="load it even if it needs more memory than is free")


def whole(least: int, most: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number within bounds."""
    return lambda text: int(_bounded(text, int, least, most))


def number(least: float, most: float) -> Callable[[str], float]:
    """The type of an argument that is any number within bounds."""
    return lambda text: float(_bounded(text, float, least, most))


def _bounded(text: str, kind: type[int] | type[float], least: float, most: float) -> float:
    words = "a whole number" if kind is int else "a number"
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"“{text}” is not {words} from {least:,} to {most:,}")
    return value


def load_request(parsed: argparse.Namespace, settings: Settings) -> LoadModel:
    """The request that the arguments describe; what was not given is as in the settings."""
    path = (parsed.model or STARTER_MODEL).expanduser()
    return LoadModel(
        path=path.resolve(),
        context_tokens=settings.context_tokens if parsed.context is None else parsed.context,
        kv_type=KvType(parsed.kv_type or settings.kv_type),
        flash_attention=FlashAttention(parsed.flash_attention or settings.flash_attention),
        threads=ThreadCounts(
            parsed.threads or settings.decode_threads,
            parsed.threads or settings.prefill_threads,
        ),
        safe_mode=parsed.safe_mode,
        load_anyway=parsed.load_anyway,
        kv_disk_limit_bytes=0,
        draft=parsed.draft.expanduser().resolve() if parsed.draft else None,
        prompt_lookup=parsed.prompt_lookup,
    )


def refuse(question: TooLarge) -> AppError:
    """Raise instead of asking: in a terminal the question becomes an error that names the way out."""
    return AppError(question.sentence, "Use --load-anyway to try, or a smaller --context.")


class StderrReport:
    """Writes progress to stderr: in place on a terminal, elsewhere one line for each stage."""

    def __init__(self) -> None:
        self._stage: Stage | None = None
        self._said: set[Stage] = set()
        self._in_place = sys.stderr.isatty()

    def __call__(self, event: Event) -> None:
        """Show the event if it is one to be shown."""
        if isinstance(event, Notice):
            self.end()
            print(event.sentence, file=sys.stderr)
        elif isinstance(event, Progress) and event.stage in _STAGES:
            self._show(event)

    def end(self) -> None:
        """Clear the line that is being written in place."""
        if self._in_place and self._stage is not None:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        self._stage = None

    def _show(self, progress: Progress) -> None:
        words = _STAGES[progress.stage]
        if self._in_place:
            share = f" {progress.done * 100 // progress.total} %" if progress.total else ""
            print(f"\r\033[K{words} …{share}", end="", file=sys.stderr, flush=True)
        elif progress.stage not in self._said:
            self._said.add(progress.stage)
            print(f"{words} …", file=sys.stderr, flush=True)
        self._stage = progress.stage


def print_json(data: Mapping[str, Any]) -> None:
    """One object on stdout; fractions with three decimals, which is a millionth of a second in a time."""
    json.dump(_rounded(data), sys.stdout, ensure_ascii=False, default=_plain)
    print(flush=True)


def as_dict(value: Any) -> dict[str, Any]:
    """A dataclass as a dictionary for `print_json`."""
    return dataclasses.asdict(value)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, (list, tuple)) else value


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(type(value).__name__)


# What the commands that speak with the hub share: which hub, which repository, which of its models.


def hub_of(settings: Settings) -> Hub:
    """The hub of the settings, with the token that is kept for it."""
    endpoint = endpoint_of(settings.hub_endpoint)
    return Hub(endpoint, TokenStore().get(endpoint))


def find_repository(hub: Hub, text: str) -> Repository:
    """The repository of an id or address. Raises AppError where it has nothing that can be used."""
    identity = repository_id(text)
    if identity is None:
        raise AppError(f"“{text}” is neither a file nor a repository.", "A repository looks like “owner/model”.")
    repository = open_repository(hub, identity)
    if repository.problem:
        raise AppError(repository.problem)
    return repository


def pick_model(repository: Repository, name: str) -> RemoteModel:
    """The model whose label, path or file name this is. Raises AppError that lists what there is."""
    wanted = name.casefold()
    for model in repository.models:
        if wanted in (model.label.casefold(), model.key.casefold(), model.files[0].name.casefold()):
            return model
    raise AppError(f"{repository.id} has no “{name}”.", f"It has {', '.join(m.label for m in repository.models)}.")
