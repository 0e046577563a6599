"""The platform on one machine: broker, Postgres, mailbox, Slack stand-in and a supervisor."""
