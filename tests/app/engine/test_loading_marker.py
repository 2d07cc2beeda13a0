import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.engine.loading_marker import loading, read_marker
from app.operation import Stage

MODEL = Path("/models/x.gguf")


def test_gone_after_success(tmp_path):
    marker = tmp_path / "loading.json"
    with loading(marker, MODEL, safe_mode=False) as stage:
        assert read_marker(marker).stage is Stage.LOAD
        stage.enter(Stage.WARM_UP)
        found = read_marker(marker)
        assert (found.pid, found.path, found.stage, found.safe_mode) == (os.getpid(), MODEL, Stage.WARM_UP, False)
    assert read_marker(marker) is None


def test_gone_after_an_exception(tmp_path):
    marker = tmp_path / "loading.json"
    with pytest.raises(ValueError, match="broken"), loading(marker, MODEL, safe_mode=False):
        raise ValueError("broken")
    assert not marker.exists()


def test_stays_after_a_death(tmp_path):
    marker = tmp_path / "loading.json"
    code = (
        "import ctypes, pathlib, app.engine.loading_marker as m, app.operation as e\n"
        f"with m.loading(pathlib.Path({str(marker)!r}), pathlib.Path('/m.gguf'), False) as stage:\n"
        "    stage.enter(e.Stage.WARM_UP)\n"
        "    import os; os.kill(os.getpid(), 11) if os.name == 'posix' else os._exit(1)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode != 0
    assert read_marker(marker).stage is Stage.WARM_UP


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"pid": 1}', b'{"pid":1,"path":"x","stage":"?","safe_mode":false}']
)
def test_a_damaged_marker_counts_as_none(tmp_path, content):
    marker = tmp_path / "loading.json"
    marker.write_bytes(content)
    assert read_marker(marker) is None


def test_a_load_goes_on_where_no_marker_can_be_written(tmp_path):
    with loading(tmp_path / "is not there" / "loading.json", MODEL, safe_mode=False) as stage:
        stage.enter(Stage.WARM_UP)
