"""Batches: many pictures in one submission."""
