"""How large requests are and who sends them, in the scenario file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from fedsim.scenario.schema.base import Later, Settings, error
from fedsim.scenario.schema.distributions import CountDistribution
from fedsim.scenario.schema.types import CountFrom1, Weight

if TYPE_CHECKING:
    from fedsim.scenario.schema.traces import TokenSample
else:
    TokenSample = Annotated[Any, Later.at("fedsim.scenario.schema.traces", "TokenSample")]


class Tokens(Settings):
    """Token counts of the requests of a stream, at least one of the two."""

    prompt: CountDistribution | None = Field(
        default=None,
        description="Tokens of a prompt; unknown where not given.",
        examples=[{"distribution": "lognormal", "median": 1020, "p99": 4142}],
    )
    output: CountDistribution | None = Field(
        default=None,
        description="Tokens of an answer; unknown where not given.",
        examples=[{"distribution": "lognormal", "median": 129, "p99": 601}],
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.prompt is None and self.output is None:
            message = "It gives neither prompt nor output."
            raise error(message, "Add one, or remove tokens.")
        return self

    @property
    def known(self) -> set[str]:
        """Which of the two counts are given."""
        return {key for key, value in self if value is not None}

    def found_in(self, _: Path) -> Self:
        """Return the same: it names no file."""
        return self


def _kind_of_tokens(value: Any) -> str:
    sampled = "trace" in value if isinstance(value, dict) else not isinstance(value, Tokens)
    return "<sample>" if sampled else "<tokens>"


AnyTokens = Annotated[
    Annotated[Tokens, Later(), Tag("<tokens>")] | Annotated[TokenSample, Tag("<sample>")],
    Discriminator(_kind_of_tokens),
]
"""Where token counts come from."""


class TenantSettings(Settings):
    """The tenants of a stream, whose shares follow Zipf's law."""

    count: CountFrom1 = Field(description="Number of tenants.", examples=[500])
    zipf: Weight = Field(
        default=1.0, le=100, description="Exponent of Zipf's law; 0 gives all the same share."
    )


def numbered(tenants: Any) -> bool:
    """Return whether *tenants*, as they stand in a file, are numbered and have no names."""
    if not isinstance(tenants, dict):
        return True
    keys = ("count", "zipf")
    return not tenants or any(key in tenants and not _is_mapping(tenants[key]) for key in keys)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict | Settings)
