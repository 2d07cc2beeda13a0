#!/usr/bin/env python3
"""Runs the bundle on processors of other generations, as qemu-user imitates them: `python3 packaging/old_cpus.py`.

An instruction that the processor lacks ends in SIGILL there, as it would on the real one. Each says which of ggml's
variants it took, and answers a question with the starter model. `--control FOLDER`, with the libraries of a build for
this machine (llama_cpp/lib of `.venv`), shows that the test can fail: on an old processor they must die.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
QUESTION = "What does os.path.join do?"
EXPECTED = "path"
VARIABLES = {"BANTAM_COMMAND_CHILD": "1", "OMP_NUM_THREADS": "1", "BANTAM_NATIVE_LOG": "1", "PYTHONUTF8": "1"}
"""The command runs in this process and in no child, which the kernel would start without qemu."""


@dataclass(frozen=True)
class Cpu:
    """A processor of qemu's, and the variant that is its best among those that we ship."""

    name: str
    year: int
    variant: str


CPUS = (
    Cpu("core2duo", 2006, "x64"),
    Cpu("Nehalem", 2008, "sse42"),
    Cpu("SandyBridge", 2011, "sandybridge"),
    Cpu("IvyBridge", 2012, "ivybridge"),
    Cpu("Opteron_G5", 2012, "piledriver"),
    Cpu("Haswell", 2013, "haswell"),
    Cpu("EPYC", 2017, "haswell"),
)

CONTROL = "Nehalem"


def main() -> int:
    """Run them all; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=PROJECT / "build/bundle/frozen/bantam/bantam")
    parser.add_argument("--cpu", action="append", default=[], help="this one alone; may be given more than once")
    parser.add_argument("--control", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    program = options.program.resolve()  # as the loader writes it
    libraries = (program.parent / "_internal/llama_cpp/lib").glob("libggml-cpu-*.so")
    variants = sorted(path.name.removeprefix("libggml-cpu-").removesuffix(".so") for path in libraries)
    print(f"variants in the bundle: {', '.join(variants)}")
    failed = 0
    if options.control:
        native = str(options.control.resolve())
        path = f"{native}:{loader_variables(program)['LD_LIBRARY_PATH']}"
        done, _ = answer(program, CONTROL, LLAMA_CPP_LIB_PATH=native, LD_LIBRARY_PATH=path)
        died = done.returncode == -signal.SIGILL
        failed += not died
        print(f"{'ok  ' if died else 'BAD '} {CONTROL}, with a build for this machine: ended with {done.returncode}")
    for cpu in CPUS:
        if not options.cpu or cpu.name in options.cpu:
            done, variant = answer(program, cpu.name)
            good = done.returncode == 0 and EXPECTED in done.stdout and variant == cpu.variant
            failed += not good
            told = (
                done.stdout.strip()[:60]
                if done.returncode == 0
                else f"ended with {done.returncode}: {done.stderr[-300:]}"
            )
            print(f"{'ok  ' if good else 'BAD '} {cpu.name:<12} {cpu.year}  {variant:<12} {told}", flush=True)
    return 1 if failed else 0


def answer(program: Path, cpu: str, **more: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """One answer on that processor, and the variant whose library it has loaded."""
    with tempfile.TemporaryDirectory() as home:
        command = ["qemu-x86_64", "-cpu", cpu, str(program), "chat", "--prompt", QUESTION, "--temperature", "0"]
        command += ["--threads", "1", "--max-tokens", "24"]
        environment = {**os.environ, **VARIABLES, "BANTAM_HOME": home, **loader_variables(program), **more}
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", errors="replace")
    loaded = [line for line in done.stderr.splitlines() if "loaded CPU backend from" in line]
    variant = (
        Path(loaded[-1].rsplit(" ", 1)[-1]).name.removeprefix("libggml-cpu-").removesuffix(".so") if loaded else "-"
    )
    return done, variant


def loader_variables(program: Path) -> dict[str, str]:
    """What PyInstaller's loader sets before it starts itself again, which the kernel would do without qemu."""
    libraries = str(program.parent / "_internal")
    return {"LD_LIBRARY_PATH": libraries, "_PYI_ARCHIVE_FILE": str(program), "_PYI_PARENT_PROCESS_LEVEL": "-1"}


if __name__ == "__main__":
    sys.exit(main())
