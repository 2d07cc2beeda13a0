import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import COMMANDS
from app.engine import machine_record
from app.system.paths import STARTER_MODEL, default_paths

CRASHING = Path(__file__).parent / "crashing_child"
WILD = ("--temperature", "2", "--top-p", "1", "--min-p", "0", "--top-k", "0")
PROMPT = ("chat", "--prompt", "What does os.path.join do?", "--temperature", "0", "--threads", "1")


def bantam(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        env=os.environ | environment,
    )


def test_a_very_small_model_is_sampled_precisely_unless_asked_otherwise():
    usual = bantam("chat", "--prompt", "hi", "--threads", "1", "--seed", "3", "--json", "--max-tokens", "30")
    precise = ("--temperature", "0.2", "--top-p", "0.9", "--min-p", "0.1")
    same = bantam("chat", "--prompt", "hi", "--threads", "1", "--seed", "3", "--json", "--max-tokens", "30", *precise)
    other = bantam("chat", "--prompt", "hi", "--threads", "1", "--seed", "3", "--json", "--max-tokens", "30", *WILD)
    answers = [json.loads(done.stdout)["answer"] for done in (usual, same, other)]
    assert answers[0] == answers[1] != answers[2]


def test_one_question():
    done = bantam(*PROMPT)
    assert done.returncode == 0
    assert "path" in done.stdout
    assert "Loading the model" in done.stderr


def test_json_is_one_object_and_nothing_else():
    done = bantam(*PROMPT, "--json", "--max-tokens", "5")
    answer = json.loads(done.stdout)
    assert answer["statistics"]["stop_reason"] == "max tokens"
    assert answer["statistics"]["new_tokens"] == 5
    assert answer["model"]["quantization"] == "Q8_0"
    assert answer["answer"]
    assert round(answer["model"]["load_ms"], 3) == answer["model"]["load_ms"]


def test_the_question_from_standard_input():
    assert "path" in bantam("chat", "--temperature", "0", "--threads", "1", stdin="What does os.path.join do?").stdout


def test_bench():
    done = bantam(
        "bench", "--json", "--threads", "1", "--new-tokens", "8", "--prompt-tokens", "64", "--repetitions", "1"
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["new_tokens"] == 8
    assert 64 <= result["prompt_tokens"] < 128
    assert result["decode_tokens_per_second"] > 0
    assert result["peak_resident_bytes"] > result["need"]["weights_bytes"]


def test_bench_as_a_table_has_units():
    done = bantam("bench", "--threads", "1", "--new-tokens", "4", "--prompt-tokens", "16", "--repetitions", "1")
    assert "tokens/s over 4 tokens" in done.stdout


def test_models_lists_the_starter():
    assert "Q8_0" in bantam("models").stdout
    (entry,) = json.loads(bantam("models", "--json").stdout)["models"]
    assert entry["header"]["parameters"] == 20_978_176
    assert "21 M parameters" in bantam("models").stdout


def test_models_says_why_one_cannot_be_used():
    folder = default_paths().ensure().models
    (folder / "cut.gguf").write_bytes(STARTER_MODEL.read_bytes()[:9_000_000])
    assert "cut: The file is cut off" in bantam("models").stdout


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"just text", "text"), (b"GGUF\x03\0\0\0", "cut off"), (None, "not there|no file|not found|missing")],
)
def test_a_file_that_is_no_model_is_one_sentence_and_exit_code_1(tmp_path, content, words):
    file = tmp_path / "bad.gguf"
    if content is not None:
        file.write_bytes(content)
    done = bantam("bench", str(file), "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert any(word in done.stderr for word in words.split("|")), done.stderr


def test_a_wrong_command_line_is_exit_code_2():
    assert bantam("chat", "--no-such-thing").returncode == 2
    assert bantam("no-such-command").returncode == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--context", "5"),
        ("--context", "many"),
        ("--threads", "-4"),
        ("--temperature", "-3"),
        ("--temperature", "nan"),
        ("--top-p", "7"),
        ("--seed", "1.5"),
    ],
)
def test_a_value_out_of_bounds_is_one_sentence_that_names_them(option, value):
    done = bantam("chat", option, value, "--prompt", "x")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert option in line
    assert f"“{value}” is not a" in line
    assert " from " in line


def test_an_empty_question_is_refused_before_a_model_is_loaded():
    for done in (bantam("chat", "--prompt", " "), bantam("chat", "--json", stdin="\n")):
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("There is no question to answer.")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_has_a_help(command):
    actions: list[argparse.Action] = []

    class Formatter(argparse.HelpFormatter):
        def add_argument(self, action: argparse.Action) -> None:
            actions.append(action)

    parser = argparse.ArgumentParser(formatter_class=Formatter)
    importlib.import_module(f"app.commands.{command.replace('-', '_')}").configure(parser)
    parser.format_help()
    assert actions
    assert [action.dest for action in actions if not action.help] == []


def test_help_names_the_commands():
    done = bantam("--help")
    assert done.returncode == 0
    assert "bench" in done.stdout


def test_a_data_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    done = bantam(*PROMPT, BANTAM_HOME=str(blocked / "home"))
    assert done.returncode == 1
    assert "cannot write to its data folder" in done.stderr


def crashing(tmp_path: Path, times: str) -> dict[str, str]:
    return {"PYTHONPATH": str(CRASHING), "CRASH_IN": str(tmp_path / "deaths"), "CRASH_TIMES": times}


@pytest.mark.skipif(os.name != "posix", reason="dies of a signal")
def test_a_death_in_the_first_decode_leads_to_safe_mode_once_and_for_all(tmp_path):
    done = bantam(*PROMPT, **crashing(tmp_path, "once"))
    assert done.returncode == 0, done.stderr
    assert "path" in done.stdout
    assert done.stderr.count("safe mode") == 1
    assert machine_record.needs_safe_mode(default_paths().machine)
    again = bantam(*PROMPT, **crashing(tmp_path, "once"))
    assert again.returncode == 0
    assert "safe mode" not in again.stderr
    assert (tmp_path / "deaths").read_text() == "x"


@pytest.mark.skipif(os.name != "posix", reason="dies of a signal")
def test_a_death_that_safe_mode_does_not_cure_is_a_sentence(tmp_path):
    done = bantam(*PROMPT, **crashing(tmp_path, "always"))
    assert done.returncode == 1
    assert "SIGSEGV" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not default_paths().loading_marker.exists()
    assert (tmp_path / "deaths").read_text() == "xx"


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_ctrl_c_stops_the_answer_and_is_exit_code_130():
    command = [
        sys.executable,
        "-m",
        "app",
        "chat",
        "--prompt",
        "hi",
        "--temperature",
        "3",
        "--seed",
        "1",
        "--top-k",
        "0",
    ]
    running = subprocess.Popen(
        [*command, "--top-p", "1", "--min-p", "0", "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert running.stdout is not None
    running.stdout.read(1)
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == 130
    assert b"Traceback" not in errors
