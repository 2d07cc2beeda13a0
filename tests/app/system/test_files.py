import pytest

from app.system.files import read_json


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_whatever_is_not_json_is_a_value_error(tmp_path, content):
    file = tmp_path / "file.json"
    file.write_bytes(content)
    with pytest.raises(ValueError):  # noqa: PT011  (json has several messages)
        read_json(file)


def test_json_is_read(tmp_path):
    file = tmp_path / "file.json"
    file.write_text('{"a": [1, "é"]}', encoding="utf-8")
    assert read_json(file) == {"a": [1, "é"]}
