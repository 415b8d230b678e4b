"""What each request of a run's window came to, for estimates that need more than its measures."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, fields
from io import BytesIO
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from fedsim.results.run import Run
from fedsim.results.sample import Sample

PARTS = 100
"""Number of equal parts of the window by which requests are told apart in time."""


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """The requests that arrived in the window of a run, in the order in which they did.

    Attributes:
        part: The part of the window in which each arrived, from 0 to ``PARTS`` − 1.
        sample: What summaries need to know of each.
    """

    part: NDArray[np.uint8]
    sample: Sample

    @classmethod
    def of(cls, run: Run) -> Observed:
        """Return the requests of the window of *run*."""
        arrived_s, sample = run.measures.observed()
        part = PARTS * (arrived_s - run.warmup_s) / (run.duration_s - run.warmup_s)
        return cls(np.minimum(part, PARTS - 1).astype(np.uint8), sample)

    @classmethod
    def pooled(cls, runs: Sequence[Observed]) -> Observed:
        """Return the requests of several runs, one run after the other."""
        columns = {
            each.name: np.concatenate([getattr(run.sample, each.name) for run in runs])
            for each in fields(Sample)
        }
        return cls(np.concatenate([run.part for run in runs]), Sample(**columns))

    def since(self, part: int) -> Observed:
        """Return the requests of that part of the window and of all later ones."""
        rows = np.flatnonzero(self.part >= part)
        return Observed(self.part[rows], self.sample.part(rows))

    def to_text(self) -> str:
        """Return them as a text, about 25 bytes a request."""
        file = BytesIO()
        columns = {each.name: getattr(self.sample, each.name) for each in fields(Sample)}
        np.savez_compressed(file, part=self.part, **columns)
        return b64encode(file.getvalue()).decode("ascii")

    @classmethod
    def from_text(cls, text: str) -> Observed:
        """Return what ``to_text`` gave.

        Raises:
            ValueError: It is broken, or another version of fedsim wrote it.
        """
        try:
            with np.load(BytesIO(b64decode(text, validate=True)), allow_pickle=False) as held:
                return cls(
                    held["part"], Sample(**{each.name: held[each.name] for each in fields(Sample)})
                )
        except (BadZipFile, EOFError, KeyError, OSError, ValueError) as error:
            msg = f"its requests are broken: {error}"
            raise ValueError(msg) from error
