"""An event loop of the library's own, in a thread, so that calling from inside another loop cannot deadlock."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar

__all__ = ["IN_FLIGHT", "Change", "run", "run_changes"]

T = TypeVar("T")
IN_FLIGHT = 64
"""Requests under way at once."""
_BYTES_IN_FLIGHT = 64 << 20
"""Bytes of changes under way at once, but for a single larger one."""
_LOOK_SECONDS = 0.5
"""Between two looks at whether what is under way may go on."""
_EXIT_SECONDS = 2.0
"""How long the end of the process waits for what is still under way."""


class _Loop:
    """One event loop in one daemon thread, made at first use and again after a fork."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = -1

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        with self._guard:
            if self._loop is None or self._process != os.getpid():
                self._loop = asyncio.new_event_loop()
                self._process = os.getpid()
                threading.Thread(target=self._loop.run_forever, name="zarr-vectors-io", daemon=True).start()
                atexit.unregister(self.come_to_an_end)
                atexit.register(self.come_to_an_end)
            loop = self._loop
        return asyncio.run_coroutine_threadsafe(work, loop)

    def come_to_an_end(self) -> None:
        """Wait until no thread of a client tells the loop anything, before Python ends.

        Results are brought by threads of compiled code. Python before 3.14 ends a thread that comes for the interpreter
        while it shuts down, and compiled code in Rust aborts the process for that, though all work has been done.
        """
        if self._process != os.getpid():
            return
        until = time.monotonic() + _EXIT_SECONDS
        wait([self.submit(_cancel_all())], _EXIT_SECONDS)
        # Threads that Python has not made are seen nowhere else.
        while any(map(_tells_a_loop, sys._current_frames().values())) and time.monotonic() < until:  # noqa: SLF001
            time.sleep(0.001)


def _tells_a_loop(frame: FrameType | None) -> bool:
    """Whether the thread with this frame is calling a loop from outside."""
    while frame is not None:
        if frame.f_code is asyncio.BaseEventLoop.call_soon_threadsafe.__code__:
            return True
        frame = frame.f_back
    return False


async def _cancel_all() -> None:
    """What nobody waits for any longer, as other requests of its round have failed."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


_loop = _Loop()


def run(work: Coroutine[Any, Any, T], *, finish: bool = False) -> T:
    """Run a coroutine on the library's own loop and wait for it; with ``finish`` even when interrupted."""
    future = _loop.submit(work)
    try:
        return future.result()
    except BaseException:
        # After an interrupt the work goes on by itself: a change could land behind the clean-up that follows.
        if finish:
            wait([future])
        else:
            future.cancel()
        raise


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an object.

    Args:
        key: Of the object.
        size: Bytes that it keeps in memory.
        make: Makes it.
    """

    key: str
    size: int
    make: Callable[[], Coroutine[Any, Any, None]]


def run_changes(changes: Iterable[Change], *, at_once: int = IN_FLIGHT, check: Callable[[], None]) -> None:
    """Make changes as they come, a bounded number at once; those of one object in order.

    The iterable is consumed in the caller's thread and may send requests of its own. Nothing is under way any more
    when this returns or raises, be it what a change or the iterable raised, or an interrupt.

    Args:
        changes: What to do.
        at_once: How many at most.
        check: Called before each change, and again and again while changes are under way, which the client of a store
            may repeat for minutes. When it raises, those are given up.
    """
    under_way: dict[Future[None], Change] = {}
    try:
        for change in changes:
            while not _fits(change, under_way, at_once):
                _take_out(under_way, check)
            _check(under_way, check)
            under_way[_loop.submit(change.make())] = change
        while under_way:
            _take_out(under_way, check)
    finally:
        wait(under_way)


def _fits(change: Change, under_way: dict[Future[None], Change], at_once: int) -> bool:
    others = under_way.values()
    return not under_way or (
        len(under_way) < at_once
        and change.size + sum(other.size for other in others) <= _BYTES_IN_FLIGHT
        and all(other.key != change.key for other in others)
    )


def _take_out(under_way: dict[Future[None], Change], check: Callable[[], None]) -> None:
    """Wait until something is done."""
    while not (done := wait(under_way, _LOOK_SECONDS, FIRST_COMPLETED).done):
        _check(under_way, check)
    for future in done:
        del under_way[future]
        future.result()


def _check(under_way: dict[Future[None], Change], check: Callable[[], None]) -> None:
    try:
        check()
    except BaseException:
        for future in under_way:
            future.cancel()
        run(_settled())
        raise


async def _settled() -> None:
    """What has been cancelled comes to its end in the turns of the loop that follow."""
    for _ in range(3):
        await asyncio.sleep(0)
