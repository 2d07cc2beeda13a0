"""What is being waited for, in plain words: those that the window and the terminal have in common."""

from __future__ import annotations

from app.events import Stage

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
}
