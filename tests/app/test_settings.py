import json

import pytest

from app.settings import Settings, load_settings, save_settings, set_aside_damaged


@pytest.fixture
def file(tmp_path):
    return tmp_path / "settings.json"


def test_what_is_saved_is_read(file):
    settings = Settings(target_ms_per_token=90, model_files=("/a.gguf",))
    save_settings(file, settings)
    assert load_settings(file) == settings


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "[" * 100_000, "\0\1", "3"])
def test_a_damaged_file_is_all_defaults_and_is_kept(file, content):
    file.write_text(content)
    assert load_settings(file) == Settings()
    assert str(file) in set_aside_damaged(file)
    assert (file.with_name("settings.json.damaged")).read_text() == content
    assert not file.exists()


def test_a_sound_file_and_a_missing_one_are_left_alone(file):
    assert set_aside_damaged(file) == ""
    save_settings(file, Settings(target_ms_per_token=90))
    assert set_aside_damaged(file) == ""
    assert load_settings(file).target_ms_per_token == 90


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target_ms_per_token", "1e400"),
        ("decode_threads", "NaN"),
        ("kv_disk_limit_gb", "NaN"),
        ("kv_disk_limit_gb", "Infinity"),
        ("context_tokens", '"many"'),
        ("context_tokens", "[1]"),
        ("context_tokens", "3"),
        ("theme", "7"),
        ("show_performance_panel", '"no"'),
        ("last_model", '{"a": 1}'),
        ("last_model", '"a\\u0000b"'),
        ("model_files", '"x"'),
    ],
)
def test_an_unusable_value_falls_back_alone(file, name, value):
    file.write_text(f'{{"{name}": {value}, "prefill_threads": 3}}')
    assert load_settings(file) == Settings(prefill_threads=3)


def test_what_cannot_be_a_path_is_left_out(file):
    file.write_text(json.dumps({"model_folders": ["/models", None, 3, "/a\0b"]}))
    assert load_settings(file).model_folders == ("/models",)
