"""Settings for the whole suite."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("mialang", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mialang")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which boundary the tests of isolation found here."""
    ran = [each.nodeid for reports in terminalreporter.stats.values() for each in reports if hasattr(each, "nodeid")]
    if any(name.startswith("tests/engine/isolation/") for name in ran):
        from mialang.engine.isolation.boundary import available

        strongest = available()[0]
        reasons = "; ".join(f"no {name}: {why}" for name, why in strongest.missing)
        terminalreporter.write_line(f"isolation here: {strongest.words}" + (f" ({reasons})" if reasons else ""))
