"""Fold the log into the read store."""
