"""How the folder `home` beside this file was made: by the program at commit 1ce12f7, the one before its layout changed.

Run in a checkout of that commit: `python make.py OUTPUT`. It writes what that program writes, by its own functions.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

CONTENT = bytes((7 * i + i // 251) % 256 for i in range(400_000))
"""The file whose download was cut off."""
ARRIVED = 150_000


def main(home: Path) -> None:
    from app.chat.unsent import save_unsent
    from app.compress.begun_recipe import BegunRecipe, remember
    from app.compress.effort import Work, remember_pace
    from app.compress.recipe import builtin_recipes, write_recipe
    from app.draft_book import choose_draft, remember_ratio
    from app.events import Estimate, Quality
    from app.paths import Paths
    from app.requests import DownloadPlan

    from app.chat.store import ChatStore
    from app.hub import unfinished
    from app.hub.part import Expected, Part
    from app.hub.plan import plan_as_dict
    from app.hub.repository import RemoteFile
    from app.library.manifest import FileOrigin, Manifest, write_manifest
    from app.measure.ledger import record
    from app.settings import Settings, Theme, save_settings

    paths = Paths(home).ensure()
    save_settings(
        paths.settings,
        replace(
            Settings(),
            theme=Theme.DARK,
            context_tokens=2048,
            model_files=("/models/mine.gguf",),
            offered_files=("/ollama/a",),
            last_model="/models/mine.gguf",
            last_source="/models/source",
            show_performance_panel=False,
            greeted=True,
        ),
    )
    with ChatStore(paths.chats) as store:
        chat = store.create("Be brief.")
        first = store.add_user_message(chat.id, None, "What is a list?")
        answer = store.begin_answer(chat.id, first.id, "stdlib 21M")
        store.finish_answer(answer.id, "A list is a sequence.")
        store.add_user_message(chat.id, answer.id, "And a tuple?")
        store.add_user_message(chat.id, answer.id, "And a set? Ünïcödé 🐓")  # a branch
        store.rename(chat.id, "Sequences")
        save_unsent(store, {"": "half a thought", chat.id: "and then"})
    choose_draft(paths.drafts, Path("/models/big.gguf"), Path("/models/small.gguf"))
    remember_ratio(paths.drafts, Path("/models/big.gguf"), Path("/models/small.gguf"), 1.5)
    remember_pace(paths.effort, Work.PRUNE, 1e12, 1000.0)
    folder = paths.models / "me" / "stdlib"
    folder.mkdir(parents=True)
    rows = {
        "down.gguf": FileOrigin(
            "a" * 64, 10, "me/stdlib", "c" * 40, "https://huggingface.co", "2026-11-01T00:00:00+00:00"
        ),
        "q4.gguf": FileOrigin(
            "b" * 64, 11, date="2026-11-02T00:00:00+00:00", parent=".", recipe="Q4_K_M, importance matrix"
        ),
        "cut.gguf": FileOrigin(
            "d" * 64,
            12,
            date="2026-11-03T00:00:00+00:00",
            parent="../source",
            recipe="FFN 768 to 512, refitted; Q4_K_M",
            altered=True,
            steps="e" * 64,
        ),
    }
    write_manifest(folder, Manifest(rows))
    (folder / "q4.gguf").write_bytes(b"GGUF0000000")
    record(
        paths.ledger,
        Quality(
            folder / "q4.gguf",
            None,
            "bundled 1",
            512,
            4080,
            Estimate(14.2, 0.3),
            Estimate(14.1, 0.3),
            Estimate(0.0014, 0.0001),
            0.02,
            Estimate(0.984, 0.003),
        ),
    )
    recipe = builtin_recipes()[0]
    write_recipe(home / "recipe.toml", recipe)
    remember(paths, BegunRecipe(folder, recipe))
    file = RemoteFile("model.gguf", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    target = paths.models / "you" / "half"
    plan = DownloadPlan("http://hub.invalid", "you/half", "c" * 40, "half, Q4_0", (file,), target)
    unfinished.remember(paths, unfinished.Unfinished(plan, paused=True))
    with Part(target / file.path, plan_as_dict(plan)) as part:
        part.append(CONTENT[:ARRIVED])
        part.expect(Expected(file.sha256, file.size_bytes, is_sha256=True))
    (target / "model.gguf.part").unlink()  # its bytes are CONTENT[:ARRIVED]
    shutil.rmtree(paths.logs, ignore_errors=True)
    for path in home.rglob("*.json"):  # the folder will be elsewhere
        path.write_text(path.read_text("utf-8").replace(json.dumps(str(home))[1:-1], "@HOME@"), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
