"""Licence texts of packages and resources, and the document made of them."""

from __future__ import annotations

import re

from bundle import environment
from bundle import licence_texts as licences
from bundle.contents import TORCH_ROOTS


def test_with_sources_every_installed_package_is_in_it() -> None:
    found = licences.needed(["pytest"])
    assert {"pytest", "pluggy"} <= set(found)


def test_the_text_of_a_package_is_found() -> None:
    title, text = licences.package_part(licences.needed(["pytest"])["pluggy"])
    assert title.startswith("pluggy ")
    assert "MIT" in title
    assert "Permission is hereby granted" in text


def test_what_lies_in_the_resources_is_in_it() -> None:
    text = licences.document(licences.own_parts())
    assert "PYTHON SOFTWARE FOUNDATION LICENSE" in text.upper()
    assert "Lucide" in text


def test_the_same_text_is_printed_once() -> None:
    text = licences.document([("one", "All rights reserved."), ("two", "All rights reserved.\n"), ("three", "None.")])
    assert text.count("All rights reserved.") == 1
    assert "The same text as of one." in text
    assert "three" in text


def test_what_is_left_out_does_not_lead_on() -> None:
    assert "iniconfig" in licences.needed(["pytest"])
    assert "iniconfig" not in licences.needed(["pytest"], left_out=["iniconfig"])


def test_what_is_left_out_is_not_in_it_even_where_it_is_asked_for() -> None:
    assert set(licences.needed(["pytest", "pluggy"], left_out=["pytest"])) == {"pluggy"}


def test_modules_of_packages_without_a_part_are_named() -> None:
    modules = {"pluggy", "_pytest", "json"}
    assert licences.unlisted(modules, {"pluggy"}) == ["pytest"]
    assert licences.unlisted(modules, {"pluggy", "pytest"}) == []


def test_the_notices_name_whatever_is_asked_for() -> None:
    notices = (licences.RESOURCES / "NOTICES.md").read_text("utf-8").lower()
    asked_for = [re.split(r"[^\w-]", line, maxsplit=1)[0].lower() for line in environment.dependencies()]
    assert [name for name in (*asked_for, *TORCH_ROOTS) if name not in notices] == []
