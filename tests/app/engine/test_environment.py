import pytest

from app.engine import environment


@pytest.mark.parametrize(("cpu", "spins"), [("AMD Ryzen 5 5500U", "3000"), ("Intel(R) Core(TM) i5-8250U", "1000")])
def test_the_barriers_spin_about_as_long_on_each_processor(monkeypatch, cpu, spins):
    monkeypatch.setattr(environment, "cpu_name", lambda: cpu)
    assert environment.engine_environment()["GOMP_SPINCOUNT"] == spins


@pytest.mark.parametrize(("platform", "has_tunables"), [("linux", True), ("win32", False), ("darwin", False)])
def test_huge_pages_are_asked_of_glibc_alone(monkeypatch, platform, has_tunables):
    monkeypatch.setattr(environment, "cpu_name", lambda: "any")
    monkeypatch.setattr("sys.platform", platform)
    assert ("GLIBC_TUNABLES" in environment.engine_environment()) == has_tunables
