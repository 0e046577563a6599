"""Admit a command before it is appended, because Kafka has no conditional append (design §4)."""
