"""Common random numbers, checked: variants of one replication meet the same world."""

from __future__ import annotations

from collections.abc import Iterable

from fedsim.errors import ResultsError
from fedsim.studies.records import Record


def require_paired(records: Iterable[Record]) -> None:
    """Check that records of one replication met the same arrivals and faults.

    What only one of them has, such as the faults of a node that another lacks, is not compared.

    Raises:
        ResultsError: They did not; it names two variants and what differs.
    """
    first: dict[tuple[int, str], tuple[Record, str]] = {}
    for record in records:
        for name, digest in record.exogenous.items():
            other, expected = first.setdefault((record.replication, name), (record, digest))
            if digest != expected:
                msg = (
                    f"{_named(other)} and {_named(record)} are not paired: {name} differs in "
                    f"replication {record.replication} (seed {record.seed}), so that their "
                    "difference is not one of what is compared alone"
                )
                raise ResultsError(msg)


def _named(record: Record) -> str:
    return ", ".join(str(value) for value in record.key.values())
