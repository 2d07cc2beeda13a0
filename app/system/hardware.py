"""What this computer has: memory, processor, cores. Limits of a control group (container, systemd) count as the truth.

Cheap enough to be asked once a second: the folders of the control group are looked up once.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

_CPUINFO = Path("/proc/cpuinfo")
_INSTRUCTION_SETS = ("avx", "amx", "fma", "f16c", "bmi2", "asimd", "sve", "i8mm")


def total_memory_bytes() -> int:
    """Memory that can ever be used here: what is installed, or the control group's limit where that is less."""
    return min([int(psutil.virtual_memory().total), *(limit for limit, _ in _own_control_groups().memory())])


def available_memory_bytes() -> int:
    """Memory that can be used now without swapping: not "free", which counts the file cache as taken."""
    limits = (available for _, available in _own_control_groups().memory())
    return min([int(psutil.virtual_memory().available), *limits])


def has_network() -> bool:
    """Whether some interface but the loopback is up and has an address of its own. Sends nothing."""
    up = {name for name, facts in psutil.net_if_stats().items() if facts.isup}
    addresses = (one.address for name, found in psutil.net_if_addrs().items() if name in up for one in found)
    return any(_is_routable(address) for address in addresses)


def _is_routable(address: str) -> bool:
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False  # a hardware address
    return not (known.is_loopback or known.is_link_local or known.is_unspecified)


@functools.cache
def cpu_name() -> str:
    """The processor's name as its maker writes it; the architecture where the system does not say."""
    return _system_cpu_name() or platform.processor() or platform.machine() or "unknown processor"


@functools.cache
def instruction_sets() -> tuple[str, ...]:
    """Those that decide which kernels run, as Linux names them, sorted. Empty where the system does not say."""
    flags = (_cpuinfo().get("flags") or _cpuinfo().get("Features") or "").split()
    return tuple(sorted(flag for flag in flags if flag.startswith(_INSTRUCTION_SETS)))


def physical_cores() -> int:
    """Cores without counting hyper-threads, at most the usable ones; at least 1."""
    return max(1, min(psutil.cpu_count(logical=False) or usable_cores(), usable_cores()))


def usable_cores() -> int:
    """Logical cores this process may use: its affinity and the control group's quota respected; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = _own_control_groups().cpu_quota_cores()
    # Rounded down: a group that runs over its quota is stopped for the rest of the period, in the middle of a barrier.
    return max(1, allowed if quota is None else min(allowed, int(quota)))


@dataclass(frozen=True, slots=True)
class ControlGroups:
    """The control groups a Linux process is in, versions 1 and 2: folders from its own group up to the root."""

    memory_folders: tuple[Path, ...]
    cpu_folders: tuple[Path, ...]

    @classmethod
    def of_process(cls, membership: Path, mount: Path) -> ControlGroups:
        """Read `membership` (/proc/self/cgroup), find the folders under `mount` (/sys/fs/cgroup), if any."""
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


@functools.cache
def _cpuinfo() -> dict[str, str]:
    """The first processor of /proc/cpuinfo, by key. Empty on other systems."""
    try:
        first = _CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0]
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _system_cpu_name() -> str:
    if sys.platform == "darwin":
        return _mac_cpu_name()
    if sys.platform == "win32":
        return _windows_cpu_name()
    return next((name for key in ("model name", "Hardware", "cpu model") if (name := _cpuinfo().get(key))), "")


def _mac_cpu_name() -> str:
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _windows_cpu_name() -> str:
    if sys.platform != "win32":
        return ""
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"HARDWARE\DESCRIPTION\System\CentralProcessor\0") as key:
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
    except OSError:
        return ""


def peak_resident_bytes() -> int:
    """The most memory this process has held at once."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform == "linux":
        # Not ru_maxrss: Linux hands a parent's on to each process that it starts.
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
