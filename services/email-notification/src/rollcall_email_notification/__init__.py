"""Mails users about what happens to them."""
