"""How many cores this process may use, and what the processor is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import hardware


def test_this_machine_has_a_name_and_cores() -> None:
    assert hardware.cpu_name()
    assert 1 <= hardware.physical_cores() <= hardware.usable_cores()


@pytest.mark.parametrize(
    ("cpu_max", "cores"),
    [("200000 100000", 2), ("150000 100000", 1), ("50000 100000", 1), ("max 100000", 8), ("", 8), ("1 0", 8)],
)
def test_a_container_quota_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpu_max: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(cpu_max)
    monkeypatch.setattr(hardware, "_CGROUP_CPU", (tmp_path / "cpu.max", tmp_path / "absent"))
    monkeypatch.setattr(hardware.sys, "platform", "elsewhere")
    monkeypatch.setattr(hardware.os, "cpu_count", lambda: 8)
    assert hardware.usable_cores() == cores


def test_the_older_form_of_the_quota_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.cfs_quota_us").write_text("300000\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    monkeypatch.setattr(hardware, "_CGROUP_CPU", (tmp_path / "absent", tmp_path / "cpu.cfs_quota_us"))
    monkeypatch.setattr(hardware.sys, "platform", "elsewhere")
    monkeypatch.setattr(hardware.os, "cpu_count", lambda: 8)
    assert hardware.usable_cores() == 3


def test_the_instruction_sets_come_from_cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(
        "model name\t: Test 9000\nflags\t\t: sse avx2 amx_int8 avx512f\n\nmodel name\t: Other\n"
    )
    monkeypatch.setattr(hardware, "_CPUINFO", tmp_path / "cpuinfo")
    hardware._cpuinfo.cache_clear()
    try:
        assert hardware.instruction_sets.__wrapped__() == ("amx_int8", "avx2", "avx512f")
        assert hardware._linux_cpu_name() == "Test 9000"
    finally:
        hardware._cpuinfo.cache_clear()
