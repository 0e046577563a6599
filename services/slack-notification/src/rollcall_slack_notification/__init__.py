"""Messages the other admins about what happens."""
