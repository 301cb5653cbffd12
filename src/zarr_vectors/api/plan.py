"""What a read will cost, before it is made."""

from __future__ import annotations

from dataclasses import dataclass

from zarr_vectors.storage.rehearsal import Round

__all__ = ["QueryPlan"]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True)
class QueryPlan:
    """What a read will ask of the place where a store lies; ``print(plan)`` shows it as a table.

    Rounds follow one another, while the requests of one are sent together, so that rounds times latency is the least
    time that the read takes.

    Args:
        steps: The rounds, in order.
        present: Chunks that the level has.

    Example:
        >>> import zarr_vectors as zv
        >>> _ = zv.write("memory://plan-doc", zv.Points([[0.0, 1.0], [5.0, 2.0]]), layout=zv.Layout(chunk_shape=(1, 1)))
        >>> plan = zv.open("memory://plan-doc")[0].plan(bbox=([0, 0], [1, 1]))
        >>> plan.chunks, plan.present
        (1, 2)
    """

    steps: tuple[Round, ...]
    present: int

    @property
    def rounds(self) -> int:
        """How often requests are sent."""
        return len(self.steps)

    @property
    def requests(self) -> int:
        """How many requests there are in all."""
        return sum(step.requests for step in self.steps)

    @property
    def nbytes(self) -> int:
        """Bytes that they bring, as they are stored."""
        return sum(step.nbytes for step in self.steps)

    @property
    def cells(self) -> int:
        """Cells that are read, of all arrays."""
        return sum(step.cells for step in self.steps)

    @property
    def chunks(self) -> int:
        """Chunks that are read."""
        return sum(step.chunks for step in self.steps)

    def __str__(self) -> str:
        head = f"{self.rounds} rounds, {self.requests} requests, {_size(self.nbytes)}"
        head = f"{head}; {self.chunks} of {self.present} chunks"
        rows = [("round", "requests", "bytes", "cells", "what")]
        rows += [
            (str(number), str(step.requests), _size(step.nbytes), str(step.cells or ""), step.what)
            for number, step in enumerate(self.steps, 1)
        ]
        widths = [max(len(row[place]) for row in rows) for place in range(4)]
        lines = ["  ".join([*(f"{cell:>{width}}" for cell, width in zip(row, widths)), row[4]]) for row in rows]  # noqa: B905 - the last is not padded
        return "\n".join([head, *lines])


def _size(nbytes: float) -> str:
    for unit in _UNITS:
        if nbytes < 1024 or unit == _UNITS[-1]:
            break
        nbytes /= 1024
    return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
