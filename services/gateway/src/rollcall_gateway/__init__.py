"""The HTTP API of Rollcall."""
