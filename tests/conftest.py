"""Settings that all tests share.

Property tests run under the hypothesis profile named by ``HYPOTHESIS_PROFILE``: ``test`` (the default), which takes the
same examples in every run, so that a run says something about the change and not about the draw; ``long``, which
takes more of them; or ``fuzz``, which looks for new ones.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadline and no check of pace: the first example of a test pays for imports, and shared machines stall.
SHARED = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("test", SHARED, max_examples=30, derandomize=True)
settings.register_profile("long", SHARED, max_examples=120, derandomize=True)
settings.register_profile("fuzz", SHARED, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))
