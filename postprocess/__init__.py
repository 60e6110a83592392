"""Turns what a model found into the business result: labels, filters, regions, counts."""
