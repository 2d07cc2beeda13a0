"""A run that is broken off goes on at the last finished block, and makes the very same files."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import StorageError
from app.operation import Context
from app.prune import folder_writer
from app.prune.block_model import BlockModel
from app.prune.folder_writer import FolderWriter, work_folder
from app.prune.messages import Prune, PruneMethod
from app.prune.prune import prune
from tests.app.convert.small_models import make
from tests.app.prune.runs import files, request, run


class Killed(BaseException):
    """Like a kill: nothing catches it."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("llama", tmp_path_factory.mktemp("resume") / "source", num_hidden_layers=4)


def asked(source: Path, output: Path, method: PruneMethod = PruneMethod.WANDA) -> Prune:
    return request(output, method, source=source, chunks=2)


def blocks_read(monkeypatch: pytest.MonkeyPatch, killed_at: int | None = None) -> list[int]:
    """Which blocks are asked for from now on; the process dies where it wants the block `killed_at`."""
    seen: list[int] = []
    original = BlockModel.block

    def block(model: BlockModel, index: int) -> object:
        if index == killed_at:
            raise Killed
        seen.append(index)
        return original(model, index)

    monkeypatch.setattr(BlockModel, "block", block)
    return seen


@pytest.mark.parametrize("method", [PruneMethod.WANDA, PruneMethod.GLOBAL_MAGNITUDE])
def test_killed_at_any_block_it_goes_on_there(
    method: PruneMethod, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = files(run(asked(source, tmp_path / "whole", method)).path)
    for killed_at in range(4):
        output = tmp_path / f"out-{killed_at}"
        with monkeypatch.context() as patch:
            blocks_read(patch, killed_at)
            with pytest.raises(Killed):
                run(asked(source, output, method))
        assert not output.exists()
        with monkeypatch.context() as patch:
            seen = blocks_read(patch)
            run(asked(source, output, method))
        assert seen == list(range(killed_at, 4))
        assert files(output) == whole
        assert not work_folder(output).exists()


def test_killed_while_a_block_is_written(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = files(run(asked(source, tmp_path / "whole")).path)
    for step in ("_write_activations", "write_atomic"):
        output = tmp_path / step
        with monkeypatch.context() as patch:
            patch.setattr(folder_writer, step, dying(getattr(folder_writer, step), 3))
            with pytest.raises(Killed):
                run(asked(source, output))
        run(asked(source, output))
        assert files(output) == whole


def dying(function: Callable[..., None], call: int) -> Callable[..., None]:
    """The function, but the process dies in this call of it."""
    calls = itertools.count(1)

    def die(*arguments: object) -> None:
        if next(calls) == call:
            raise Killed
        function(*arguments)

    return die


def test_another_request_and_a_changed_source_start_anew(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changing = shutil.copytree(source, tmp_path / "changing")
    for change in ("amount", "source"):
        output = tmp_path / f"out-{change}"
        with monkeypatch.context() as patch:
            blocks_read(patch, 2)
            with pytest.raises(Killed):
                run(asked(changing, output))
        if change == "source":
            os.utime(changing / "model.safetensors", (1, 1))
        with monkeypatch.context() as patch:
            seen = blocks_read(patch)
            run(request(output, PruneMethod.WANDA, 0.25 if change == "amount" else 0.5, source=changing, chunks=2))
        assert seen == [0, 1, 2, 3]


def test_a_full_disk_is_a_sentence_and_the_work_is_kept(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = FolderWriter.add

    def full(writer: FolderWriter, *arguments: object) -> None:
        if writer.state.done == 2:
            raise OSError(28, "No space left on device")
        original(writer, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(FolderWriter, "add", full)
        with pytest.raises(StorageError, match="No space left"):
            run(asked(source, tmp_path / "out"))
    seen = blocks_read(monkeypatch)
    run(asked(source, tmp_path / "out"))
    assert seen == [2, 3]


@pytest.mark.wide
def test_a_real_kill_at_any_moment(source: Path, tmp_path: Path) -> None:
    whole = files(run(asked(source, tmp_path / "whole")).path)
    output, moments = tmp_path / "out", random.Random("prune")
    command = [sys.executable, "-m", "tests.app.prune.test_resume", str(source), str(output)]
    total = _child(command, None)
    shutil.rmtree(output)
    for _ in range(8):
        _child(command, moments.randint(0, total))
        if output.exists():
            assert files(output) == whole
            shutil.rmtree(output)
    run(asked(source, output))
    assert files(output) == whole
    assert not work_folder(output).exists()


def _child(command: list[str], events: int | None) -> int:
    """Run it; kill it after so many events. Returns how many there were."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert child.stdout is not None
    seen = 0
    while (events is None or seen < events) and child.stdout.readline():
        seen += 1
    if events is not None:
        child.kill()
    child.stdout.close()
    code = child.wait()
    assert events is not None or code == 0
    return seen


if __name__ == "__main__":
    prune(asked(Path(sys.argv[1]), Path(sys.argv[2])), Context(report=lambda _event: print("event", flush=True)))
