"""Backup and restore: one file that holds everything a platform would miss."""
