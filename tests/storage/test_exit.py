"""A program that ends right after its last request to an object store ends well.

Usage: python -m tests.storage.test_exit; puts objects, and ends while the thread that has brought the last result is
still about to go on.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from tests.storage.running import environment
from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.loop import run


@pytest.mark.parametrize("how", ["done", "failed"])
def test_a_program_that_ends_after_its_last_request(how: str) -> None:
    pytest.importorskip("obstore")
    command = [sys.executable, "-m", "tests.storage.test_exit", how]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{how}\n")


def slow_down() -> None:
    """A machine that is busy lets the threads of a client wait for the interpreter, where they tell the loop."""
    of: Any = asyncio.BaseEventLoop if sys.platform == "win32" else asyncio.SelectorEventLoop
    tell = of._write_to_self

    def slowly(loop: Any) -> None:
        tell(loop)
        if threading.get_ident() not in {thread.ident for thread in threading.enumerate()}:
            for _ in range(200):
                time.sleep(0.001)

    of._write_to_self = slowly


async def put(number: int) -> None:
    import obstore
    from obstore.store import MemoryStore

    await asyncio.gather(*[obstore.put_async(MemoryStore(), str(n), b"data") for n in range(number)])


async def failed() -> None:
    raise StoreError("one of them fails")


async def put_and_fail() -> None:
    """As a round does whose other requests are still under way."""
    await asyncio.gather(put(20), failed())


def main(how: str) -> None:
    slow_down()
    try:
        run(put(1) if how == "done" else put_and_fail())
    except StoreError:
        print("failed")
    else:
        print("done")


if __name__ == "__main__":
    main(sys.argv[1])
