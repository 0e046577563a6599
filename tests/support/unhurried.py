"""pytest's plugin for Hypothesis: an example may take as long as it takes. A machine that is busy
with the other parts of `make test` says nothing about the code."""

from hypothesis import HealthCheck, settings

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
