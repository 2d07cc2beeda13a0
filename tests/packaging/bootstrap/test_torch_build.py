"""Which build of torch pip would take: judged on the true reports of the index and of a folder with the CPU build."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bootstrap.torch_build import cuda_requirements


def report(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((Path(__file__).parent / f"{name}.json").read_text("utf-8"))
    return loaded


def test_the_index_build_on_linux_brings_cuda() -> None:
    found = cuda_requirements(report("torch-cuda"))
    assert "nvidia-cudnn-cu13" in found
    assert {"cuda-toolkit", "triton"} <= set(found)


@pytest.mark.parametrize("system", ["Windows", "Darwin"])
def test_its_markers_do_not_hold_elsewhere(system: str) -> None:
    other = report("torch-cuda")
    other["environment"]["platform_system"] = system
    assert cuda_requirements(other) == []


def test_the_cpu_build_brings_none() -> None:
    assert cuda_requirements(report("torch-cpu")) == []


def test_a_version_marker_is_compared_by_numbers() -> None:
    only = report("torch-cuda")
    only["install"][0]["metadata"]["requires_dist"] = ['triton==3.7.1; python_version < "3.9"']
    assert cuda_requirements(only) == []  # 3.11 is newer than 3.9, though "3.11" < "3.9" as text
    only["install"][0]["metadata"]["requires_dist"] = ['triton==3.7.1; python_version < "3.15"']
    assert cuda_requirements(only) == ["triton"]


def test_a_marker_that_is_not_understood_leads_to_the_cpu_build() -> None:
    strange = report("torch-cpu")
    strange["install"][0]["metadata"]["requires_dist"] = ['nvidia-cublas; "x86" in platform_machine']
    assert cuda_requirements(strange) == ["nvidia-cublas"]


def test_requirements_of_other_packages_do_not_count() -> None:
    other = report("torch-cuda")
    other["install"][0]["metadata"]["name"] = "something"
    assert cuda_requirements(other) == []
