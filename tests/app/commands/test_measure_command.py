import json

from app.engine import machine_record
from app.measure.ledger import figures_of
from app.system.paths import STARTER_MODEL, default_paths
from tests.app.commands.test_commands import bantam
from tests.real_models import EVAL_CODE

STARTER = ("measure", str(STARTER_MODEL), "--threads", "1")
SHORT = (*STARTER, "--text", str(EVAL_CODE), "--context", "256", "--chunks", "2")


def test_json_keeps_the_digits_of_small_figures():
    machine_record.remember_safe_mode(default_paths().ensure().machine, "a test")
    done = bantam(*SHORT, "--reference", str(STARTER_MODEL), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["scored_tokens"] == 2 * 127
    assert found["perplexity"]["error"] > 0
    assert found["kl_mean"]["value"] == 0
    assert "Reading the text with this model" in done.stderr


def test_as_a_table_with_the_bundled_text():
    machine_record.remember_safe_mode(default_paths().ensure().machine, "a test")
    said = bantam(*STARTER, "--chunks", "1", "--reference", str(STARTER_MODEL)).stdout
    assert "bundled " in said
    assert "255 tokens scored in windows of 512" in said
    assert "100.00 % ± 0.00 % of the tokens" in said


def test_speed_alone():
    machine_record.remember_safe_mode(default_paths().ensure().machine, "a test")
    said = bantam(*STARTER, "--only-speed").stdout
    assert [line.split("  ")[0] for line in said.splitlines()] == ["A token takes", "First token after", "Peak memory"]


def test_what_cannot_be_measured_is_one_sentence_and_exit_code_1(tmp_path):
    missing = str(tmp_path / "none.gguf")
    for arguments in ((*SHORT, "--reference", missing), ("measure", missing), (*STARTER, "--text", missing)):
        done = bantam(*arguments, "--json")
        assert (done.returncode, done.stdout) == (1, "")
        assert "Traceback" not in done.stderr
        assert "none.gguf" in done.stderr


def test_what_was_measured_stands_in_the_ledger():
    paths = default_paths().ensure()
    machine_record.remember_safe_mode(paths.machine, "a test")
    assert figures_of(paths.ledger, [STARTER_MODEL]) == {}
    assert bantam(*SHORT, "--speed").returncode == 0
    figures = figures_of(paths.ledger, [STARTER_MODEL])[STARTER_MODEL]
    assert [one.conditions.context_tokens for one in figures.measurements] == [256]
    assert figures.speed is not None
    assert bantam(*STARTER, "--only-speed").returncode == 0
    again = figures_of(paths.ledger, [STARTER_MODEL])[STARTER_MODEL]
    assert again.measurements == figures.measurements
    assert again.speed != figures.speed
