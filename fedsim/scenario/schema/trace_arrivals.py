"""Replays of recorded traffic in the scenario file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedsim.scenario.schema.base import Settings


class TraceArrivals(Settings):
    """The requests of a published trace, with their times and token counts."""

    process: Literal["trace"]
    file: str = Field(
        min_length=1,
        description="The trace, gzipped or not; relative to the scenario file.",
        examples=["traces/synthetic_code.csv.gz"],
    )
    format: Literal["azure"] = Field(
        default="azure",
        description="Columns of the file; azure: TIMESTAMP, ContextTokens, GeneratedTokens.",
    )
    speed: float = Field(
        default=1.0, gt=0, description="How many times as fast as recorded it is replayed."
    )
