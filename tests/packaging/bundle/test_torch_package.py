"""What of PyTorch's packages is copied."""

from __future__ import annotations

import pytest
from bundle.torch_package import is_wanted


@pytest.mark.parametrize(
    ("file", "shared", "wanted"),
    [
        ("torch/nn/modules/linear.py", False, True),
        ("torch/lib/libtorch_cpu.so", False, True),
        ("torch/include/ATen/ATen.h", False, False),
        ("torch/bin/protoc", False, False),
        ("torch/bin/torch_shm_manager", False, True),
        ("torch/lib/libfbgemm.a", False, False),
        ("../../bin/torchrun", False, False),
        ("transformers/models/llama/modeling_llama.py", False, True),
        ("numpy/linalg/__init__.py", True, False),
        ("numpy-2.4.6.dist-info/METADATA", True, True),
        ("torch-2.13.0.dist-info/licenses/LICENSE", False, False),
    ],
)
def test_files_are_chosen(file: str, shared: bool, wanted: bool) -> None:
    assert is_wanted(file, shared) is wanted
