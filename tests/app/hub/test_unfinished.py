from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.hub.messages import DownloadPlan
from app.hub.part import Expected, Part, remove_part
from app.hub.plan import plan_as_dict
from app.hub.repository import RemoteFile
from app.hub.unfinished import Unfinished, discard, forget, orphans, remember, unfinished_downloads
from app.system.paths import Paths


@pytest.fixture
def paths(bantam_home: Path) -> Paths:
    return Paths(bantam_home).ensure()


def plan_for(paths: Paths, name: str = "m.gguf") -> DownloadPlan:
    file = RemoteFile(name, 100, "a" * 64)
    return DownloadPlan("https://huggingface.co", "a/b", "c" * 40, "b, Q4", (file,), paths.models / "a" / "b")


def leave_part(plan: DownloadPlan) -> Path:
    target = plan.folder / plan.files[0].path
    with Part(target, plan_as_dict(plan)) as part:
        part.append(b"12345")
        part.expect(Expected("a" * 64, 100, is_sha256=True))
    return target


def test_a_download_is_remembered_until_it_is_forgotten(paths: Paths) -> None:
    plan = plan_for(paths)
    remember(paths, Unfinished(plan, paused=True))
    remember(paths, Unfinished(plan_for(paths, "n.gguf")))
    assert set(unfinished_downloads(paths)) == {Unfinished(plan, paused=True), Unfinished(plan_for(paths, "n.gguf"))}
    forget(paths, plan)
    assert len(unfinished_downloads(paths)) == 1


@pytest.mark.parametrize("content", ["", "[]", "{", '{"plan": {}, "paused": 1}', '{"plan": null, "paused": false}'])
def test_a_damaged_record_is_no_download(paths: Paths, content: str) -> None:
    (paths.downloads / "x.json").write_text(content)
    assert unfinished_downloads(paths) == ()


def test_a_record_that_leaves_its_folder_is_none(paths: Paths) -> None:
    remember(paths, Unfinished(plan_for(paths, "../../evil.gguf")))
    assert unfinished_downloads(paths) == ()


def test_a_part_without_a_record_is_an_orphan_with_its_plan(paths: Paths) -> None:
    plan = plan_for(paths)
    leave_part(plan)
    (found,) = orphans(paths)
    assert (found.plan, found.size_bytes) == (plan, 5)
    assert orphans(paths, [plan]) == ()
    remember(paths, Unfinished(plan))
    assert orphans(paths) == ()


def test_the_plan_of_an_orphan_follows_its_folder(paths: Paths) -> None:
    leave_part(plan_for(paths))
    shutil.move(paths.models / "a", paths.models / "moved")
    (found,) = orphans(paths)
    assert found.plan is not None
    assert found.plan.folder == paths.models / "moved" / "b"


def test_a_part_without_a_sidecar_has_no_plan(paths: Paths) -> None:
    leave_part(plan_for(paths)).with_name("m.gguf.part.json").unlink()
    assert [orphan.plan for orphan in orphans(paths)] == [None]


def test_the_part_of_a_running_job_is_nobody_elses(paths: Paths) -> None:
    """Whatever program the job runs in: the window, a second one, a terminal."""
    plan = plan_for(paths)
    target = leave_part(plan)
    with Part(target, plan_as_dict(plan)):
        assert orphans(paths) == ()
        remove_part(target)
        assert target.with_name("m.gguf.part").exists()
    assert len(orphans(paths)) == 1
    remove_part(target)
    assert not target.with_name("m.gguf.part").exists()


def test_the_work_of_a_job_in_a_hidden_folder_is_no_download(paths: Paths) -> None:
    work = paths.models / "a" / ".m-Q4_K_M.gguf.work"
    work.mkdir(parents=True)
    (work / "source.gguf.part").touch()
    (paths.models / "a" / ".manifest.json.12-1.part").touch()
    assert orphans(paths) == ()


def test_discarding_removes_what_is_not_whole(paths: Paths) -> None:
    plan = plan_for(paths)
    remember(paths, Unfinished(plan))
    leave_part(plan)
    discard(paths, plan)
    assert not plan.folder.exists()
    assert unfinished_downloads(paths) == ()
