"""A draft made of the model itself: what was promised, what it gains, and how long it took to make.

    python -m tests.benchmarks.made_draft [--tokens 80000] [--layers 0] [--method full] [--text teacher]

The model is the starter model (21 M, 6 layers, 512 wide, Q8_0), the draft Q8_0, unless --source names a folder.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from app.commands.console import StderrReport, as_dict
from app.drafts.make_draft import make_draft
from app.drafts.messages import MakeDraft
from app.drafts.options import draft_options
from app.operation import Context, StopFlag
from app.quantize.messages import Quantize
from app.quantize.quantize import quantize
from app.recover.messages import RecoverMethod
from app.system.paths import Paths, default_paths
from tests.real_models import starter_folder


def main() -> None:
    asked = _arguments()
    paths, stop = default_paths().ensure(), StopFlag()
    with tempfile.TemporaryDirectory(prefix="bantam-made-draft-") as place:
        source = asked.source or starter_folder(Path(place) / "stdlib-21m")
        target = Path(place) / "target-Q8_0.gguf"
        quantize(Quantize(source, target, "Q8_0"), Context(stop=stop))
        request = MakeDraft(
            source,
            target,
            Path(place) / "draft-Q8_0.gguf",
            layers=asked.layers,
            budget_tokens=asked.tokens,
            text=asked.text,
            method=RecoverMethod(asked.method),
        )
        for option in draft_options(request, paths, stop):
            print(
                f"{option.layers} layers: {option.cost:.2f} of the model's time for a token, "
                f"{option.speed_up:.2f} times faster at {option.acceptance:.0%}",
                flush=True,
            )
        _make(request, paths, stop)


def _make(request: MakeDraft, paths: Paths, stop: StopFlag) -> None:
    begun, report = time.monotonic(), StderrReport()
    result = make_draft(request, Context(paths=paths, report=report, stop=stop))
    report.end()
    print(json.dumps(as_dict(result), default=str))
    print(
        f"kept {result.layers} layers, {request.budget_tokens:,} tokens: divergence {result.kl_before:.3f} → "
        f"{result.kl_after:.3f}, {result.acceptance:.0%} accepted, predicted {result.predicted_speed_up:.2f} x, "
        f"measured {result.speed_up:.2f} x, {(time.monotonic() - begun) / 60:.1f} minutes"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=80_000)
    parser.add_argument("--layers", type=int, default=0)
    parser.add_argument("--method", default="full")
    parser.add_argument("--text", default="teacher")
    parser.add_argument("--source", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
