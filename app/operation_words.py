"""What is being waited for, in plain words. The terminal has other words for some of it."""

from __future__ import annotations

from app.operation import Stage

STAGE_WORDS = {
    Stage.LOAD: "Loading the model",
    Stage.WARM_UP: "Warming up",
    Stage.PREFILL: "Reading the prompt",
    Stage.MEASURE: "Measuring",
    Stage.VERIFY: "Reading every byte",
    Stage.CONVERT: "Converting",
    Stage.CALIBRATE: "Measuring which weights matter",
    Stage.FOLD: "Moving outliers out of the way",
    Stage.QUANTIZE: "Quantizing",
    Stage.REROUND: "Rounding again, with care",
    Stage.REFERENCE: "Reading the text with the source",
    Stage.QUALITY: "Reading the text with this model",
    Stage.LOAD_DRAFT: "Loading the draft model",
    Stage.PRUNE: "Pruning, layer by layer",
    Stage.RANK_LAYERS: "Measuring which layers matter",
    Stage.WRITE_TEXT: "The original writes a text to learn from",
    Stage.RECOVER: "Learning from the original",
    Stage.HELD_OUT: "Comparing with the original",
    Stage.SENSITIVITY: "Measuring which tensors mind four bits",
    Stage.MEASURE_THREADS: "Measuring threads",
    Stage.SAVE_CACHE: "Saving the conversation's memory",
    Stage.RESTORE_CACHE: "Restoring the conversation's memory",
    Stage.MEASURE_DRAFT: "Measuring what drafting costs",
    Stage.COMPARE_DRAFT: "Comparing with the draft",
    Stage.CHECK_DRAFT: "Checking the draft",
}
