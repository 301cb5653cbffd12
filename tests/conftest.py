"""Settings that all tests share.

Property tests run under the hypothesis profile named by ``HYPOTHESIS_PROFILE``: ``test`` (the default) or ``fuzz``.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadline: the first example of a test pays for imports, and shared machines stall.
settings.register_profile("test", deadline=None, max_examples=30, print_blob=True)
settings.register_profile(
    "fuzz", deadline=None, max_examples=2000, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))
