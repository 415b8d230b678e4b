"""Traffic of ServeGen's clients in the scenario file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from fedsim.scenario.schema.base import Settings, error
from fedsim.scenario.schema.derived import default_of
from fedsim.scenario.schema.types import Duration, PositiveDuration
from fedsim.workload.servegen import ServeGen


class ServeGenArrivals(Settings):
    """Requests drawn from the published rates and lengths of a model's clients, its tenants."""

    model_config = ConfigDict(serialize_by_alias=True)

    process: Literal["trace"]
    format: Literal["servegen"] = Field(description="Statistics of clients in place of requests.")
    file: str = Field(
        min_length=1,
        description="Rates of the clients, gzipped or not; relative to the scenario file.",
        examples=["servegen/client_rates.csv.gz"],
    )
    model: str = Field(
        min_length=1, description="Whose clients: a model of the file.", examples=["m-large"]
    )
    lengths: str | None = Field(
        default=None,
        min_length=1,
        description="Lengths of their requests; where not given, the stream's tokens say.",
        examples=["servegen/client_lengths.jsonl.gz"],
    )
    start: Duration = Field(
        default=0.0, alias="from", description="Where in the data to begin, at a full 10 minutes."
    )
    end: PositiveDuration | None = Field(
        default=None, alias="to", description="Where in the data to end; at its end if not given."
    )
    speed: float = Field(
        default=default_of(ServeGen, "speed"),
        gt=0,
        description="How many times as fast as recorded it is played.",
    )
    rate_factor: float = Field(
        default=default_of(ServeGen, "rate_factor"),
        gt=0,
        description="Is multiplied with all rates.",
    )

    @model_validator(mode="after")
    def _begins_before_its_end(self) -> Self:
        if self.start % 600.0 != 0.0:
            message = "The data has windows of 10 minutes, and this is inside one."
            raise error(message, "Write a multiple of 10min.", "from")
        if self.end is not None and self.end <= self.start:
            message = "The end is not after the beginning."
            raise error(message, "Write a later to, or an earlier from.", "to")
        return self

    @property
    def brings_tokens(self) -> bool:
        """Whether the files have the token counts."""
        return self.lengths is not None

    def found_in(self, folder: Path) -> Self:
        """Return the same with its files, which are relative to *folder*, named in full."""
        named = {"file": self.file} | ({} if self.lengths is None else {"lengths": self.lengths})
        return self.model_copy(
            update={key: (folder / file).resolve().as_posix() for key, file in named.items()}
        )
