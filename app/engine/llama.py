"""llama.cpp through its C interface: model and context as objects that free themselves.

The only module that imports llama_cpp; others take `C` from here. Sizes are bytes, token ids are Python ints, text is
bytes (a token may end in the middle of a character). Source of every call: llama.cpp's include/llama.h.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import os
import re
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.engine.environment import engine_environment
from app.engine.messages import FlashAttention, KvType
from app.errors import LoadError
from app.library.tensor_types import FILE_TYPES, GUESSED
from app.operation import StopFlag


def _import_bindings() -> Any:
    """Import `llama_cpp.llama_cpp` alone.

    The package's `__init__` also imports its high-level interface, numpy and jinja2: 24 MB and a quarter of a second
    that the engine has no use for. The OpenMP runtime reads its variables when it loads, which is here.
    """
    for name, value in engine_environment().items():
        os.environ.setdefault(name, value)
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or spec.submodule_search_locations is None:
        raise LoadError("The engine, llama-cpp-python, is not installed.", "Run the set-up again.")
    package = types.ModuleType("llama_cpp")
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    sys.modules["llama_cpp"] = package
    return importlib.import_module("llama_cpp.llama_cpp")


C = _import_bindings()


def _load_kernels() -> None:
    """Have ggml choose its kernels for this processor, where they were built as libraries of their own.

    A bundle holds some for each generation of processors; ggml opens those that this one can run best. A build for
    one machine has its kernels linked in. Source: ggml_backend_load_all_from_path in ggml's src/ggml-backend-reg.cpp.
    """
    # Through libllama, because a second file of the same library would be a second registry. Windows cannot do so, and
    # knows libraries by their names.
    ggml = C._lib if os.name == "posix" else C.load_shared_library("ggml", C._base_path)
    ggml.ggml_backend_reg_count.restype = ctypes.c_size_t
    if ggml.ggml_backend_reg_count() == 0:
        ggml.ggml_backend_load_all_from_path(os.fsencode(C._base_path))
    if ggml.ggml_backend_reg_count() == 0:
        raise LoadError("The engine has no machine code that this processor can run.", "Install Bantam again.")


_GGML_TYPES = {KvType.F16: C.GGML_TYPE_F16, KvType.Q8_0: C.GGML_TYPE_Q8_0, KvType.Q4_0: C.GGML_TYPE_Q4_0}
_FLASH = {FlashAttention.AUTO: -1, FlashAttention.OFF: 0, FlashAttention.ON: 1}

_LOG_LEVEL_ERROR = 4  # GGML_LOG_LEVEL_ERROR of ggml.h; the bindings do not have it

MAX_OUTPUTS = 32
"""Rows of logits a batch may ask for. llama.cpp reserves rows x vocabulary x 4 bytes: 512 rows, its default, are 250 MB
for a vocabulary of 128,000, and one is wanted (a drafted batch wants a few)."""

BATCH_TOKENS = 512

_ABORTED = 2
"""What llama_decode returns after the abort callback said so."""
_libc = ctypes.CDLL(ctypes.util.find_library("c") if os.name == "posix" else "msvcrt")
_ABORT_WHEN_SET = ctypes.cast(_libc.strlen, C.ggml_abort_callback)


class _Log:
    """llama.cpp's log: the last lines, kept to explain a failure and to read the buffer sizes from."""

    _CACHE = re.compile(r": size =\s*([\d.]+) MiB \(\s*\d+ cells")
    _COMPUTE = re.compile(r"(?:compute|output) buffer size =\s*([\d.]+) MiB")

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []
        """Those of the lines that llama.cpp itself calls errors."""
        self._callback = C.llama_log_callback(self._on_text)
        C.llama_log_set(self._callback, None)

    def clear(self) -> None:
        self.lines.clear()
        self.errors.clear()

    def reason(self) -> str:
        """What llama.cpp gave as the reason of a failure, as one line."""
        return self.errors[0].split(": ", 1)[-1].strip().rstrip(".") if self.errors else "it gave no reason"

    def failure(self, sentence: str) -> LoadError:
        """The error that says `sentence`, with llama.cpp's reason, or in plain words where it was given no memory."""
        if any(re.search(r"insufficient memory|alloc", line) for line in self.errors):
            return LoadError(
                f"{sentence}: the system did not give it the memory.",
                "Close other programs, or take a smaller model or a shorter context, then load it again.",
            )
        return LoadError(f"{sentence}: {self.reason()}.")

    def cache_and_compute_bytes(self) -> tuple[int, int]:
        """Size of the KV cache (and recurrent state) and of the compute and output buffers made since `clear`.

        The lines with the number of cells are right for a header-only load too, where the buffers themselves are empty.
        """
        return self._sum_bytes(self._CACHE), self._sum_bytes(self._COMPUTE)

    def _sum_bytes(self, pattern: re.Pattern[str]) -> int:
        mebibytes = sum(float(match[1]) for line in self.lines if (match := pattern.search(line)))
        return round(mebibytes * 1024 * 1024)

    def _on_text(self, level: int, text: bytes, _user_data: object) -> None:
        line = text.decode("utf-8", "replace")
        if len(self.lines) < 5000:
            self.lines.append(line.rstrip("\n"))
            if level == _LOG_LEVEL_ERROR:
                self.errors.append(self.lines[-1])
        if os.environ.get("BANTAM_NATIVE_LOG"):
            sys.stderr.write(line)


LOG = _Log()
_load_kernels()  # which logs, and so comes after
C.llama_backend_init()


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How the weights are read. `repack` is llama.cpp's `use_extra_bufts`; without it the file is memory-mapped."""

    repack: bool = True
    header_only: bool = False


class Model:
    """The weights and the vocabulary. `close` frees them; contexts must be closed before."""

    def __init__(self, path: Path, options: ModelOptions, on_progress: Callable[[float], bool]) -> None:
        """Read the file. `on_progress(share)` returns False to stop, then `LoadError` is raised like for any failure.

        Memory: repacked weights are copies, so a memory map beside them would hold everything twice. Hence no map
        with `repack`, and a map without.
        """
        parameters = C.llama_model_default_params()
        parameters.n_gpu_layers = 0
        parameters.use_extra_bufts = options.repack
        parameters.load_mode = (
            C.LLAMA_LOAD_MODE_NONE if options.repack or options.header_only else C.LLAMA_LOAD_MODE_MMAP
        )
        parameters.no_alloc = options.header_only
        progress = C.llama_progress_callback(lambda share, _data: on_progress(share))
        parameters.progress_callback = progress
        handle = C.llama_model_load_from_file(os.fsencode(path), parameters)
        if not handle:
            raise LOG.failure(f"The engine could not load {path.name}")
        self.handle = handle
        self.vocabulary = C.llama_model_get_vocab(handle)
        self.vocabulary_size: int = C.llama_vocab_n_tokens(self.vocabulary)
        self.bos: int = C.llama_vocab_bos(self.vocabulary)
        self.eos: int = C.llama_vocab_eos(self.vocabulary)
        self._pieces: dict[int, bytes] = {}

    def close(self) -> None:
        """Free the weights. A second call does nothing."""
        if self.handle:
            C.llama_model_free(self.handle)
            self.handle = None

    def metadata(self, key: str) -> str:
        """A value of the GGUF header as text; empty where there is none."""
        needed = C.llama_model_meta_val_str(self.handle, key.encode(), None, 0)
        if needed < 0:
            return ""
        buffer = ctypes.create_string_buffer(needed + 1)
        C.llama_model_meta_val_str(self.handle, key.encode(), buffer, needed + 1)
        return buffer.value.decode("utf-8", "replace")

    @property
    def chat_template(self) -> str:
        """The Jinja template of the file; empty where it has none."""
        raw: bytes | None = C.llama_model_chat_template(self.handle, None)
        return raw.decode("utf-8", "replace") if raw else ""

    @property
    def trained_context_tokens(self) -> int:
        """Longest context the model has seen in training."""
        return int(C.llama_model_n_ctx_train(self.handle))

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return int(C.llama_model_n_params(self.handle))

    @property
    def weights_bytes(self) -> int:
        """Size of all tensors."""
        return int(C.llama_model_size(self.handle))

    @property
    def quantization(self) -> str:
        """The file type, such as Q4_K_M."""
        kind: int = C.llama_model_ftype(self.handle)
        if known := FILE_TYPES.get(kind & ~GUESSED):
            return known
        name: bytes = C.llama_ftype_name(kind)  # words: "Q4_K - Medium"
        return name.decode().removeprefix("(guessed) ").split(" ")[0]

    @property
    def is_recurrent(self) -> bool:
        """Whether all or some layers keep a state in place of a KV cache, which cannot take tokens back."""
        return bool(C.llama_model_is_recurrent(self.handle) or C.llama_model_is_hybrid(self.handle))

    @property
    def sliding_window_tokens(self) -> int:
        """Attention window; 0 where every token sees all before it."""
        return int(C.llama_model_n_swa(self.handle))

    @property
    def adds_bos(self) -> bool:
        """Whether the model wants BOS in front of a text."""
        return bool(C.llama_vocab_get_add_bos(self.vocabulary))

    def token_text(self, token: int) -> bytes:
        """How the vocabulary writes the token."""
        text: bytes | None = C.llama_vocab_get_text(self.vocabulary, token)
        return text or b""

    def tokenize(self, text: str, *, add_bos: bool, special: bool = True) -> list[int]:
        """Token ids of `text`; special tokens written in it count as such, unless they are not `special`. `add_bos`
        where the model wants one.

        BOS is put in front here and not by llama.cpp, which would also put EOS behind where the file asks for it
        (`add_eos_token`): after a prompt the model has nothing more to say then.
        """
        data = text.encode("utf-8", "replace")
        capacity = len(data) + 8
        while True:
            ids = (C.llama_token * capacity)()
            count = C.llama_tokenize(self.vocabulary, data, len(data), ids, capacity, False, special)
            if count >= 0:
                bos = [self.bos] if add_bos and self.adds_bos else []
                return [*bos, *ids[:count]]
            capacity = -count

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for, special tokens as they are written."""
        if token not in self._pieces:
            self._pieces[token] = self._read_piece(token)
        return self._pieces[token]

    def is_control(self, token: int) -> bool:
        """Whether the token is a mark of the format, not text."""
        return bool(C.llama_vocab_is_control(self.vocabulary, token))

    def ends_generation(self, token: int) -> bool:
        """Whether the token is an end of the answer (EOS, EOT, …)."""
        return bool(C.llama_vocab_is_eog(self.vocabulary, token))

    def _read_piece(self, token: int) -> bytes:
        capacity = 64
        while True:
            buffer = ctypes.create_string_buffer(capacity)
            count = C.llama_token_to_piece(self.vocabulary, token, buffer, capacity, 0, True)
            if count >= 0:
                return buffer.raw[:count]
            capacity = -count


class DecodeError(RuntimeError):
    """llama_decode returned a code that is neither success nor a stop."""


def _check_cache(kv_type: KvType, flash: FlashAttention) -> None:
    if kv_type is not KvType.F16 and flash is FlashAttention.OFF:
        raise LoadError(
            f"A {kv_type.value} KV cache needs flash attention, which is switched off.",
            "Set flash attention to auto, or the KV cache type to f16.",
        )


class Batch:
    """Tokens for one decode, and for which of them logits are wanted; at most `capacity`."""

    def __init__(self, capacity: int) -> None:
        self.native = C.llama_batch_init(capacity, 0, 1)

    def fill(self, tokens: Sequence[int], position: int, wanted: range) -> None:
        """Take these tokens, the first at `position`; `wanted` counts from the first token of the batch."""
        batch = self.native
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = position + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = i in wanted

    def close(self) -> None:
        """Free it."""
        C.llama_batch_free(self.native)


class Context:
    """The KV cache of one sequence and the graph that fills it. Whoever reads or writes with a model has one."""

    def __init__(
        self,
        model: Model,
        context_tokens: int,
        kv_type: KvType = KvType.F16,
        flash: FlashAttention = FlashAttention.AUTO,
        *,
        batch_tokens: int = BATCH_TOKENS,
        outputs: int = MAX_OUTPUTS,
        threads: int = 0,
        watch: Callable[[int, bool, object], bool] | None = None,
    ) -> None:
        """Allocate the KV cache and the compute buffers. Raises LoadError.

        `outputs` is how many rows of logits a batch may ask for; `threads` 0 leaves them to `set_threads`; `watch` is
        asked about every node of the graph, before and after (`llama_context_params.cb_eval`), all in main memory.
        """
        _check_cache(kv_type, flash)
        self._model = model
        parameters = C.llama_context_default_params()
        parameters.n_ctx = context_tokens
        parameters.n_batch = parameters.n_ubatch = batch_tokens
        parameters.n_outputs_max = outputs
        parameters.type_k = parameters.type_v = _GGML_TYPES[kv_type]
        parameters.flash_attn_type = _FLASH[flash]
        parameters.no_perf = True
        if threads:
            parameters.n_threads = parameters.n_threads_batch = threads
        if watch is not None:
            self._watch = C.ggml_backend_sched_eval_callback(watch)  # llama.cpp keeps its address
            parameters.cb_eval = self._watch
            parameters.offload_kqv = parameters.op_offload = False
        handle = C.llama_init_from_model(model.handle, parameters)
        if not handle:
            raise LOG.failure(f"The engine could not make a context of {context_tokens:,} tokens")
        self.handle = handle
        self.context_tokens: int = C.llama_n_ctx(handle)
        self.batch_tokens: int = C.llama_n_batch(handle)  # BATCH_TOKENS, or less in a small context
        self._memory = C.llama_get_memory(handle)
        self._batch = Batch(self.batch_tokens)

    def close(self) -> None:
        """Free the cache. A second call does nothing."""
        if self.handle:
            self._batch.close()
            C.llama_free(self.handle)
            self.handle = None

    def set_threads(self, decode: int, prefill: int) -> None:
        """Takes effect at the next `decode`."""
        C.llama_set_n_threads(self.handle, decode, prefill)

    def abort_when(self, flag: StopFlag) -> None:
        """Let `decode` give up as soon as `flag` is set."""
        C.llama_set_abort_callback(self.handle, _ABORT_WHEN_SET, flag.address)
        self._flag = flag  # llama.cpp keeps its address

    def decode(self, tokens: Sequence[int], position: int, rows: int = 0) -> bool:
        """Run the model over at most `batch_tokens` tokens at `position`.

        Logits are computed for the last token alone, or for the first `rows` (at most MAX_OUTPUTS). Returns False when
        it was stopped; the cache may then hold some of the tokens. Raises DecodeError.
        """
        return self.read(tokens, position, range(rows) if rows else range(len(tokens) - 1, len(tokens)))

    def read(self, tokens: Sequence[int], position: int, wanted: range) -> bool:
        """Run the model as `decode` does, with logits for the tokens of the batch that are `wanted`."""
        self._batch.fill(tokens, position, wanted)
        code = C.llama_decode(self.handle, self._batch.native)
        if code not in (0, _ABORTED):
            raise DecodeError(f"llama_decode returned {code} at position {position} with {len(tokens)} tokens")
        return bool(code == 0)

    def logits(self, row: int = 0, rows: int = 1) -> ctypes.Array[ctypes.c_float]:
        """llama.cpp's own memory of the rows from `row` on, (rows * vocabulary,): valid until the next decode."""
        address = C.llama_get_logits_ith(self.handle, row) if row else C.llama_get_logits(self.handle)
        size = rows * self._model.vocabulary_size
        return (ctypes.c_float * size).from_address(ctypes.addressof(address.contents))

    def truncate(self, tokens: int) -> bool:
        """Keep the first `tokens` of the cache. False where this model's memory cannot give tokens back."""
        window = self._model.sliding_window_tokens
        if window and tokens and C.llama_memory_seq_pos_min(self._memory, 0) > max(0, tokens - window):
            return False
        return bool(C.llama_memory_seq_rm(self._memory, 0, tokens, -1))

    def clear(self) -> None:
        """Forget everything."""
        C.llama_memory_clear(self._memory, True)

    def save(self, path: Path, tokens: Sequence[int]) -> int:
        """Write the cache and the token ids it stands for; bytes written, 0 on failure."""
        ids = (C.llama_token * len(tokens))(*tokens)
        return int(C.llama_state_seq_save_file(self.handle, os.fsencode(path), 0, ids, len(tokens)))

    def restore(self, path: Path) -> list[int]:
        """Read what `save` wrote: its token ids, empty when the file cannot be used here (the cache is empty then)."""
        ids = (C.llama_token * self.context_tokens)()
        count = ctypes.c_size_t()
        read = C.llama_state_seq_load_file(
            self.handle, os.fsencode(path), 0, ids, self.context_tokens, ctypes.byref(count)
        )
        if not read:
            self.clear()
            return []
        return list(ids[: count.value])
