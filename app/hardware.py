"""What this computer has: memory, processor, cores. Limits of a control group (container, systemd) count as the truth.

Cheap enough to be asked once a second: the folders of the control group are looked up once.
"""

from __future__ import annotations

import functools
import math
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil


def total_memory_bytes() -> int:
    """Memory that can ever be used here: what is installed, or the control group's limit where that is less."""
    return min([int(psutil.virtual_memory().total), *(limit for limit, _ in _own_control_groups().memory())])


def available_memory_bytes() -> int:
    """Memory that can be used now without swapping: not "free", which counts the file cache as taken."""
    limits = (available for _, available in _own_control_groups().memory())
    return min([int(psutil.virtual_memory().available), *limits])


@functools.cache
def cpu_name() -> str:
    """The processor's name as its maker writes it; the architecture where the system does not say."""
    return _system_cpu_name() or platform.processor() or platform.machine() or "unknown processor"


def physical_cores() -> int:
    """Cores, not counting hyper-threads, of the whole machine; at least 1."""
    return psutil.cpu_count(logical=False) or psutil.cpu_count() or 1


def usable_cores() -> int:
    """Logical cores this process may really use: its affinity and the control group's quota respected; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    quota = _own_control_groups().cpu_quota_cores()
    # A quota of 1.5 cores keeps two threads busy for most of each period.
    return max(1, allowed if quota is None else min(allowed, math.ceil(quota)))


@dataclass(frozen=True, slots=True)
class ControlGroups:
    """The control groups a Linux process is in, versions 1 and 2: folders from its own group up to the root."""

    memory_folders: tuple[Path, ...]
    cpu_folders: tuple[Path, ...]

    @classmethod
    def of_process(cls, membership: Path, mount: Path) -> ControlGroups:
        """Read `membership` (/proc/self/cgroup), find the folders under `mount` (/sys/fs/cgroup). None found: no limits."""
        try:
            lines = membership.read_text().splitlines()
        except OSError:
            return cls((), ())
        memory: list[Path] = []
        cpu: list[Path] = []
        for line in lines:
            _, controllers, group = line.split(":", 2)
            names = controllers.split(",")
            if not controllers:
                unified = _up_to_root(mount, group)
                memory += unified
                cpu += unified
            if "memory" in names:
                memory += _up_to_root(mount / "memory", group)
            if "cpu" in names:
                cpu += _up_to_root(mount / ("cpu" if (mount / "cpu").exists() else controllers), group)
        return cls(
            tuple(f for f in memory if (f / "memory.max").exists() or (f / "memory.limit_in_bytes").exists()),
            tuple(f for f in cpu if (f / "cpu.max").exists() or (f / "cpu.cfs_quota_us").exists()),
        )

    def memory(self) -> list[tuple[int, int]]:
        """(limit, available) in bytes of every group with a limit. The group's file cache counts as available."""
        return [found for folder in self.memory_folders if (found := _memory_of(folder)) is not None]

    def cpu_quota_cores(self) -> float | None:
        """The tightest quota in cores, or None without one."""
        quotas = [quota for folder in self.cpu_folders if (quota := _cpu_quota_of(folder)) is not None]
        return min(quotas, default=None)


@functools.cache
def _own_control_groups() -> ControlGroups:
    if not sys.platform.startswith("linux"):
        return ControlGroups((), ())
    return ControlGroups.of_process(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))


def _up_to_root(mount: Path, group: str) -> list[Path]:
    own = mount / group.strip("/")
    return [own, *(parent for parent in own.parents if parent == mount or mount in parent.parents)]


_V1_UNLIMITED = 1 << 60
"""Version 1 writes "no limit" as the largest multiple of the page size."""


def _memory_of(folder: Path) -> tuple[int, int] | None:
    limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
    if limit is None or limit >= _V1_UNLIMITED:
        return None
    used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes") or 0
    return limit, max(0, limit - max(0, used - _file_cache_of(folder)))


def _file_cache_of(folder: Path) -> int:
    try:
        pairs = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        statistics = {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}
    except (OSError, ValueError):
        return 0
    prefix = "total_" if "total_inactive_file" in statistics else ""
    return statistics.get(f"{prefix}inactive_file", 0) + statistics.get(f"{prefix}active_file", 0)


def _cpu_quota_of(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    quota_us, period_us = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota_us / period_us if quota_us and period_us and quota_us > 0 else None


def _number(path: Path) -> int | None:
    """The number in a one-number file; None where there is none ("max") or no such file."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _system_cpu_name() -> str:
    try:
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
        if sys.platform == "win32":
            return _windows_cpu_name()
        return _name_in_cpuinfo(Path("/proc/cpuinfo").read_text())
    except (OSError, subprocess.SubprocessError):
        return ""


def _windows_cpu_name() -> str:
    import winreg

    key = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as processor:  # type: ignore[attr-defined,unused-ignore]
        return str(winreg.QueryValueEx(processor, "ProcessorNameString")[0]).strip()  # type: ignore[attr-defined,unused-ignore]


def _name_in_cpuinfo(text: str) -> str:
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "cpu model"):
            return value.strip()
    return ""
