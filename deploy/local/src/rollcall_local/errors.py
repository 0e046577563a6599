"""What can go wrong for whoever runs the platform, as one line each."""


class PlatformError(Exception):
    """The message is one line that says what to do."""


class Unavailable(PlatformError):
    """Something optional cannot be had on this machine (Java, Kafka's jars); not a defect."""
