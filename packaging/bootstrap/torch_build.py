"""Keep torch small: on some systems the package index's own build of torch brings gigabytes of CUDA along.

pip is asked what it would take; where that is a CUDA build, PyTorch's own index of CPU builds is used instead.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Mapping

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
GPU_NAMES = ("nvidia-", "cuda-", "triton", "pytorch-triton")

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: bool(left == right),
    "!=": lambda left, right: bool(left != right),
    "<": lambda left, right: bool(left < right),
    "<=": lambda left, right: bool(left <= right),
    ">": lambda left, right: bool(left > right),
    ">=": lambda left, right: bool(left >= right),
}


def cuda_requirements(report: Mapping[str, Any], package: str = "torch") -> list[str]:
    """Names of GPU packages that `package` would bring, from the report of `pip install --dry-run --report`."""
    environment = report.get("environment", {})
    found = []
    for item in report.get("install", []):
        metadata = item.get("metadata", {})
        if metadata.get("name") == package:
            found += [_name(line) for line in metadata.get("requires_dist", []) if _applies(line, environment)]
    return [name for name in found if name.startswith(GPU_NAMES)]


def _name(requirement: str) -> str:
    match = re.match(r"\s*([A-Za-z0-9._-]+)", requirement)
    return match.group(1).lower().replace("_", "-") if match else ""


def _applies(requirement: str, environment: Mapping[str, str]) -> bool:
    """Whether the marker holds here. What is not understood counts as holding, and leads to the CPU build."""
    marker = requirement.partition(";")[2].strip()
    alternatives = marker.replace("(", "").replace(")", "").split(" or ")
    return any(all(_clause(part, environment) for part in one.split(" and ")) for one in alternatives)


def _clause(clause: str, environment: Mapping[str, str]) -> bool:
    match = re.fullmatch(r"\s*(\w+)\s*(==|!=|<=|>=|<|>)\s*['\"]([^'\"]*)['\"]\s*", clause)
    if not match:
        return True
    name, operator, value = match.groups()
    if name == "extra":
        return False
    if name not in environment:
        return True
    here: Any = environment[name]
    there: Any = value
    if "version" in name:
        here, there = _version(here), _version(value)
    return _COMPARE[operator](here, there)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))
