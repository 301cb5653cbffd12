"""Running synchronous code for callers that must not wait for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

__all__ = ["in_worker"]

T = TypeVar("T")


async def in_worker(call: Callable[[], T], *, finish: bool = False) -> T:
    """The result of a call that is made in a thread of its own.

    No pool is shared with anyone, so that there is none whose threads could all wait for one another.

    Args:
        call: What to do.
        finish: Whether a caller that is cancelled goes on only when the call has come to its end, which cannot be
            hastened: what it writes is then there or not, for good.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)  # type: ignore[arg-type]  # of type T where there is no error
        else:
            done.set_exception(error)

    def work() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = context.run(call)
        except StopIteration as error:
            failure = RuntimeError("a StopIteration, which a coroutine cannot pass on")
            failure.__cause__ = error
        except BaseException as error:  # noqa: BLE001 - raised where the call is awaited
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, result, failure)

    context = copy_context()
    threading.Thread(target=work, name="zarr-vectors", daemon=not finish).start()
    if not finish:
        return await done
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        raise
