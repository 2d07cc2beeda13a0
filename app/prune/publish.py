"""The end of a pruning: checksums, where it came from, its name."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable

from app.errors import Cancelled, StorageError
from app.library.manifest import FileOrigin, Manifest, write_manifest
from app.library.verify import sha256_of
from app.operation import Progress, Report, ShouldStop, Stage
from app.prune.folder_writer import FolderWriter
from app.prune.messages import Prune


def publish(request: Prune, writer: FolderWriter, recipe: str, report: Report, stop: ShouldStop) -> int:
    """Hash the shards, note where they come from, and rename the folder to `request.output`. Returns their bytes."""
    files = {name: (writer.folder / name).stat().st_size for name in writer.state.shards}
    on_bytes = _progress(sum(files.values()), report, stop)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    parent = os.path.relpath(request.source.resolve(), request.output.resolve()).replace(os.sep, "/")
    manifest = Manifest()
    for name, size in files.items():
        sha256 = sha256_of(writer.folder / name, on_bytes)
        origin = FileOrigin(sha256, size, date=now, parent=parent, recipe=recipe, altered=True)
        manifest = manifest.with_file(name, origin)
    write_manifest(writer.folder, manifest)
    if request.output.exists():
        raise StorageError(f"“{request.output.name}” is there already.", "Delete it, or choose another name.")
    writer.publish()
    return sum(files.values())


def _progress(total: int, report: Report, stop: ShouldStop) -> Callable[[int], None]:
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        if stop():
            raise Cancelled
        done += count
        report(Progress(Stage.VERIFY, done * 1000 // max(total, 1), 1000))

    return on_bytes
