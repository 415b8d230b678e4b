"""Distributions in the scenario file, of durations and of token counts.

Each takes the parameters that a person has: mean with cv, or median with p99.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, model_validator
from pydantic_core import PydanticCustomError

from fedsim.scenario.schema.base import Choice, Settings, error, error_from, union_of
from fedsim.scenario.schema.types import Duration, TokenCount
from fedsim.workload import distributions
from fedsim.workload.distributions import Distribution

Q = TypeVar("Q", bound=float)

_SKEWED = {
    "lognormal": distributions.Lognormal,
    "gamma": distributions.Gamma,
    "weibull": distributions.Weibull,
    "pareto": distributions.Pareto,
}
_MEAN_CV = frozenset(("mean", "cv"))
_MEDIAN_P99 = frozenset(("median", "p99"))


def _describe(schema: dict[str, Any], model: type[Any]) -> None:
    """Give the JSON Schema of a parametrized model the docstring of the generic one."""
    generic = model.__pydantic_generic_metadata__["origin"] or model
    schema["description"] = generic.__doc__


class DistributionSettings(Settings):
    """A distribution of values of 0 or more."""

    model_config = ConfigDict(json_schema_extra=_describe)

    def build(self) -> Distribution:
        """Return the distribution.

        Raises:
            ValueError: There is none with these parameters.
        """
        raise NotImplementedError

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Return the name of the model in the JSON Schema."""
        return f"{cls.__name__}{'Duration' if params[0] is Duration else 'Count'}"

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        try:
            self.build()
        except PydanticCustomError:
            raise
        except (ValueError, ArithmeticError) as failure:
            raise error_from(failure) from None
        return self

    def _require(self, *choices: frozenset[str]) -> frozenset[str]:
        """Return the one of *choices* whose parameters are given, and no others."""
        parameters = type(self).model_fields.keys() - {"distribution"}
        given = frozenset(name for name in parameters if getattr(self, name) is not None)
        if given in choices:
            return given
        ways = " or ".join(" and ".join(sorted(choice)) for choice in choices)
        got = " and ".join(sorted(given)) or "no parameters"
        kind = getattr(self, "distribution", "")
        message = f"A distribution of the kind {kind} does not take {got}."
        raise error(message, f"Give {ways}.")


class Constant(DistributionSettings, Generic[Q]):
    """Always the same value."""

    distribution: Literal["constant"]
    value: Q = Field(description="The value.")

    def build(self) -> Distribution:
        """Return the distribution."""
        return distributions.Constant(self.value)


class Exponential(DistributionSettings, Generic[Q]):
    """Memoryless: give the mean or the median."""

    distribution: Literal["exponential"]
    mean: Q | None = Field(default=None, description="The mean.")
    median: Q | None = Field(default=None, description="The median.")

    def build(self) -> Distribution:
        """Return the distribution."""
        self._require(frozenset(("mean",)), frozenset(("median",)))
        if self.mean is not None:
            return distributions.Exponential(self.mean)
        return distributions.Exponential.from_median(_given(self.median))


class Uniform(DistributionSettings, Generic[Q]):
    """Evenly between two bounds: give low and high, or mean and cv, or median and p99."""

    distribution: Literal["uniform"]
    low: Q | None = Field(default=None, description="The least value.")
    high: Q | None = Field(default=None, description="The greatest value.")
    mean: Q | None = Field(default=None, description="The mean.")
    cv: float | None = Field(default=None, gt=0, description="Standard deviation over mean.")
    median: Q | None = Field(default=None, description="The median.")
    p99: Q | None = Field(default=None, description="The 99th percentile.")

    def build(self) -> Distribution:
        """Return the distribution."""
        bounds = frozenset(("low", "high"))
        given = self._require(bounds, _MEAN_CV, _MEDIAN_P99)
        if given == bounds:
            return distributions.Uniform(_given(self.low), _given(self.high))
        if given == _MEAN_CV:
            return distributions.Uniform.from_mean_cv(_given(self.mean), _given(self.cv))
        return distributions.Uniform.from_median_p99(_given(self.median), _given(self.p99))


class Skewed(DistributionSettings, Generic[Q]):
    """With a tail: give mean and cv, or median and p99."""

    distribution: Literal["lognormal", "gamma", "weibull", "pareto"]
    mean: Q | None = Field(default=None, description="The mean.")
    cv: float | None = Field(default=None, gt=0, description="Standard deviation over mean.")
    median: Q | None = Field(default=None, description="The median.")
    p99: Q | None = Field(default=None, description="The 99th percentile.")

    def build(self) -> Distribution:
        """Return the distribution."""
        kind: Any = _SKEWED[self.distribution]
        built: Distribution
        if self._require(_MEAN_CV, _MEDIAN_P99) == _MEAN_CV:
            built = kind.from_mean_cv(_given(self.mean), _given(self.cv))
        else:
            built = kind.from_median_p99(_given(self.median), _given(self.p99))
        return built


class Hyperexponential(DistributionSettings, Generic[Q]):
    """Mostly fast, now and then slow: a mixture of two exponential distributions."""

    distribution: Literal["hyperexponential"]
    mean: Q = Field(description="The mean.")
    cv: float = Field(ge=1, description="Standard deviation over mean, 1 or more.")

    def build(self) -> Distribution:
        """Return the distribution."""
        return distributions.Hyperexponential.from_mean_cv(self.mean, self.cv)


class Empirical(DistributionSettings, Generic[Q]):
    """The values of a sample, each as likely as it is frequent."""

    distribution: Literal["empirical"]
    values: list[Q] = Field(min_length=1, description="The sample.")

    def build(self) -> Distribution:
        """Return the distribution."""
        return distributions.Empirical(tuple(self.values))


def _given(value: float | None) -> float:
    assert value is not None
    return value


CHOICE = Choice(
    key="distribution",
    tags={
        "constant": "<constant>",
        "exponential": "<exponential>",
        "uniform": "<uniform>",
        "lognormal": "<skewed>",
        "gamma": "<skewed>",
        "weibull": "<skewed>",
        "pareto": "<skewed>",
        "hyperexponential": "<hyperexponential>",
        "empirical": "<empirical>",
    },
    noun="distribution",
)

_MODELS: Mapping[str, Any] = {
    "<constant>": Constant,
    "<exponential>": Exponential,
    "<uniform>": Uniform,
    "<skewed>": Skewed,
    "<hyperexponential>": Hyperexponential,
    "<empirical>": Empirical,
}


def _of(quantity: Any) -> Any:
    """Return the union of the distributions of a quantity."""
    return union_of({tag: partial(_model, tag, quantity) for tag in _MODELS})


def _model(tag: str, quantity: Any) -> type[DistributionSettings]:
    model: type[DistributionSettings] = _MODELS[tag][quantity]
    return model


if TYPE_CHECKING:  # a union that is made at run time is no type
    DurationDistribution = DistributionSettings
    CountDistribution = DistributionSettings
else:
    DurationDistribution = _of(Duration)
    """Distributions of durations: a union that is to be discriminated by ``CHOICE``."""

    CountDistribution = Annotated[
        _of(TokenCount), Discriminator(CHOICE.tag), BeforeValidator(CHOICE.check)
    ]
    """A distribution of token counts."""

AnyDuration = Annotated[
    DurationDistribution, Discriminator(CHOICE.tag), BeforeValidator(CHOICE.check)
]
"""A distribution of durations."""
