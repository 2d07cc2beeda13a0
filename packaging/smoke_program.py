"""Uses a program of any system once, without a display of its own: `python packaging/smoke_program.py PROGRAM`.

PROGRAM is what has a console: bantam, or on Windows bantam-console.exe. The window is opened offscreen and ended; that
it has loaded the starter model is read from its settings. packaging/smoke_test.py does more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

QUESTION = "What does os.path.join do?"
EXPECTED = "path"


def main(program: Path) -> int:
    """Terminal commands, then the window; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="Bantam Größe ") as home:
        environment = {**os.environ, "BANTAM_HOME": home, "QT_QPA_PLATFORM": "offscreen"}
        version = _run(program, environment, "--version")
        print(version)
        answer = _run(program, environment, "chat", "--prompt", QUESTION, "--temperature", "0")
        print(answer)
        assert EXPECTED in answer
        bench = json.loads(_run(program, environment, "bench", "--new-tokens", "16", "--repetitions", "1", "--json"))
        print(f"{bench['decode_tokens_per_second']:.0f} tokens/s")
        _open_window(program, environment, Path(home))
    print("It works.")
    return 0


def _run(program: Path, environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run([program, *arguments], env=environment, capture_output=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _open_window(program: Path, environment: dict[str, str], home: Path) -> None:
    window = program.with_name("bantam.exe") if sys.platform == "win32" else program
    (home / "settings.json").unlink(missing_ok=True)
    process = subprocess.Popen([window], env=environment)
    try:
        until = time.monotonic() + 120
        while not (home / "settings.json").exists():
            assert process.poll() is None, f"the window ended with {process.returncode}"
            assert time.monotonic() < until, "the window did not load its model"
            time.sleep(0.5)
        assert "starter" in json.loads((home / "settings.json").read_text("utf-8"))["last_model"]
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
