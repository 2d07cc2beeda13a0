import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from app.engine import llama
from app.engine.llama import LOG, ModelOptions
from app.errors import LoadError
from app.system.paths import STARTER_MODEL

ERROR, INFO = 4, 2


@pytest.fixture
def log():
    LOG.clear()
    yield LOG
    LOG.clear()


def test_the_reason_is_the_first_error_whatever_other_lines_say(log):
    log._on_text(INFO, b"print_info: rope_finetuned = unknown\n", None)
    log._on_text(ERROR, b"llama_model_load: error loading model: wrong shape.\n", None)
    log._on_text(ERROR, b"llama_model_load_from_file_impl: failed to load model\n", None)
    failure = log.failure("It could not be loaded")
    assert failure.sentence == "It could not be loaded: error loading model: wrong shape."


def test_without_an_error_there_is_no_reason(log):
    log._on_text(INFO, b"print_info: rope_finetuned = unknown\n", None)
    assert log.failure("It could not be loaded").sentence == "It could not be loaded: it gave no reason."


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux caps the address space")
def test_a_system_that_gives_no_memory_is_named_as_the_reason():
    program = f"""
import resource
from pathlib import Path
from app.engine.llama import Context, Model, ModelOptions
from app.errors import LoadError
from app.engine.messages import FlashAttention, KvType
model = Model(Path({str(STARTER_MODEL)!r}), ModelOptions(), lambda share: True)
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 50_000_000,) * 2)
try:
    Context(model, 1_000_000, KvType.F16, FlashAttention.AUTO)
except LoadError as error:
    print(error.sentence, error.hint)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "did not give it the memory" in done.stdout, done.stderr
    assert "shorter context" in done.stdout


class FakeGgml:
    """ggml's registry of kernels: how many it has before and after it was told to look for some."""

    def __init__(self, before: int, after: int) -> None:
        self.looked_in: list[bytes] = []
        self.ggml_backend_reg_count = lambda: after if self.looked_in else before
        self.ggml_backend_load_all_from_path = self.looked_in.append

    def install(self, monkeypatch):
        monkeypatch.setattr(llama.C, "_lib", self)
        monkeypatch.setattr(llama.C, "load_shared_library", lambda *_: self)
        self.ggml_backend_reg_count = _Function(self.ggml_backend_reg_count)
        return self


class _Function:
    """A function of a library: its result has a type."""

    def __init__(self, call) -> None:
        self._call = call
        self.restype = None

    def __call__(self):
        return self._call()


def test_kernels_that_are_libraries_of_their_own_are_looked_for_beside_the_engine(monkeypatch):
    ggml = FakeGgml(before=0, after=1).install(monkeypatch)
    llama._load_kernels()
    assert ggml.looked_in == [str(llama.C._base_path).encode()]


def test_kernels_that_are_linked_in_are_left_alone(monkeypatch):
    ggml = FakeGgml(before=1, after=1).install(monkeypatch)
    llama._load_kernels()
    assert ggml.looked_in == []


def test_a_processor_that_can_run_none_is_a_sentence(monkeypatch):
    FakeGgml(before=0, after=0).install(monkeypatch)
    with pytest.raises(LoadError, match="no machine code that this processor can run"):
        llama._load_kernels()


@pytest.mark.parametrize(("kind", "name"), [(15, "Q4_K_M"), (7, "Q8_0"), (14, "Q4_K_S")])
def test_a_file_type_has_the_name_that_files_carry(tmp_path: Path, kind: int, name: str) -> None:
    """And not llama.cpp's words for it, of which "Q4_K - Medium" and "Q4_K - Small" begin alike."""
    file = Path(shutil.copy(STARTER_MODEL, tmp_path / "model.gguf"))
    at = file.read_bytes().index(b"general.file_type") + len("general.file_type") + 4  # the value's own type
    with file.open("r+b") as stream:
        stream.seek(at)
        stream.write(struct.pack("<I", kind))
    model = llama.Model(file, ModelOptions(header_only=True), lambda share: True)
    assert model.quantization == name
    model.close()


def with_flags(source: Path, target: Path, **flags: bool) -> Path:
    """A copy of a GGUF file whose tokenizer has these flags."""
    import gguf

    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture" or name.removeprefix("tokenizer.ggml.") in flags:
            continue
        kinds = field.types
        writer.add_key_value(name, field.contents(), kinds[0], sub_type=kinds[1] if len(kinds) > 1 else None)
    for name, value in flags.items():
        writer.add_bool(f"tokenizer.ggml.{name}", value)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


@pytest.mark.parametrize("ends", [False, True])
def test_no_end_is_put_behind_a_prompt(tmp_path, ends):
    from llama_cpp import llama_cpp

    path = with_flags(STARTER_MODEL, tmp_path / "model.gguf", add_bos_token=True, add_eos_token=ends)
    model = llama.Model(path, ModelOptions(), lambda share: True)
    text = b"import os"
    theirs = (llama_cpp.llama_token * 32)()
    count = llama_cpp.llama_tokenize(model.vocabulary, text, len(text), theirs, 32, True, True)
    usual = list(theirs[:count])
    assert (usual[-1] == model.eos) == ends, "what llama.cpp does where the file asks for it"
    assert model.tokenize(text.decode(), add_bos=True) == (usual[:-1] if ends else usual)
    assert model.tokenize(text.decode(), add_bos=True)[0] == model.bos
    assert model.bos not in model.tokenize(text.decode(), add_bos=False)
    model.close()
