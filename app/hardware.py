"""What this computer is: its processor and how many of its cores this process may use."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

import psutil

_CPUINFO = Path("/proc/cpuinfo")
_CGROUP_CPU = (Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))
_INSTRUCTION_SETS = ("avx", "amx", "fma", "f16c", "bmi2", "asimd", "sve", "i8mm")


@cache
def cpu_name() -> str:
    """The processor as its maker calls it; the architecture alone where the system does not say."""
    if sys.platform == "win32":
        return _windows_cpu_name() or platform.processor()
    names = ("model name", "Hardware", "cpu model")
    return next(
        (value for name in names if (value := _cpuinfo().get(name))), platform.processor() or platform.machine()
    )


@cache
def instruction_sets() -> tuple[str, ...]:
    """Those that decide which kernels run, as Linux names them, sorted. Empty where the system does not say."""
    flags = (_cpuinfo().get("flags") or _cpuinfo().get("Features") or "").split()
    return tuple(sorted(flag for flag in flags if flag.startswith(_INSTRUCTION_SETS)))


def usable_cores() -> int:
    """Logical cores this process may run on: affinity and the container's quota counted. At least 1."""
    count = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = _cgroup_quota_cores()
    return max(1, count if quota is None else min(count, int(quota)))


def physical_cores() -> int:
    """Cores without counting hyper-threads, at most the usable ones. At least 1."""
    return max(1, min(psutil.cpu_count(logical=False) or usable_cores(), usable_cores()))


@cache
def _cpuinfo() -> dict[str, str]:
    """The first processor of /proc/cpuinfo, by key. Empty on other systems."""
    try:
        first = _CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0]
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _linux_cpu_name() -> str:
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


def _cgroup_quota_cores() -> float | None:
    """The container's CPU quota in cores, or None without one."""
    unified, legacy = _CGROUP_CPU
    try:
        quota, period = unified.read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = legacy.read_text(), legacy.with_name("cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None
