"""Every job that writes files, small, for a process that is killed: `python -m tests.workers.killable NAME HOME`.

It writes a line for each event of the job: who reads them knows about where it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from app import operations
from app.convert.messages import Convert
from app.measure.messages import MeasureQuality
from app.operation import Context, Request
from app.quantize.messages import CollectImportance, Quantize
from app.system.paths import Paths


def model_folder(home: Path) -> Path:
    """Where the original weights lie."""
    return home / "models" / "me" / "stdlib"


def text_of(home: Path) -> Path:
    """A short text, to calibrate and to measure with."""
    return home / "text.txt"


def output_of(home: Path) -> Path:
    """What the job makes, where it makes a model."""
    return model_folder(home) / "made.gguf"


def matrix_of(home: Path) -> Path:
    """What the job that collects an importance matrix makes."""
    return home / "matrix.imatrix.gguf"


def source_of(home: Path) -> Path:
    """A 16-bit file that is there before, for the jobs that need one."""
    return model_folder(home) / "stdlib-BF16.gguf"


JOBS: dict[str, Callable[[Path], Request]] = {
    "convert": lambda home: Convert(model_folder(home), output_of(home)),
    "quantize": lambda home: Quantize(
        model_folder(home), output_of(home), "Q4_K_M", calibrate=True, text=text_of(home), threads=1
    ),
    "best": lambda home: Quantize(
        model_folder(home), output_of(home), "Q4_0", best=True, text=text_of(home), threads=1
    ),
    "importance": lambda home: CollectImportance(source_of(home), matrix_of(home), text_of(home), 64, threads=1),
    "measure": lambda home: MeasureQuality(source_of(home), model_folder(home), text_of(home), 64, threads=1),
}


def main() -> None:
    name, home = sys.argv[1], Path(sys.argv[2])
    operations.run(JOBS[name](home), Context(Paths(home), lambda event: print(type(event).__name__, flush=True)))


if __name__ == "__main__":
    main()
