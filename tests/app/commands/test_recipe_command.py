import json
import shutil

from app.prune.messages import PruneMethod
from app.recipe.recipe import PruneStep, QuantizeStep, Recipe, builtin_recipes, write_recipe
from app.system.paths import STARTER_MODEL
from tests.app.commands.test_commands import bantam
from tests.real_models import STDLIB_3M

RECIPE = Recipe("Quick", (PruneStep(PruneMethod.FFN, 0.3), QuantizeStep(("Q4_0",), calibrate=False)))


def test_a_plan_makes_nothing(tmp_path):
    source = shutil.copytree(STDLIB_3M, tmp_path / "me" / "stdlib")
    done = bantam("recipe", builtin_recipes()[0].name, str(source), "--plan", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["problem"] == ""
    assert len(plan["steps"]) == 3
    assert plan["results"][0]["type"] == "Q4_K_M"
    assert [path.name for path in source.parent.iterdir()] == ["stdlib"]


def test_a_plan_in_words_and_what_cannot_be_done(tmp_path):
    source = shutil.copytree(STDLIB_3M, tmp_path / "me" / "stdlib")
    path = tmp_path / "quick.toml"
    write_recipe(path, RECIPE)
    said = bantam("recipe", str(path), str(source), "--plan").stdout
    assert "1. The feed-forward part of each layer narrows from 768 to 512" in said
    assert "Q4_0: " in said
    path.write_text(path.read_text().replace("amount = 0.3", "amount = 0.3\nwidth_multiple = 4096"))
    done = bantam("recipe", str(path), str(source), "--plan")
    assert done.returncode == 1
    assert "It cannot be done: " in done.stdout


def test_what_is_wrong_is_one_sentence_and_exit_code_1(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text('name = "wrong"\n[[step]]\nprune = "ffn"\namount = 7\n')
    for arguments in ((str(path), str(STDLIB_3M)), (str(tmp_path / "none.toml"), str(STDLIB_3M))):
        done = bantam("recipe", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert "Traceback" not in done.stderr
    assert "These come along: “" in bantam("recipe", "rubbish", str(STDLIB_3M)).stderr
    named = builtin_recipes()[0].name
    assert "is a file: a recipe starts from" in bantam("recipe", named, str(STARTER_MODEL)).stderr
    done = bantam("make-draft", str(STDLIB_3M), "--target", str(tmp_path / "none.gguf"))
    assert done.returncode == 1
    assert "“none.gguf” is not there." in done.stderr


def test_what_is_there_already_is_said_in_the_words_of_a_terminal(tmp_path):
    source = shutil.copytree(STDLIB_3M, tmp_path / "me" / "stdlib")
    path = tmp_path / "quick.toml"
    write_recipe(path, Recipe("Quick", (QuantizeStep(("Q4_0",), calibrate=False),)))
    made = bantam("recipe", str(path), str(source), "--json")
    assert made.returncode == 0, made.stderr
    assert "there already" not in made.stderr
    results = json.loads(made.stdout)["results"]
    assert [one["type"] for one in results] == ["Quantized", "Quality"]
    assert results[0]["gguf_type"] == "Q4_0"
    plan = bantam("recipe", str(path), str(source), "--plan").stdout
    assert "is there already, made by these very steps. Without --plan this command measures it again." in plan
    assert not [line for line in plan.splitlines() if "“Run”" in line or ": Run " in line]
