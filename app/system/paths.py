"""Where Bantam keeps things. `BANTAM_HOME` moves all of it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from app.errors import StorageError
from app.system.files import remove_left_over

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
_PROBE_BYTES = 16_384
"""A full disk takes an empty file, and refuses the lock and the first pages of a database."""

STARTER_MODEL = RESOURCES / "starter" / "stdlib-21m-Q8_0.gguf"


@dataclass(frozen=True, slots=True)
class Paths:
    """The data folder and what lies in it. Folders are made by `ensure`, never by reading a property."""

    home: Path

    @property
    def models(self) -> Path:
        """Model files, as `<owner>/<name>/<file>.gguf`."""
        return self.home / "models"

    @property
    def chats(self) -> Path:
        """The SQLite database of conversations."""
        return self.home / "chats.sqlite3"

    @property
    def kv_cache(self) -> Path:
        """Saved KV caches, one file a conversation and model."""
        return self.home / "cache" / "kv"

    @property
    def settings(self) -> Path:
        """The user's settings."""
        return self.home / "settings.json"

    @property
    def machine(self) -> Path:
        """What was measured and learned on this machine: thread counts, safe mode."""
        return self.home / "machine.json"

    @property
    def speed(self) -> Path:
        """How fast this machine decodes, and how right the predictions were."""
        return self.home / "speed.json"

    @property
    def effort(self) -> Path:
        """How fast this machine pruned and trained the last time."""
        return self.home / "effort.json"

    @property
    def begun_recipe(self) -> Path:
        """Exists while the window runs a recipe, so that the next start can offer to go on with it."""
        return self.home / "recipe.json"

    @property
    def drafts(self) -> Path:
        """The draft chosen for each model, and what each was found to gain."""
        return self.home / "drafts.json"

    @property
    def ledger(self) -> Path:
        """What was measured of each model: quality, speed, memory."""
        return self.home / "ledger.json"

    @property
    def window_state(self) -> Path:
        """Where the window was and what it showed."""
        return self.home / "window.json"

    def reference_copy(self, folder: Path) -> Path:
        """The GGUF form of a safetensors folder that a measurement compares with; it is there while that runs."""
        digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        return self.references / f"{digest}.gguf"

    @property
    def references(self) -> Path:
        """Copies of folders as GGUF, while something is measured against them."""
        return self.home / "cache" / "references"

    @property
    def loading_marker(self) -> Path:
        """Exists while a model is being loaded and first decoded, so that a death there is recognised."""
        return self.home / "loading.json"

    @property
    def folder_mark(self) -> Path:
        """Which version of Bantam last used this folder."""
        return self.home / "folder.json"

    @property
    def running_marker(self) -> Path:
        """Exists while the window is open, so that an end that was not in order is recognised at the next start."""
        return self.home / "running.json"

    @property
    def downloads(self) -> Path:
        """One file for each download that has not ended, so that it goes on after a restart."""
        return self.home / "downloads"

    @property
    def headers(self) -> Path:
        """Sparse stubs of remote models: their headers, for the exact fit."""
        return self.home / "cache" / "headers"

    @property
    def logs(self) -> Path:
        """What the window had to report, and what it died of."""
        return self.home / "logs"

    @property
    def window_log(self) -> Path:
        """What nobody caught, of this run and earlier ones."""
        return self.logs / "window.log"

    @property
    def crash_log(self) -> Path:
        """Where the window's threads stood when it died of native code; empty while it has not."""
        return self.logs / "crash.log"

    @property
    def debug_log(self) -> Path:
        """What `--debug` writes."""
        return self.logs / "debug.log"

    def ensure(self) -> Paths:
        """Make the folders. Raises StorageError with the way out where the disk does not allow it."""
        try:
            for folder in (self.home, self.models, self.kv_cache, self.headers, self.downloads, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            self._keep_private()
            remove_left_over(self.home, self.kv_cache, self.headers, self.downloads, copies=self.references)
            probe = self.home / f".write-test-{os.getpid()}"
            try:
                probe.write_bytes(bytes(_PROBE_BYTES))
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise StorageError(
                f"Bantam cannot write to its data folder {self.home}: {error.strerror or error}.",
                "Free some space on its disk, or set BANTAM_HOME to a folder on another one."
                if full
                else "Make the folder writable, or set BANTAM_HOME to one that is.",
            ) from error
        return self

    def _keep_private(self) -> None:
        """Let no other user of this computer read chats, settings and what the models cached of them.

        The data folder is 0700 and the files in it, but for the models, 0600: made so here for folders of earlier
        versions too, and left where the system does not allow it or has other means (Windows).
        """
        if os.name != "posix":
            return
        with contextlib.suppress(OSError):
            self.home.chmod(0o700)
        for folder in (self.home, self.kv_cache, self.downloads, self.logs):
            for file in folder.iterdir():
                if file.is_file() and not file.is_symlink() and file.stat().st_mode & 0o077:
                    with contextlib.suppress(OSError):
                        file.chmod(0o600)


def default_paths() -> Paths:
    """The data folder of this user: `BANTAM_HOME` where it is set, the system's usual place otherwise."""
    home = os.environ.get("BANTAM_HOME")
    return Paths(Path(home).expanduser() if home else Path(platformdirs.user_data_dir("Bantam", appauthor=False)))


# Whether `--debug` was given: in the environment, where every process that is started from here finds it.


_DEBUG = "BANTAM_DEBUG"


def is_debugging() -> bool:
    """Whether this process writes the debug log."""
    return bool(os.environ.get(_DEBUG))


def ask_for_debug_log() -> None:
    """Let this process and its children write the debug log from now on. Says on stderr, once, where that is."""
    if not is_debugging():
        os.environ[_DEBUG] = "1"
        print(f"What happens is written to {default_paths().debug_log}, without your texts.", file=sys.stderr)
