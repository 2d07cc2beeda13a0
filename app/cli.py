"""`bantam COMMAND …`: the same operations in a terminal. Each command's module is imported only when it is asked for.

With `--json` a command prints one object to stdout and nothing else there; progress goes to stderr. The exit code is 0
only on success, 1 for a failure (one sentence on stderr), 2 for a wrong command line, 130 for Ctrl+C.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence
from typing import NoReturn

from app.errors import AppError, Cancelled
from app.system.paths import ask_for_debug_log, default_paths, is_debugging

_log = logging.getLogger(__name__)

COMMANDS = {
    "chat": "chat with a model in the terminal",
    "bench": "measure a model's speed and memory",
    "models": "list the models on disk",
    "fit": "say whether a model fits this computer and how fast it will be",
    "get": "download a model from the hub",
    "convert": "write a Hugging Face folder as one GGUF file",
    "quantize": "make a model smaller",
    "recover": "train a pruned model to answer as its original does",
    "prune": "take weights, neurons, heads or layers out of a model",
    "recipe": "prune, recover and quantize a model as a recipe says, or plan it",
    "make-draft": "make a draft of a model itself, and try whether it pays",
    "importance": "measure which weights of a model matter most",
    "inside": "look inside a model: its tensors, their weights, what storing them smaller would do",
    "measure": "measure a model's quality: perplexity, KL divergence, top-1 agreement",
    "drafts": "list the models that can draft for a model, and why others cannot",
    "check-draft": "prove that a draft model changes nothing but the speed",
    "verify": "check a model's bytes against those that were downloaded",
}


def main(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit code."""
    try:
        parsed = _parser(arguments).parse_args(arguments)
        return _run(parsed)
    except AppError as error:
        print(f"{error.sentence} {error.hint}".strip(), file=sys.stderr)
        return 1
    except (Cancelled, KeyboardInterrupt):
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1


def _run(parsed: argparse.Namespace) -> int:
    if parsed.debug:
        ask_for_debug_log()
    if is_debugging():
        from app.diagnostics.debug_log import open_debug_log

        open_debug_log(default_paths().ensure())
    _log.debug("command %s", parsed.command)
    code: int = parsed.run(parsed)
    _log.debug("command %s ended with code %d", parsed.command, code)
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence instead of the whole usage, for the commands' parsers too."""
        self.exit(2, f"{self.prog}: {message}. “{self.prog} --help” shows what there is.\n")


class _ShowVersion(argparse.Action):
    """Looks the versions up only when they are asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from app.diagnostics.about import version_text

        print(version_text())
        parser.exit()


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bantam",
        description="Makes a language model fit this computer and chats with it here. Without a command: the window.",
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the versions of Bantam and its parts")
    debug = "write what happens, without your texts, to logs/debug.log in the data folder"
    parser.add_argument("--debug", action="store_true", help=debug)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    chosen = next((argument for argument in arguments if argument in COMMANDS), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary.capitalize() + ".")
        if name == chosen:
            importlib.import_module(f"app.commands.{name.replace('-', '_')}").configure(command)
            command.add_argument("--json", action="store_true", help="print one JSON object to stdout")
            command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=debug)
    return parser
