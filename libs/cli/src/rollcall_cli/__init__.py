"""The rollcall command."""
