"""What a model answers, once by transformers and once by llama.cpp: logits of every position, in f32."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from app.engine.llama import LOG, C, Model, ModelOptions


def of_transformers(folder: Path, tokens: list[int]) -> np.ndarray:
    """(tokens, vocabulary)"""
    import torch
    import transformers

    torch.set_num_threads(1)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    with torch.no_grad():
        return model.eval()(torch.tensor([tokens])).logits[0].numpy()


def of_llama_cpp(file: Path, tokens: list[int]) -> np.ndarray:
    """(tokens, vocabulary)"""
    LOG.clear()
    model = Model(file, ModelOptions(repack=False), lambda _share: True)
    parameters = C.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = parameters.n_outputs_max = 512
    parameters.n_threads = parameters.n_threads_batch = 1
    parameters.flash_attn_type = 0
    parameters.type_k = parameters.type_v = C.GGML_TYPE_F32
    context = C.llama_init_from_model(model.handle, parameters)
    batch = C.llama_batch_init(len(tokens), 0, 1)
    try:
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, True
            batch.seq_id[i][0] = 0
        assert C.llama_decode(context, batch) == 0
        pointer = ctypes.cast(C.llama_get_logits(context), ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(pointer, (len(tokens), model.vocabulary_size)).copy()
    finally:
        C.llama_batch_free(batch)
        C.llama_free(context)
        model.close()


def kl(reference: np.ndarray, other: np.ndarray) -> float:
    """Mean Kullback-Leibler divergence of the next-token distributions, in nats."""
    p, q = _log_softmax(reference), _log_softmax(other)
    return float((np.exp(p) * (p - q)).sum(axis=-1).mean())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
