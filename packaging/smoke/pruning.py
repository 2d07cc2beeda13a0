"""Pruning and recovery: without the second package a sentence, with it a recipe from its first step to its file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from smoke.root import HOME, PROJECT, QUESTION, Root, check, environment, run, told

SOURCE = "Gewichte ä"
RECIPE = """\
name = "Smaller"

[[step]]
prune = "ffn"
amount = 0.25
width_multiple = 32

[[step]]
recover = "lora"
budget_tokens = 4_000
text = "bundled"

[[step]]
quantize = ["Q8_0"]
calibrate = false
"""
BUILT_IN = "Smaller feed-forward, recovered, Q4"
PRUNE = ("--method", "ffn", "--amount", "0.25", "--width-multiple", "32")


def bring_weights(root: Root) -> str:
    """Original weights and a recipe in the user's home; returns the folder of the weights, as the user names it."""
    folder = root.home / SOURCE
    if not folder.exists():
        shutil.copytree(PROJECT / "tests/data/stdlib-3m", folder)
        (root.home / "smaller.toml").write_text(RECIPE, "utf-8")
        root.own(root.home)
    return f"{HOME}/{SOURCE}"


def test_without_torch(root: Root) -> None:
    """One sentence and the way to get it; what needs no PyTorch works."""
    source = bring_weights(root)
    told(root.bantam("prune", source, *PRUNE), "bantam prune without PyTorch", "bantam-torch")
    told(root.bantam("recover", source, "--teacher", source), "bantam recover without PyTorch", "bantam-torch")
    told(root.bantam("recipe", BUILT_IN, source), "bantam recipe without PyTorch", "bantam-torch")
    done = root.bantam("recipe", BUILT_IN, source, "--plan")
    promised = "Q4_K_M" in done.stdout and "bantam-torch" in done.stdout
    check(done.returncode == 1 and promised, "bantam recipe --plan promises without PyTorch, and says what is missing")


def test_recipe(root: Root, package: Path) -> None:
    """With the .deb of PyTorch: prune, recover (which needs peft), quantize, measure; then the file answers."""
    shutil.copy2(package, root.folder / "tmp" / package.name)
    root.as_root("apt-get", "install", "-y", "-q", "--no-install-recommends", "--reinstall", f"/tmp/{package.name}")
    source = bring_weights(root)
    done = root.bantam("recipe", f"{HOME}/smaller.toml", source, "--json")
    check(
        done.returncode == 0, f"a recipe with bantam-torch: {done.stderr.strip()[-800:] if done.returncode else 'runs'}"
    )
    made = json.loads(done.stdout)
    wanted = ("parameters_after", "kl_after", "source_bytes", "perplexity")
    steps = [key for key, result in zip(wanted, made["results"], strict=True) if key in result]
    check(len(steps) == len(wanted), "it has pruned, recovered, quantized and measured")
    check("Traceback" not in done.stderr and "Warning" not in done.stderr, "it says nothing that is not for people")
    answer = root.bantam("chat", made["files"][0], "--prompt", QUESTION, "--temperature", "0")
    check(answer.returncode == 0 and bool(answer.stdout.strip()), "the recipe's file answers")
    root.as_root("dpkg", "--remove", "bantam-torch")
    check(not (root.folder / "usr/lib/bantam/torch-packages").exists(), "removing bantam-torch leaves nothing of it")


def test_archive_of_torch(root: Root, archive: Path, program: str) -> None:
    """The archive, unpacked beside the archive's program as its README says."""
    unpacked = root.folder / program.lstrip("/")
    run("tar", "-xzf", str(archive), "-C", str(unpacked.parent))
    root.own(unpacked)
    source = bring_weights(root)
    done = run(*root.as_user(f"{program}/bantam", "prune", source, *PRUNE), env=environment())
    check("less)" in done.stdout, f"bantam prune with PyTorch's archive: {done.stdout.strip().splitlines()[-1]}")
