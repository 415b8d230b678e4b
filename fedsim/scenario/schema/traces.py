"""What is taken from recorded traffic in the scenario file: arrivals, and token counts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from fedsim.scenario.schema.base import Settings, error, listed
from fedsim.scenario.schema.derived import default_of
from fedsim.scenario.schema.types import Duration, DurationOrOff, PositiveDuration
from fedsim.workload.arrivals.replay import TraceReplay
from fedsim.workload.traces.formats import OWN_FORMATS, Columns


class TraceColumns(Settings):
    """The columns of one's own trace."""

    time: str = Field(
        default=default_of(Columns, "time"),
        min_length=1,
        description="Times, as numbers of seconds, or of what the name ends in, such as _ms, or "
        "as dates with times of day in UTC.",
    )
    prompt_tokens: str = Field(
        default=default_of(Columns, "prompt_tokens"),
        min_length=1,
        description="Tokens of the prompts.",
    )
    output_tokens: str = Field(
        default=default_of(Columns, "output_tokens"),
        min_length=1,
        description="Tokens of the answers.",
    )
    tenant: str | None = Field(
        default=None, min_length=1, description="Who sends the requests; unknown where not given."
    )
    origin: str | None = Field(
        default=None,
        min_length=1,
        description="Where they come from; drawn from the stream's origins where not given.",
    )


class TraceArrivals(Settings):
    """The requests of a recorded trace, with their times and token counts."""

    model_config = ConfigDict(serialize_by_alias=True)

    process: Literal["trace"]
    file: str = Field(
        min_length=1,
        description="The trace, gzipped or not; relative to the scenario file.",
        examples=["traces/synthetic_code.csv.gz"],
    )
    format: (
        Literal["azure", "burstgpt", "mooncake", "bailian", "csv", "jsonl", "parquet"] | None
    ) = Field(
        default=None,
        description="A published format, or that of your own file; found from it if not given.",
    )
    columns: TraceColumns | None = Field(
        default=None,
        description="Names of the columns of your own csv, jsonl or parquet file.",
        examples=[{"time": "ts", "prompt_tokens": "in", "output_tokens": "out"}],
    )
    where: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        description="The value that a row must have to be replayed, by column.",
        examples=[{"Model": "GPT-4"}],
    )
    regions: dict[str, str] = Field(
        default_factory=dict,
        description="The region for each name in the column of origins; the same if not given.",
        examples=[{"Frankfurt": "eu-west"}],
    )
    start: Duration = Field(
        default=0.0, alias="from", description="Where in the trace to begin, after its first row."
    )
    end: PositiveDuration | None = Field(
        default=None, alias="to", description="Where in the trace to end; at its end if not given."
    )
    spread: DurationOrOff | None = Field(
        default=None,
        description="Over how long requests of one recorded time are spread; 3s for mooncake "
        "where its times are quantised, and else off.",
    )
    rate_factor: float = Field(
        default=default_of(TraceReplay, "rate_factor"),
        gt=0,
        le=1000,
        description="Requests per recorded one: below 1 some are left out, above 1 copies added, "
        "with the spikes and days of the trace where they are.",
    )
    speed: float = Field(
        default=default_of(TraceReplay, "speed"),
        gt=0,
        description="How many times as fast as recorded it is replayed.",
    )

    @model_validator(mode="after")
    def _begins_before_its_end(self) -> Self:
        if self.end is not None and self.end <= self.start:
            message = "The end is not after the beginning."
            raise error(message, "Write a later to, or an earlier from.", "to")
        return self

    @model_validator(mode="after")
    def _columns_are_of_own_files(self) -> Self:
        if self.columns is not None:
            check_columns(self.format)
        if self.regions and (self.columns is None or self.columns.origin is None):
            message = "No column says where requests come from."
            raise error(message, "Name it: columns: {origin: …}, or remove regions.", "regions")
        return self

    @property
    def brings_tokens(self) -> bool:
        """Whether the file has the token counts: always."""
        return True

    def found_in(self, folder: Path) -> Self:
        """Return the same with its file, which is relative to *folder*, named in full."""
        return self.model_copy(update={"file": (folder / self.file).resolve().as_posix()})


def check_columns(form: str | None) -> None:
    """Check that a trace in the format *form* may have columns with names of one's own.

    Raises:
        PydanticCustomError: It may not.
    """
    if form not in {None, *OWN_FORMATS}:
        message = f"The format {form} has columns of its own."
        remedy = f"Remove columns, or write format: {listed(list(OWN_FORMATS))}."
        raise error(message, remedy, "columns")


class TokenSample(Settings):
    """Token counts drawn from a trace, both of a row together, with replacement."""

    trace: str = Field(
        min_length=1,
        description="The trace, gzipped or not; relative to the scenario file.",
        examples=["traces/synthetic_code.csv.gz"],
    )
    format: (
        Literal["azure", "burstgpt", "bailian", "mooncake", "csv", "jsonl", "parquet"] | None
    ) = Field(
        default=None, description="Format of the file; found from its content where not given."
    )
    columns: TraceColumns | None = Field(
        default=None,
        description="Names of the columns of your own csv, jsonl or parquet file.",
        examples=[{"prompt_tokens": "in", "output_tokens": "out"}],
    )

    @model_validator(mode="after")
    def _columns_are_of_own_files(self) -> Self:
        if self.columns is not None:
            check_columns(self.format)
        return self

    @property
    def known(self) -> set[str]:
        """Which of the two counts are given: both."""
        return {"prompt", "output"}

    @property
    def key(self) -> str:
        """A text that differs between samples, as long as their files are named in full."""
        return repr(self)

    def found_in(self, folder: Path) -> Self:
        """Return the sample with its file, which is relative to *folder*, named in full."""
        return self.model_copy(update={"trace": (folder / self.trace).resolve().as_posix()})
