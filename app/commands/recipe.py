"""`bantam recipe RECIPE SOURCE`: the steps of a recipe, one after the other, or with --plan what they would take."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from app import operations
from app.commands.console import StderrReport, as_dict, print_json
from app.commands.isolation import finishing_in_order, isolated
from app.errors import Cancelled, RecipeError
from app.measure.messages import Quality
from app.operation import Context, Result
from app.prune.messages import Pruned
from app.quantize.messages import Quantized
from app.recipe.messages import PlanRecipe, RecipePlanned
from app.recipe.recipe import Recipe, as_toml, builtin_recipes, read_recipe
from app.recipe.words import notice_words, rounded_cuts
from app.recipe.work import RecipeWork, place_for, work_of
from app.recover.messages import Recovered
from app.settings import load_settings
from app.system.paths import Paths, default_paths
from app.units import size_text

_SOURCE_HINT = "A GGUF file cannot be pruned; give the folder with config.json and its safetensors."


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    names = "; ".join(f"“{recipe.name}”" for recipe in builtin_recipes())
    add(
        "recipe", metavar="RECIPE", help=f"a TOML file, or the name of one that comes along: {names}".replace("%", "%%")
    )
    add("source", type=Path, metavar="SOURCE", help="a Hugging Face folder")
    add("--plan", action="store_true", help="only say what it would take and make")
    parser.set_defaults(run=isolated(_run))


def _run(parsed: argparse.Namespace) -> int:
    paths = default_paths().ensure()
    recipe, source = _recipe(parsed.recipe), parsed.source.expanduser().resolve()
    if not source.is_dir():
        what = "a file" if source.exists() else "not there"
        raise RecipeError(
            f"“{source.name}” is {what}: a recipe starts from a folder of original weights.", _SOURCE_HINT
        )
    if parsed.plan:
        return _plan(recipe, source, paths, parsed.json)
    place = place_for(source, paths)
    work = work_of(recipe, source, place)
    place.mkdir(parents=True, exist_ok=True)
    for words in rounded_cuts(recipe, source):
        print(words, file=sys.stderr)
    if work.notice:
        print(notice_words(work.notice, work.then, "This command"), file=sys.stderr)
    return _carry_out(work, paths, parsed.json)


def _recipe(name: str) -> Recipe:
    """A file where there is one, else the one of that name."""
    path = Path(name).expanduser()
    known = {recipe.name.casefold(): recipe for recipe in builtin_recipes()}
    if path.exists():
        return read_recipe(path)
    if name.casefold() not in known:
        names = "”, “".join(recipe.name for recipe in known.values())
        raise RecipeError(
            f"There is no file “{path.name}”, and no recipe of that name.", f"These come along: “{names}”."
        )
    return known[name.casefold()]


def _plan(recipe: Recipe, source: Path, paths: Paths, as_json: bool) -> int:
    from app.recipe.plan import plan_recipe

    request = PlanRecipe(source, as_toml(recipe), load_settings(paths.settings).context_tokens)
    plan = plan_recipe(request, Context(paths=paths))
    if as_json:
        print_json(as_dict(plan))
    else:
        print(_plan_text(plan))
    return 1 if plan.problem else 0


def _carry_out(work: RecipeWork, paths: Paths, as_json: bool) -> int:
    report, results = StderrReport(), []
    with finishing_in_order() as stop:
        try:
            for request in work.requests:
                result = operations.run(request, Context(paths, report, stop))
                report.end()
                results.append(result)
                if not as_json and (line := _line(result)):
                    print(line, flush=True)
        except (Cancelled, KeyboardInterrupt):
            report.end()
            print("Stopped. Run it again to go on.", file=sys.stderr)
            return 130
    if as_json:
        done = [_as_printed(one) for one in results if one is not None]
        print_json({"model": work.model, "files": work.files, "results": done})
    else:
        print(work.model)
    return 0


def _as_printed(result: Any) -> dict[str, Any]:
    """The result as JSON, with the kind of result as `type`; a file's own type is `gguf_type` here."""
    values = as_dict(result)
    own = {"gguf_type": values.pop("type")} if "type" in values else {}
    return {"type": type(result).__name__} | own | values


def _line(result: Result) -> str:
    """What a request gave, for the user."""
    if isinstance(result, Pruned):
        return f"{result.recipe}: {result.parameters_before:,} → {result.parameters_after:,} weights"
    if isinstance(result, Recovered) and result.tokens:
        return f"Recovered: divergence from the original {result.kl_before:.4f} → {result.kl_after:.4f}"
    if isinstance(result, Quantized):
        return f"{result.path} ({size_text(result.size_bytes)})"
    if isinstance(result, Quality):
        return _quality_line(result)
    return ""


def _quality_line(result: Quality) -> str:
    parts = [f"perplexity {result.perplexity.value:.2f}"]
    if result.reference_perplexity is not None:
        parts[0] += f" (the original {result.reference_perplexity.value:.2f})"
    if result.kl_mean is not None:
        parts.append(f"divergence {result.kl_mean.value:.4f}")
    if result.speed is not None:
        parts.append(f"{result.speed.ms_per_token_median:.1f} ms a token")
    return f"{result.path.name}: {', '.join(parts)}"


def _plan_text(plan: RecipePlanned) -> str:
    lines = []
    for number, step in enumerate(plan.steps, 1):
        lines.append(
            f"{number}. {step.changes}\n   About {_time(step.seconds)}, {size_text(step.peak_memory_bytes)} of memory, "
            f"{size_text(step.disk_bytes)} on the disk, of which {size_text(step.kept_bytes)} stay."
        )
    for result in plan.results:
        speed = f", {result.ms_per_token:.1f} ms a token" if result.ms_per_token is not None else ""
        lines.append(
            f"{result.type}: {size_text(result.size_bytes)}, {size_text(result.resident_bytes)} of memory{speed}"
        )
    if plan.steps:
        lines.append(
            f"On the way up to {size_text(plan.disk_bytes)} on the disk; {size_text(plan.free_disk_bytes)} are free."
        )
    if plan.notice:
        lines.append(notice_words(plan.notice, plan.then, "Without --plan this command"))
    if plan.problem:
        lines.append(f"It cannot be done: {plan.problem}")
    return "\n".join(lines)


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
