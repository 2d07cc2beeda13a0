"""Downloads that have not ended: a record of each, and parts that no record knows (a moved folder, an older crash)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.errors import HubError, StorageError
from app.hub.messages import DownloadPlan
from app.hub.part import SUFFIX, remove_part
from app.hub.plan import plan_as_dict, plan_from_dict
from app.system.files import is_taken, read_json, write_atomic
from app.system.paths import Paths


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A download to go on with. A paused one waits for the user."""

    plan: DownloadPlan
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Orphan:
    """A part without a record. Without a plan, nobody knows where the rest is."""

    target: Path
    size_bytes: int
    plan: DownloadPlan | None


def remember(paths: Paths, unfinished: Unfinished) -> None:
    """Write the record, so that the download goes on after a restart. Raises StorageError."""
    data = {"plan": plan_as_dict(unfinished.plan), "paused": unfinished.paused}
    try:
        paths.downloads.mkdir(parents=True, exist_ok=True)
        write_atomic(_record(paths, unfinished.plan), json.dumps(data).encode())
    except OSError as error:
        raise StorageError(f"The download could not be noted: {error.strerror or error}.") from error


def forget(paths: Paths, plan: DownloadPlan) -> None:
    """The download has ended, or is not wanted any more."""
    with contextlib.suppress(OSError):
        _record(paths, plan).unlink()


def discard(paths: Paths, plan: DownloadPlan) -> None:
    """Forget the download and remove what has arrived of files that are not whole. Whole files stay."""
    forget(paths, plan)
    for file in plan.files:
        remove_part(plan.folder / file.path)
    with contextlib.suppress(OSError):
        plan.folder.rmdir()  # only if nothing is in it


def unfinished_downloads(paths: Paths) -> tuple[Unfinished, ...]:
    """All records that can be read, oldest first."""
    found = []
    with contextlib.suppress(OSError):
        for record in sorted(paths.downloads.glob("*.json"), key=lambda path: path.stat().st_mtime):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, HubError):
                data = read_json(record)
                found.append(Unfinished(plan_from_dict(data["plan"]), bool(data["paused"])))
    return tuple(found)


def orphans(paths: Paths, known: Iterable[DownloadPlan] = ()) -> tuple[Orphan, ...]:
    """Parts below the models folder that belong to no known download."""
    taken = {plan.folder / file.path for plan in known for file in plan.files}
    taken |= {one.plan.folder / file.path for one in unfinished_downloads(paths) for file in one.plan.files}
    found: dict[Path, Orphan] = {}
    for part in sorted(_parts(paths.models)):
        target = part.with_name(part.name.removesuffix(SUFFIX))
        if target in taken or is_taken(part):  # of a job that runs in another program
            continue
        with contextlib.suppress(OSError):
            found[target] = Orphan(target, part.stat().st_size, _plan_of(target))
    return tuple(found.values())


def _parts(folder: Path) -> list[Path]:
    """Every part that a person may know the name of; hidden files and folders are the work of jobs."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if name.endswith(SUFFIX) and not name.startswith(".")]
    return found


def _plan_of(target: Path) -> DownloadPlan | None:
    """The plan in a part's sidecar, for the folder it lies in now: the whole tree may have been moved."""
    try:
        data = read_json(target.with_name(target.name + SUFFIX + ".json"))["plan"]
        plan = plan_from_dict(data)
        file = next(f for f in plan.files if target.as_posix().endswith("/" + f.path))
        return plan_from_dict(data | {"folder": str(target)[: -len(file.path) - 1]})
    except (OSError, ValueError, KeyError, TypeError, StopIteration, HubError):
        return None


def _record(paths: Paths, plan: DownloadPlan) -> Path:
    name = hashlib.sha256(f"{plan.folder}\n{plan.files[0].path}".encode()).hexdigest()[:20]
    return paths.downloads / f"{name}.json"
