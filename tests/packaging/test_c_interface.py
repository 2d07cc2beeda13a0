"""app/engine/llama.py alone opens contexts and fills batches of llama.cpp; all others use its Context and Batch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

APP = Path(__file__).resolve().parents[2] / "app"
OWN = re.compile(r"\bC\.llama_(?:init_from_model|free|batch_\w+|decode|memory_\w+|get_logits\w*|set_abort_callback)\b")


def users(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*.py")):
        if OWN.search(file.read_text("utf-8")):
            yield file.relative_to(folder).as_posix()


def test_one_file_has_the_contexts() -> None:
    assert list(users(APP)) == ["engine/llama.py"]


def test_another_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "reader.py").write_text("code = C.llama_decode(self.handle, batch)\n")
    assert list(users(tmp_path)) == ["reader.py"]
