"""The licences of what Bantam is made of."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app import licences


def test_with_sources_every_installed_package_is_in_it() -> None:
    titles = [title for title, _ in licences.package_parts("pytest")]
    assert any(title.startswith("pluggy ") for title in titles)
    assert not any(title.startswith("pytest ") for title in titles)


def test_the_text_of_a_package_is_found() -> None:
    text = dict(licences.package_parts("pytest"))
    (pluggy,) = [body for title, body in text.items() if title.startswith("pluggy ")]
    assert "Permission is hereby granted" in pluggy


def test_what_lies_in_the_resources_is_in_it() -> None:
    text = licences.document(licences.own_parts())
    assert "PYTHON SOFTWARE FOUNDATION LICENSE" in text.upper()
    assert "Lucide" in text


def test_the_same_text_is_printed_once() -> None:
    text = licences.document([("one", "All rights reserved."), ("two", "All rights reserved.\n"), ("three", "None.")])
    assert text.count("All rights reserved.") == 1
    assert "The same text as of one." in text
    assert "three" in text


def test_a_bundle_shows_the_file_that_it_carries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bantam"))
    (tmp_path / licences.FILE).write_text("Licences of “all”", "utf-8")
    assert licences.licences_text() == "Licences of “all”"


def test_what_is_left_out_does_not_lead_on() -> None:
    assert "iniconfig" in licences.needed(["pytest"])
    assert "iniconfig" not in licences.needed(["pytest"], left_out=["iniconfig"])
