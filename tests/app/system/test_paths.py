import errno
import os
import stat
from pathlib import Path

import pytest

from app.errors import StorageError
from app.system.paths import Paths


def test_ensure_makes_the_folders_and_leaves_nothing_else(tmp_path):
    paths = Paths(tmp_path / "home").ensure()
    assert sorted(path.name for path in paths.home.iterdir()) == ["cache", "downloads", "logs", "models"]


@pytest.mark.parametrize(
    ("number", "way_out"), [(errno.ENOSPC, "Free some space"), (errno.EROFS, "Make the folder writable")]
)
def test_a_disk_that_takes_an_empty_file_and_nothing_more_is_told(tmp_path, monkeypatch, number, way_out):
    def write_bytes(path: Path, data: bytes) -> int:
        path.touch()
        if data:
            raise OSError(number, "No room")
        return 0

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(StorageError, match=r"cannot write to its data folder .*: No room\.") as failed:
        Paths(tmp_path).ensure()
    assert way_out in failed.value.hint
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


@pytest.mark.skipif(os.name != "posix", reason="other systems keep what is whose in other ways")
def test_no_other_user_reads_the_data_folder_also_one_of_an_earlier_version(tmp_path):
    paths = Paths(tmp_path / "home")
    for file in (paths.chats, paths.kv_cache / "one.kv", paths.window_log, paths.models / "owner" / "m.gguf"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
        file.chmod(0o644)
    paths.home.chmod(0o755)
    paths.ensure()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (paths.home, paths.chats, paths.kv_cache / "one.kv")] == [
        0o700, 0o600, 0o600,
    ]  # fmt: skip
    assert stat.S_IMODE((paths.models / "owner" / "m.gguf").stat().st_mode) == 0o644, "models are no secrets"
