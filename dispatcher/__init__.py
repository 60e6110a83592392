"""Batches waiting jobs onto the device: claim, decode, infer, reduce, hand on."""
