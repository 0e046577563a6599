"""A mailbox that keeps what is sent to it: SMTP in, Mailpit's HTTP API and a page out."""
