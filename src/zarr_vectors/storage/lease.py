"""A lock for places that many machines write to: an object that its holder renews, and that others may take over.

No clock is compared with another. Whoever waits has seen the object unchanged for the whole of ``DEAD_SECONDS`` before
taking it over, not counting what it has slept through itself. Its holder stops changing the store somewhat earlier
after the last renewal that it knows of, and gives up what is still under way, unless it can renew the lease even then,
because nobody has taken it over.
"""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol
from uuid import uuid4

from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.exceptions import ConcurrentEditError, StoreError
from zarr_vectors.storage.backend import STAGE, Versioned

__all__ = ["LEASE_KEY", "Lease", "holding"]

LEASE_KEY = f"{STAGE}.lock"
LEASE_SECONDS = 30.0
"""After this long without a renewal, a holder no longer counts on its lease."""
DEAD_SECONDS = LEASE_SECONDS
"""After this long without a renewal, others count a holder as dead."""
_RENEWALS = 4
"""In this time; the last of them is left out of what the holder itself counts on."""
_PATIENCE_SECONDS = 60.0
"""How long one other writer may hold the lease before whoever waits gives up."""
_LONGEST_TURN = 5.0
"""What is more than this between two looks does not count: a machine or a server was asleep, others perhaps too."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.8

# Unlike the monotonic clock of Linux, this one goes on while a machine sleeps.
_now: Callable[[], float] = (
    (lambda: time.clock_gettime(time.CLOCK_BOOTTIME)) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


class Place(Protocol):
    """Where leases are kept."""

    url: str

    @property
    def locks_everyone(self) -> bool:
        """Whether ``swap`` is exact."""
        ...

    def read_versioned(self, key: str) -> Versioned | None:
        """The object as it is now."""
        ...

    def swap(self, key: str, data: Buffer, expected: Versioned | None) -> Versioned:
        """Overwrite it if it is still as it was; raises ``ConcurrentEditError`` otherwise."""
        ...

    def delete(self, key: str) -> None:
        """Remove it."""
        ...


class Lease:
    """The lease of one place; it is taken when it is made.

    Args:
        place: Where it is kept.

    Raises:
        ConcurrentEditError: Another writer has held it for a minute.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._owner = uuid4().hex
        self._beats = 0
        self._renewed = _now()
        self._late = False
        self._failed: StoreError | None = None
        self._ended = threading.Event()
        self._turn = threading.Lock()
        self._held = self._taken()
        self._renewing = threading.Thread(target=self._renew, name="zarr-vectors-lease", daemon=True)
        self._renewing.start()

    @property
    def is_sure(self) -> bool:
        """Whether nobody can have taken it over."""
        return _now() - self._renewed < LEASE_SECONDS * (1 - 1 / _RENEWALS)

    def check(self) -> None:
        """Refuse to change a store whose lease may be another writer's by now.

        Raises:
            ConcurrentEditError: It may.
        """
        if self.is_sure or self._late or self._renewed_late():
            return
        raise ConcurrentEditError(
            "the lock on the store was lost, as it could not be renewed in time",
            store=self._place.url,
            got=None if self._failed is None else str(self._failed),
            hint="open the store again, see what is there and repeat the write",
        ) from self._failed

    def _renewed_late(self) -> bool:
        """Whether nobody has taken it although it had run out: then it may be renewed, and nothing has happened."""
        if not self._place.locks_everyone or self._renewed == -math.inf:
            return False
        with self._turn:
            # The renewal is itself a change that is checked.
            self._late = True
            try:
                return self._beat()
            finally:
                self._late = False

    def _beat(self) -> bool:
        """Renew it; whether it is still held. A place that does not answer now may do so before it has run out."""
        try:
            held = self._swap(self._held)
        except StoreError as error:
            self._failed = error
            return False
        if held is None:
            # Somebody has removed it, or has overwritten it against the rules.
            self._renewed, self._failed = -math.inf, None
            return False
        self._held, self._failed = held, None
        return True

    def keeps_others_out(self) -> bool:
        """Whether the place heeds the condition of a put; there are some that overwrite all the same."""
        with self._turn:
            overwritten = self._swap(None)
            self._held = overwritten or self._held
        return overwritten is None

    def end(self) -> None:
        """Let go of it."""
        self._ended.set()
        self._renewing.join()
        if self.is_sure:
            # What was written is there; a lease that is not removed runs out by itself.
            with suppress(StoreError, ConcurrentEditError):
                self._place.delete(LEASE_KEY)

    def _swap(self, expected: Versioned | None) -> Versioned | None:
        """The lease as it is now held; None where somebody else was faster."""
        self._beats += 1
        sent = _now()
        data = json.dumps({"owner": self._owner, "beat": self._beats}).encode()
        try:
            held = self._place.swap(LEASE_KEY, data, expected)
        except ConcurrentEditError:
            return None
        self._renewed = sent
        return held

    def _taken(self) -> Versioned:
        waited, still, owner, pause = 0.0, 0.0, "", _FIRST_PAUSE
        seen: Versioned | None = None
        looked = _now()
        found: Versioned | None = None
        while True:
            if found is None:
                held = self._swap(None)
                if held is not None and self._is_settled(held):
                    return held
            # While another one holds it, looking is all that whoever waits asks of the place.
            found = self._place.read_versioned(LEASE_KEY)
            if found is None:
                continue
            turn = min(_now() - looked, _LONGEST_TURN)
            looked = _now()
            waited += turn
            still = still + turn if seen is not None and found.data == seen.data else 0.0
            seen = found
            if _owner_of(found) != owner:
                owner, waited = _owner_of(found), 0.0
            if still >= DEAD_SECONDS:
                held = self._swap(found)
                if held is not None and self._is_settled(held):
                    return held
            elif waited > _PATIENCE_SECONDS:
                raise ConcurrentEditError(
                    f"another writer has been writing to the store for {_PATIENCE_SECONDS:.0f} s",
                    store=self._place.url,
                    hint="try again when it is done",
                )
            time.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _is_settled(self, held: Versioned) -> bool:
        """Whether nobody has taken it at the same moment, where the place itself does not see to that."""
        if self._place.locks_everyone:
            return True
        time.sleep(_FIRST_PAUSE)
        found = self._place.read_versioned(LEASE_KEY)
        return found is not None and found.data == held.data

    def _renew(self) -> None:
        while not self._ended.wait(LEASE_SECONDS / _RENEWALS):
            with self._turn:
                self._beat()
            if self._renewed == -math.inf:
                return


def _owner_of(found: Versioned) -> str:
    try:
        said: Any = json.loads(found.data)
        return str(said["owner"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""


@contextmanager
def holding(place: Place) -> Iterator[Lease]:
    """The lease of a place, while the context is open."""
    lease = Lease(place)
    try:
        yield lease
    finally:
        lease.end()
