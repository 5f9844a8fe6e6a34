"""Settings for the whole suite."""

from hypothesis import HealthCheck, settings

settings.register_profile("mialang", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mialang")
