"""What is changed in the engine's build files, and that a change of theirs is noticed."""

from __future__ import annotations

import pytest
from bundle import engine
from bundle.layout import BuildError

LISTS = """\
        ggml_add_cpu_backend_variant(x64)
        ggml_add_cpu_backend_variant(cannonlake         SSE42 AVX AVX512_VBMI)
        ggml_add_cpu_backend_variant(cascadelake        SSE42)
            ggml_add_cpu_backend_variant(cooperlake     SSE42)
            ggml_add_cpu_backend_variant(zen4           SSE42)
            ggml_add_cpu_backend_variant(sapphirerapids SSE42 AMX_TILE AMX_INT8)
"""


def test_variants_of_servers_are_left_out() -> None:
    kept = [line.split("(")[1].split(")")[0].split()[0] for line in engine.without_variants(LISTS).splitlines()]
    assert kept == ["x64", "zen4"]
    assert "AMX" not in engine.without_variants(LISTS)


def test_a_list_that_has_changed_ends_the_build() -> None:
    with pytest.raises(BuildError, match="sapphirerapids is in it 0 times"):
        engine.without_variants(LISTS.replace("sapphirerapids", "graniterapids"))


def test_the_library_of_the_tools_is_not_built() -> None:
    lists = 'set(LLAMA_BUILD_COMMON ON CACHE BOOL "" FORCE)\nset(LLAMA_BUILD_COMMON OFF CACHE BOOL "" FORCE)\n'
    assert "ON CACHE" not in engine.without_common(lists)
    with pytest.raises(BuildError):
        engine.without_common("set(LLAMA_BUILD_COMMON OFF CACHE)")


def test_it_is_built_for_no_machine_in_particular() -> None:
    assert "-DGGML_NATIVE=OFF" in engine.cmake_arguments()
    assert "-DGGML_CPU_ALL_VARIANTS=ON" in engine.cmake_arguments()


def test_the_pinned_version_is_taken() -> None:
    assert engine.requirement().startswith("llama-cpp-python==")
    assert engine.requirement() in engine.fingerprint()
