"""Fold the log in memory: to compare the read store with it, or to do without the read store."""
