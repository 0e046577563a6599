"""Queries: answered from the read store, never from Kafka."""
