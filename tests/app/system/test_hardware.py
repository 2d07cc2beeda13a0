"""Hardware: limits of control groups are respected, in both versions and on every level."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from app.system import hardware
from app.system.hardware import ControlGroups

GB = 10**9


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


@pytest.fixture
def groups(tmp_path: Path):
    def build(membership: str) -> ControlGroups:
        (tmp_path / "membership").write_text(membership)
        return ControlGroups.of_process(tmp_path / "membership", tmp_path / "mount")

    return build


def test_version_2_counts_the_file_cache_as_available(tmp_path: Path, groups) -> None:
    write(
        tmp_path / "mount/user/app",
        memory__max=str(4 * GB),
        memory__current=str(3 * GB),
        memory__stat=f"anon {GB}\ninactive_file {GB}\nactive_file {GB // 2}",
    )
    assert groups("0::/user/app\n").memory() == [(4 * GB, 4 * GB - 3 * GB + GB + GB // 2)]


def test_version_2_takes_the_limits_of_the_parents_too(tmp_path: Path, groups) -> None:
    write(tmp_path / "mount/user/app", memory__max="max", memory__current="5", cpu__max="max 100000")
    write(tmp_path / "mount/user", memory__max=str(2 * GB), memory__current=str(GB), cpu__max="150000 100000")
    found = groups("0::/user/app\n")
    assert found.memory() == [(2 * GB, GB)]
    assert found.cpu_quota_cores() == 1.5


def test_version_1_with_hierarchical_statistics(tmp_path: Path, groups) -> None:
    write(
        tmp_path / "mount/memory/docker/abc",
        memory__limit_in_bytes=str(GB),
        memory__usage_in_bytes=str(GB),
        memory__stat="inactive_file 5\ntotal_inactive_file 600\ntotal_active_file 300",
    )
    write(tmp_path / "mount/cpu,cpuacct/docker", cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    found = groups("4:memory:/docker/abc\n2:cpu,cpuacct:/docker\n")
    assert found.memory() == [(GB, 900)]
    assert found.cpu_quota_cores() == 0.5


def test_version_1_without_a_limit_has_none(tmp_path: Path, groups) -> None:
    write(tmp_path / "mount/memory", memory__limit_in_bytes="9223372036854771712", memory__usage_in_bytes="7")
    write(tmp_path / "mount/cpu", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    found = groups("4:memory:/process/elsewhere\n1:cpu:/\n0::/\n")
    assert found.memory_folders == (tmp_path / "mount/memory",)
    assert found.memory() == []
    assert found.cpu_quota_cores() is None


def test_no_control_groups_is_no_limit(tmp_path: Path) -> None:
    assert ControlGroups.of_process(tmp_path / "no", tmp_path / "no") == ControlGroups((), ())


def test_a_limit_rules_over_what_is_installed(tmp_path: Path, groups, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mount", memory__max="1000000", memory__current="400000", cpu__max="100000 100000")
    limited = groups("0::/\n")
    monkeypatch.setattr(hardware, "_own_control_groups", lambda: limited)
    assert hardware.total_memory_bytes() == 1000000
    assert hardware.available_memory_bytes() == 600000
    assert hardware.usable_cores() == 1


@pytest.mark.parametrize(("cpu_max", "cores"), [("200000 100000", 2), ("150000 100000", 1), ("50000 100000", 1)])
def test_a_quota_is_rounded_down_to_whole_cores(
    tmp_path: Path, groups, monkeypatch: pytest.MonkeyPatch, cpu_max: str, cores: int
) -> None:
    write(tmp_path / "mount", cpu__max=cpu_max)
    limited = groups("0::/\n")
    monkeypatch.setattr(hardware, "_own_control_groups", lambda: limited)
    monkeypatch.setattr(hardware.sys, "platform", "elsewhere")
    monkeypatch.setattr(hardware.os, "cpu_count", lambda: 8)
    assert hardware.usable_cores() == cores


def test_this_machine() -> None:
    assert 0 < hardware.available_memory_bytes() < hardware.total_memory_bytes() <= psutil.virtual_memory().total
    assert 1 <= hardware.physical_cores() <= hardware.usable_cores() <= (os.cpu_count() or 1)
    assert hardware.cpu_name()


def test_name_and_instruction_sets_come_from_cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(
        "model name\t: Test 9000\nflags\t\t: sse avx2 amx_int8 avx512f\n\nmodel name\t: Other\n"
    )
    monkeypatch.setattr(hardware, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(hardware.sys, "platform", "linux")
    hardware._cpuinfo.cache_clear()
    try:
        assert hardware.instruction_sets.__wrapped__() == ("amx_int8", "avx2", "avx512f")
        assert hardware.cpu_name.__wrapped__() == "Test 9000"
    finally:
        hardware._cpuinfo.cache_clear()


@pytest.mark.parametrize(
    ("address", "is_up", "known"),
    [
        ("192.168.1.7", True, True),
        ("2001:db8::1", True, True),
        ("192.168.1.7", False, False),
        ("127.0.0.1", True, False),
        ("fe80::1%wlan0", True, False),
        ("00:11:22:33:44:55", True, False),
    ],
)
def test_a_network_is_an_address_that_leads_somewhere(
    monkeypatch: pytest.MonkeyPatch, address: str, is_up: bool, known: bool
) -> None:
    card = type("Card", (), {"isup": is_up, "address": address})
    monkeypatch.setattr(psutil, "net_if_stats", lambda: {"wlan0": card})
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"wlan0": [card]})
    assert hardware.has_network() is known


def test_the_most_memory_of_a_process_does_not_begin_with_that_of_its_parent() -> None:
    ballast = bytearray(os.urandom(1024) * 300_000)  # held, page by page, while the child is started
    show = "from app.system.hardware import peak_resident_bytes; print(peak_resident_bytes())"
    child = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert hardware.peak_resident_bytes() > len(ballast)
    assert 5_000_000 < int(child.stdout) < 150_000_000


def test_the_most_memory_of_a_process_stays_when_it_is_given_back() -> None:
    ballast = bytearray(os.urandom(1024) * 300_000)
    size = len(ballast)
    del ballast
    assert hardware.peak_resident_bytes() > size
