"""`bantam get REPO [FILE]`: download a model into the models folder; run again, it goes on where it was."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time

from app.commands.console import as_dict, find_repository, hub_of, pick_model, print_json
from app.errors import AppError
from app.hub.messages import Download, Downloaded, DownloadPhase, DownloadProgress
from app.hub.repository import RemoteModel, Repository
from app.hub.transport import Hub
from app.operation import Context, Event, Notice
from app.settings import load_settings
from app.system.paths import Paths, default_paths
from app.units import size_text

_LINE_EVERY_S = 10.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("repository", metavar="REPO", help="owner/name on the hub, or its address")
    parser.add_argument("file", nargs="?", help="which of its models, as “Q4_K_M”; needed where it has several")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    paths = default_paths().ensure()
    settings = load_settings(paths.settings)
    hub = hub_of(settings)
    if hub.warning:
        print(hub.warning, file=sys.stderr)
    repository = find_repository(hub, parsed.repository)
    result = download_model(hub, repository, _model(repository, parsed.file), paths)
    if parsed.json:
        print_json(as_dict(result))
    else:
        print("\n".join(str(path) for path in result.files))
    return 0


def download_model(hub: Hub, repository: Repository, model: RemoteModel, paths: Paths) -> Downloaded:
    """Download it, or go on with it; what is whole already is not fetched again. Progress goes to stderr."""
    from app.hub import unfinished
    from app.hub.download import download
    from app.hub.plan import make_plan

    plan = make_plan(hub.endpoint, repository, model, paths.models)
    unfinished.remember(paths, unfinished.Unfinished(plan, paused=True))
    with _Progress() as progress:
        result = download(Download(plan, hub.token), Context(report=progress))
    unfinished.forget(paths, plan)
    return result


def _model(repository: Repository, name: str | None) -> RemoteModel:
    if name:
        return pick_model(repository, name)
    if len(repository.models) > 1:
        labels = ", ".join(f"{model.label} ({size_text(model.size_bytes)})" for model in repository.models)
        hint = f"It has {labels}. “bantam fit {repository.id}” says which one to take."
        raise AppError(f"{repository.id} has several models: name one.", hint)
    return repository.models[0]


class _Progress(contextlib.AbstractContextManager["_Progress"]):
    """Writes how far it is to stderr: in place on a terminal, elsewhere a line from time to time."""

    def __init__(self) -> None:
        self._in_place = sys.stderr.isatty()
        self._next = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notice):
            self._clear()
            print(event.sentence, file=sys.stderr, flush=True)
        elif isinstance(event, DownloadProgress):
            self._show(_words(event))

    def __exit__(self, *_: object) -> None:
        self._clear()

    def _show(self, words: str) -> None:
        if self._in_place:
            print(f"\r\033[K{words}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_EVERY_S
            print(words, file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self._in_place:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _words(event: DownloadProgress) -> str:
    if event.phase is DownloadPhase.WAITING:
        return event.sentence
    done = f"{size_text(event.done_bytes)} of {size_text(event.total_bytes)}"
    if event.phase is not DownloadPhase.DOWNLOADING:
        return f"{event.phase.value.capitalize()} … {done}"
    if not event.bytes_per_second:
        return done
    minutes, seconds = divmod(int(event.seconds_left), 60)
    left = f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
    return f"{done}, {size_text(int(event.bytes_per_second))}/s, {left} left"
