"""A stand-in for the Slack Web API that keeps and shows the messages posted to it."""
