"""The real child, except that its first instance dies as on a processor with broken kernels.

    dying_child.py STAGE SIGNAL FLAG

The first instance writes the loading marker with STAGE and dies by SIGNAL, really; it leaves the file FLAG, by which
the second instance knows that it is the second, and is the real child.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from app.engine.loading_marker import LoadingStage
from app.operation import Stage
from app.system.paths import default_paths
from workers import child


def main(stage: str, name: str, flag: Path) -> int:
    if flag.exists():
        return child.main()
    flag.touch()
    LoadingStage(default_paths().loading_marker, Path("model.gguf"), safe_mode=False).enter(Stage(stage))
    os.kill(os.getpid(), signal.Signals[name])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
