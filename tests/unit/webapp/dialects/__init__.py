"""Unit tests of webapp.dialects."""
