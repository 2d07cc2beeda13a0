"""What leaves the computer in a report: where it failed, and nothing of the user's."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from app.chat.store import ChatStore
from app.diagnostics.last_run import BadEnd, End, last_crash_log
from app.diagnostics.report import crash_report, diagnostics, safe_lines, short_source, without_private
from app.engine.machine_record import remember_safe_mode
from app.settings import Settings, WindowState, save_settings, save_window_state
from app.system.paths import RESOURCES, Paths, default_paths

TOKEN = "hf_plantedTokenThatMustNotLeave"
CHAT = "my secret plan for the garden"
USER = "friederike"
FILE = "divorce-papers.gguf"
SECRETS = (TOKEN, "plantedToken", CHAT, "garden", USER, FILE, "divorce", "Geheim")


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A data folder in which every place holds something of the user's."""
    home = tmp_path / USER
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("USER", USER)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", CHAT)
    monkeypatch.setenv("BANTAM_HOME", str(home / "Geheim" / "data"))
    paths = default_paths().ensure()
    folder = str(home / "Geheim")
    settings = Settings(
        context_tokens=8192, model_folders=(folder,), model_files=(f"{folder}/{FILE}",),
        hub_endpoint=f"https://{USER}:{TOKEN}@mirror.example",
    )  # fmt: skip
    save_settings(paths.settings, settings)
    save_window_state(paths.window_state, WindowState(last_model=f"{folder}/{FILE}", last_source=folder))
    with ChatStore(paths.chats) as store:
        store.add_user_message(store.create(CHAT).id, None, CHAT)
    remember_safe_mode(paths.machine, f"{folder}/{FILE}: {CHAT}")
    write_logs(paths)
    return paths


def write_logs(paths: Paths) -> None:
    log = logging.FileHandler(paths.window_log, encoding="utf-8")
    log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    try:
        raise ValueError(f'{CHAT}\n  File "/home/{USER}/{FILE}", line 3, in {USER}\nError: {CHAT}\n{TOKEN}')
    except ValueError as error:
        record = logging.LogRecord(
            "ui.errors", logging.ERROR, __file__, 1, CHAT, None, (type(error), error, error.__traceback__)
        )
    log.emit(record)
    log.close()
    frames = f'  File "{RESOURCES.parent}/ui/program.py", line 7 in main\n  File "/home/{USER}/{FILE}", line 3 in f\n'
    text = f"Fatal Python error: Segmentation fault\n\nCurrent thread 0x00007f (most recent call first):\n{frames}"
    last_crash_log(paths).write_text(text)


def test_nothing_of_the_users_is_in_the_diagnostics(paths: Paths) -> None:
    text = diagnostics(paths, {"Model": "Qwen3 1.7B"})
    assert [secret for secret in SECRETS if secret in text] == []
    assert "Bantam: " in text
    assert "Model: Qwen3 1.7B" in text
    assert "context_tokens=8192" in text
    assert "model_folders (1)" in text
    assert "Safe mode: yes" in text
    assert "ERROR ui.errors" in text
    assert "ValueError" in text


def test_nothing_of_the_users_is_in_the_report(paths: Paths) -> None:
    text = crash_report(paths, BadEnd(End.CRASHED, "0.1.0", "it touched memory that is not its own"))
    assert [secret for secret in SECRETS if secret in text] == []
    assert "Fatal Python error: Segmentation fault" in text
    assert "ui/program.py, line 7, in main" in text
    assert "(elsewhere), line 3, in f" in text


def test_what_is_planted_would_be_seen(paths: Paths) -> None:
    """The logs and files do hold it: the tests above are not blind."""
    everything = "".join(file.read_text() for file in (paths.window_log, last_crash_log(paths), paths.settings))
    assert all(secret in everything for secret in SECRETS)


def test_the_usual_folder_is_told_from_the_home_on(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Data folder: moved with BANTAM_HOME" in diagnostics(paths)
    monkeypatch.delenv("BANTAM_HOME")
    assert "Data folder: ~/" in diagnostics(default_paths())


def test_the_last_look(paths: Paths) -> None:
    text = without_private(f"{Path.home()}/x, {USER.upper()} and {USER}s, {TOKEN}, Bearer abcdefghijk")
    assert text == f"~/x, (user) and {USER}s, (token), (token)"


@pytest.mark.parametrize(
    ("path", "short"),
    [
        (f"{RESOURCES.parent}/app/cli.py", "app/cli.py"),
        ("/x/.venv/lib/python3.11/site-packages/keyring/core.py", "keyring/core.py"),
        ("/usr/lib/python3.11/json/decoder.py", "python/json/decoder.py"),
        ("C:\\Users\\me\\Lib\\site-packages\\a\\b.py", "a/b.py"),
        ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>"),
        ("/home/me/plans.py", "(elsewhere)"),
        ("<string>", "(elsewhere)"),
    ],
)
def test_a_source_is_told_by_its_place_in_the_program(path: str, short: str) -> None:
    assert short_source(path) == short


def test_a_traceback_keeps_its_frames_and_types() -> None:
    try:
        try:
            json.loads("{")
        except ValueError as error:
            raise KeyError(CHAT) from error
    except KeyError:
        import traceback

        lines = list(safe_lines(traceback.format_exc().splitlines()))
    assert lines[0] == "Traceback (most recent call last):"
    assert "json.decoder.JSONDecodeError" in lines
    assert lines[-1] == "KeyError"
    assert not any(CHAT in line for line in lines)
