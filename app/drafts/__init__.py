"""Drafts made of a model itself: few of its layers, recovered by distillation, quantized."""
