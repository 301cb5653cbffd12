"""Problems as values, and what a validation returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from zarr_vectors.exceptions import CorruptionError, MetadataError, MissingDependencyError, ValidationError, ZVError
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.typing import AnyArray, IntArray, JsonObject
from zarr_vectors.validate.rules import RULES, Severity

__all__ = ["Findings", "Problem", "ValidationResult", "told"]

_SHOWN = 20
"""Problems of one kind in one array that the text names one by one."""
_UNEXPECTED = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What code that is right for sound stores may raise on others."""


def told(kind: str, path: str, cell: str | None, message: str) -> str:
    """What is said of a place, as a line for people."""
    return f"{path or 'root'}{f' [{cell}]' if cell is not None else ''}: {message} ({kind})"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a store.

    Args:
        kind: Which rule is broken; a key of ``zarr_vectors.validate.rules.RULES``.
        path: Node below the store's root, such as ``"0/vertices"``; empty for the root.
        cell: Chunk key of the cell, number of the row of a table, or None.
        severity: ``"error"``, or ``"warning"`` for what can be lived with.
        message: What is wrong, with the values that are.
    """

    kind: str
    path: str
    cell: str | None
    severity: Severity
    message: str

    def __str__(self) -> str:
        return told(self.kind, self.path, self.cell, self.message)

    def to_json(self) -> JsonObject:
        """As a JSON object."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "path": self.path,
            "cell": self.cell,
            "message": self.message,
        }


@dataclass(frozen=True)
class ValidationResult:
    """What a validation found.

    Args:
        store: URL.
        level: Up to which level rules were checked.
        problems: Everything that is wrong, in the order of the rules, then by path and cell.
        unchecked: What could not be looked for, and why, as sentences: nobody knows whether it is there.

    Example:
        >>> problem = Problem("cell_missing", "0/vertices", "0.0.1", "error", "listed as present, but gone")
        >>> result = ValidationResult("scan.zarrvectors", 3, (problem,))
        >>> result.ok, result.errors[0].cell, result.counts
        (False, '0.0.1', {'cell_missing': 1})
        >>> print(result.summary())
        scan.zarrvectors: 1 error, 0 warnings at level 3
        error   0/vertices [0.0.1]: listed as present, but gone (cell_missing)
    """

    store: str
    level: int
    problems: tuple[Problem, ...] = ()
    unchecked: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there are no errors."""
        return not self.errors

    @cached_property
    def errors(self) -> tuple[Problem, ...]:
        """Problems that make the store, or a part of it, unreadable or wrong."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @cached_property
    def warnings(self) -> tuple[Problem, ...]:
        """Problems that can be lived with."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")

    @property
    def counts(self) -> dict[str, int]:
        """Number of problems of each kind."""
        return dict(Counter(problem.kind for problem in self.problems))

    def summary(self) -> str:
        """Lines for people: what was found, errors first; of many alike the first ones."""
        errors, warnings = len(self.errors), len(self.warnings)
        texts = [f"{errors} error{'s' * (errors != 1)}", f"{warnings} warning{'s' * (warnings != 1)}"]
        lines = [f"{self.store}: {', '.join(texts)} at level {self.level}"]
        alike: Counter[tuple[str, str]] = Counter()
        for problem in (*self.errors, *self.warnings):
            alike[problem.kind, problem.path] += 1
            if alike[problem.kind, problem.path] <= _SHOWN:
                lines.append(f"{problem.severity:<7} {problem}")
        lines += [
            f"        {path or 'root'}: {count - _SHOWN:,} more of {kind}"
            for (kind, path), count in alike.items()
            if count > _SHOWN
        ]
        lines += [f"not looked for: {what}" for what in self.unchecked]
        return "\n".join(lines)

    def to_json(self) -> JsonObject:
        """As a JSON object: ``store``, ``level``, ``ok``, ``problems`` and ``unchecked``."""
        return {
            "store": self.store,
            "level": self.level,
            "ok": self.ok,
            "problems": [problem.to_json() for problem in self.problems],
            "unchecked": list(self.unchecked),
        }

    def check(self) -> ValidationResult:
        """Itself, if there are no errors.

        Raises:
            ValidationError: There are, with all of them in ``problems``.
        """
        if self.ok:
            return self
        first = self.errors[0]
        raise ValidationError(
            f"the store does not pass validation at level {self.level}",
            store=self.store,
            array=first.path,
            cell=first.cell,
            got=first.message,
            problems=[str(problem) for problem in self.errors],
        )


@dataclass
class Findings:
    """Where problems are collected; several threads may do so at once.

    Args:
        store: URL of the store.
        level: Up to which level rules are checked.
    """

    store: str
    level: int
    problems: list[Problem] = field(default_factory=list)
    unchecked: dict[str, None] = field(default_factory=dict)

    def leave_out(self, what: str, why: str | ZVError) -> None:
        """Tell that something could not be looked for."""
        self.unchecked[f"{what} ({why.message if isinstance(why, ZVError) else why})"] = None

    def add(
        self, kind: str, path: str, message: str, *, cell: str | int | None = None, severity: Severity | None = None
    ) -> None:
        """Add a problem, unless its kind is looked for at a higher level only."""
        rule = RULES[kind]
        if rule.level <= self.level:
            text = None if cell is None else str(cell)
            self.problems.append(Problem(kind, path, text, severity or rule.severity, message))

    def add_cells(
        self,
        kind: str,
        path: str,
        coords: IntArray,
        bad: AnyArray,
        message: Callable[[int], str],
        severity: Severity | None = None,
    ) -> None:
        """Add a problem for each cell of a mask, or of numbers of cells; ``message`` is asked about each."""
        rows = np.flatnonzero(bad) if bad.dtype == bool else bad
        if len(rows):
            for row, key in zip(rows.tolist(), format_keys(coords[rows]), strict=True):
                self.add(kind, path, message(row), cell=key, severity=severity)

    def add_error(self, kind: str, path: str, error: ZVError) -> None:
        """Add what an error of this library says, one problem for each that it lists."""
        cell = None if error.cell is None else str(error.cell)
        if len(error.problems) > 1:
            for text in error.problems:
                self.add(kind, path, text, cell=cell)
            return
        facts = [f"{word} {value}" for word, value in (("expected", error.expected), ("got", error.got)) if value]
        self.add(kind, path, error.message + (f" ({', '.join(facts)})" if facts else ""), cell=cell)

    def errors_at(self, *heads: str, but: Collection[str] = ()) -> bool:
        """Whether there are errors at these nodes or below, of other kinds than those of ``but``."""
        below = tuple(f"{head}/" for head in heads)
        return any(
            problem.severity == "error"
            and problem.kind not in but
            and (problem.path in heads or problem.path.startswith(below))
            for problem in self.problems
        )

    def attempt(self, path: str, check: Callable[[], None], kind: str = "check_failed") -> None:
        """Make a check; what the store makes it raise is a problem of this kind.

        Raises:
            MissingDependencyError: The check needs a package that is not installed.
        """
        try:
            with np.errstate(all="ignore"):
                check()
        except MissingDependencyError:
            raise
        except (CorruptionError, MetadataError) as error:
            self.add_error(kind, error.array or path, error)
        except ZVError as error:
            self.add_error("check_failed", path, error)
        except _UNEXPECTED as error:
            self.add("check_failed", path, f"{type(error).__name__}: {error}")

    def result(self) -> ValidationResult:
        """Everything that was found, in order."""
        order = {kind: place for place, kind in enumerate(RULES)}
        # What keeps a check from being made may be a problem that has a name of its own.
        told = {problem.message for problem in self.problems if problem.kind != "check_failed"}
        unique = dict.fromkeys(
            problem for problem in self.problems if problem.kind != "check_failed" or problem.message not in told
        )
        ranked = sorted(unique, key=lambda problem: (order[problem.kind], problem.path, _cell_order(problem.cell)))
        return ValidationResult(self.store, self.level, tuple(ranked), tuple(self.unchecked))


def _cell_order(cell: str | None) -> Iterable[tuple[int, str]]:
    """Chunk keys and rows by their numbers."""
    parts = [] if cell is None else cell.split(".")
    return [(int(part), "") if part.lstrip("-").isdecimal() else (0, part) for part in parts]
