"""Tasks that are done in processes of their own, in this environment or in that of 0.9.2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["WorkerError", "answer_of"]


class WorkerError(Exception):
    """A task that did not come to its end."""


def answer_of(
    worker: Path, task: Mapping[str, Any], *, peer: Path | None = None, limit: float | None = None
) -> dict[str, Any]:
    """What a worker says to a task.

    Args:
        worker: A script that takes a task as JSON, and answers with its last line of JSON.
        task: What it is to do; paths become text.
        peer: Interpreter that has 0.9.2; None for this one.
        limit: Seconds after which it is stopped.

    Raises:
        WorkerError: It failed, with the last line that it said.
        subprocess.TimeoutExpired: It was stopped.
    """
    environment, command = dict(os.environ), [sys.executable]
    if peer is not None:
        # PYTHONPATH may lead to this project under the same import name.
        environment = {name: value for name, value in environment.items() if not name.startswith("PYTHON")}
        command = [str(peer), "-s", "-W", "ignore"]
    command += [str(worker), json.dumps(task, default=str)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit, env=environment)
    if done.returncode:
        raise WorkerError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
