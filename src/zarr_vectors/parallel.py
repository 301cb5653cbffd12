"""Steps of one job, done side by side where the machine has cores and the work lets go of the interpreter."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

__all__ = ["run_all"]

_MOST_THREADS = 8


def run_all(steps: Sequence[Callable[[], None]], *, threaded: bool) -> None:
    """Take the steps in any order, in this thread alone or with others that help it.

    Args:
        steps: Each is called once.
        threaded: Whether the work is worth the start of threads.

    Example:
        >>> done = []
        >>> run_all([lambda: done.append(1), lambda: done.append(2)], threaded=True)
        >>> sorted(done)
        [1, 2]
    """
    waiting = iter(steps)

    def work() -> None:
        for step in waiting:
            step()

    # Counting cores takes longer than many a job that is not worth threads.
    helpers = min(_MOST_THREADS, os.cpu_count() or 1, len(steps)) - 1 if threaded and len(steps) > 1 else 0
    if helpers < 1:
        work()
        return
    with ThreadPoolExecutor(max_workers=helpers) as pool:
        helping = [pool.submit(work) for _ in range(helpers)]
        work()
    for done in helping:
        done.result()
