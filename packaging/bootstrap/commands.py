"""The commands of `packaging/start.py`: open the window, run the checks, set up only, name missing system packages."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from typing import Sequence

from bootstrap import checks, installation, interpreter, system_packages
from bootstrap.console import SetupError, say

CHECKS = ("test", "lint", "types", "fmt")
DESCRIPTION = "Sets Bantam up in .venv (once) and opens its window."
COMMANDS = """commands:
  (none)             set up what is missing and open the window
  test [ARGUMENTS]   the same set-up with the test tools, then every check; with ARGUMENTS: pytest with these;
                     with --wide: every check, the slow tests too
  lint [PATH ...]    style (ruff), layers (import-linter), dead code (vulture)
  types [PATH ...]   types (mypy)
  fmt [PATH ...]     write the code in its format, imports in order (ruff)
  setup              set up and open nothing
  system-packages    print the line that installs the system packages that are missing; nothing if none is
"""


def main(arguments: Sequence[str]) -> int:
    """Run one command. Returns the exit code; a failure is a sentence on stderr and what to do about it."""
    _end_like_ctrl_c()
    try:
        return _run(arguments)
    except SetupError as error:
        sys.stdout.flush()
        print(f"\n{error}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nStopped. Run it again to go on where it stopped.", file=sys.stderr)
        return 130
    return 1


def _end_like_ctrl_c() -> None:
    """A closed terminal and a `kill` end pip and its compilers too, as Ctrl+C does."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)


def _run(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="start.py",
        usage="python3 packaging/start.py [command]",
        description=DESCRIPTION,
        epilog=COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ("open", *CHECKS, "setup", "system-packages")
    parser.add_argument("command", nargs="?", default="open", choices=names, help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.command == "system-packages":
        return _name_system_packages()
    if not interpreter.OLDEST <= sys.version_info[:2] <= interpreter.NEWEST:
        return _run_with_another_python(arguments)
    if chosen.command in CHECKS:
        return _check(chosen.command, chosen.arguments)
    if chosen.arguments:
        parser.error("unexpected: " + " ".join(chosen.arguments))
    return _open() if chosen.command == "open" else _set_up()


def _open() -> int:
    _check_display()
    _check_libraries(window=True)
    environment = installation.set_up()
    return installation.run_in(environment, ["-m", "app"])


def _set_up() -> int:
    installation.set_up()
    return 0


def _check(command: str, arguments: list[str]) -> int:
    if command == "test":
        _check_libraries(window=False)
    environment = installation.set_up(["test"])
    return checks.run_checks(environment, installation.PROJECT, checks.checks_for(command, arguments))


def _run_with_another_python(arguments: Sequence[str]) -> int:
    found = interpreter.find(system_packages.this_platform())
    say(f"This is Python {'.'.join(map(str, sys.version_info[:3]))}; going on with {found.label} ({found.path}).")
    return subprocess.call([found.path, str(installation.PROJECT / "packaging" / "start.py"), *arguments])


def _check_libraries(window: bool) -> None:
    platform = system_packages.this_platform()
    missing = system_packages.missing_libraries(system_packages.libraries_for(os.environ, window))
    if missing:
        names = ", ".join(library.soname for library in missing)
        packages = system_packages.library_packages(missing, platform)
        raise SetupError(
            f"Qt, which draws the window, needs system libraries that are missing: {names}.",
            system_packages.install_line(packages, platform),
        )


def _check_display() -> None:
    known = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in known):
        raise SetupError(
            "There is no display to open a window on.",
            "Start this in a desktop session, or chat in the terminal: "
            "python3 packaging/start.py setup && .venv/bin/bantam chat",
        )


def _name_system_packages() -> int:
    platform = system_packages.this_platform()
    wanted = system_packages.libraries_for(os.environ, window=True)
    lines = system_packages.library_packages(system_packages.missing_libraries(wanted), platform)
    lines = [system_packages.install_line(lines, platform)] if lines else []
    if not system_packages.has_compiler():
        lines.append(system_packages.compiler_hint(platform))
    for line in lines:
        say(line)
    return 1 if lines else 0
