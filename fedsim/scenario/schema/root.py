"""The scenario file as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from fedsim.federation.strategies.registry import CONTRACT_STRATEGIES
from fedsim.scenario.schema.base import Later, Settings, error, shown, suggestion
from fedsim.scenario.schema.derived import default_of
from fedsim.scenario.schema.faults import Faults
from fedsim.scenario.schema.federation import Federation
from fedsim.scenario.schema.pools import Network, Pools, Regions
from fedsim.scenario.schema.presets import AnyFederation
from fedsim.scenario.schema.types import (
    Confidence,
    CountFrom1,
    Duration,
    DurationOrOff,
    InnerShare,
    Instant,
    Name,
    PositiveDuration,
    RouterName,
    StrategyName,
)
from fedsim.scenario.schema.workload import Workload
from fedsim.world.config import WorldConfig

if TYPE_CHECKING:
    from fedsim.scenario.schema.expect import Expect
    from fedsim.scenario.schema.plan import Plan
    from fedsim.scenario.schema.slo import SloSettings
    from fedsim.scenario.schema.sweep import Sweep
else:
    Expect = Annotated[Any, Later.at("fedsim.scenario.schema.expect", "Expect")]
    Plan = Annotated[Any, Later.at("fedsim.scenario.schema.plan", "Plan")]
    SloSettings = Annotated[Any, Later.at("fedsim.scenario.schema.slo", "SloSettings")]
    Sweep = Annotated[Any, Later.at("fedsim.scenario.schema.sweep", "Sweep")]


class Record(Settings):
    """What is kept of a run."""

    tables: Literal["full", "summary"] = Field(
        default="full", description="full keeps all tables, summary only the summary."
    )
    decisions: Literal["on", "off"] = Field(
        default="off",
        description="Whether to keep every candidate of every decision, with what was known of it.",
    )
    nodes_every: DurationOrOff = Field(
        default=default_of(WorldConfig, "nodes_every_s"),
        description="Time between two samples of the nodes, or off.",
    )


class Compare(Settings):
    """What fedsim compare compares."""

    strategies: list[StrategyName] = Field(
        default_factory=lambda: list(CONTRACT_STRATEGIES),
        description="Strategies: built-in names, or module:Class.",
    )
    routers: list[RouterName] = Field(
        default_factory=list,
        description=(
            "Routers in place of ours, next to the strategies: module:Class, or an adapter and "
            "what is chosen there, such as litellm/least-busy."
        ),
    )
    replications: CountFrom1 | None = Field(
        default=None,
        description="Replications of each; those of study where not given.",
    )
    baseline: str | None = Field(
        default=None,
        description="What the others are set against; the first strategy where not given.",
    )

    @field_validator("strategies", "routers")
    @classmethod
    def _all_different(cls, value: list[str], info: ValidationInfo) -> list[str]:
        twice = [name for n, name in enumerate(value) if name in value[:n]]
        if twice:
            noun = "strategy" if info.field_name == "strategies" else "router"
            message = f"The {noun} {twice[0]} stands twice."
            raise error(message, "Remove one.")
        return value

    @model_validator(mode="after")
    def _baseline_is_compared(self) -> Self:
        compared = [*self.strategies, *self.routers]
        if not compared:
            message = "There is nothing to compare."
            raise error(message, "Name at least one strategy or router.")
        if self.baseline is not None and self.baseline not in compared:
            message = f"The baseline {shown(self.baseline)} is not among what is compared."
            raise error(message, suggestion(self.baseline, compared), "baseline")
        return self


class Precision(Settings):
    """How exact the estimates of a study are to be: the half-width of their intervals."""

    latency_mean: InnerShare | None = Field(default=None, description="The mean latency, relative.")
    latency_p50: InnerShare | None = Field(
        default=None, description="The latency, 50th percentile, relative."
    )
    latency_p90: InnerShare | None = Field(
        default=None, description="The latency, 90th percentile, relative."
    )
    latency_p95: InnerShare | None = Field(
        default=None, description="The latency, 95th percentile, relative."
    )
    latency_p99: InnerShare | None = Field(
        default=None, description="The latency, 99th percentile, relative."
    )
    latency_p999: InnerShare | None = Field(
        default=None, description="The latency, 99.9th percentile, relative."
    )
    ttft_p50: InnerShare | None = Field(
        default=None, description="The time to first token, 50th percentile, relative."
    )
    ttft_p95: InnerShare | None = Field(
        default=None, description="The time to first token, 95th percentile, relative."
    )
    ttft_p99: InnerShare | None = Field(
        default=None, description="The time to first token, 99th percentile, relative."
    )
    tpot_p50: InnerShare | None = Field(
        default=None, description="The time per output token, 50th percentile, relative."
    )
    tpot_p95: InnerShare | None = Field(
        default=None, description="The time per output token, 95th percentile, relative."
    )
    tpot_p99: InnerShare | None = Field(
        default=None, description="The time per output token, 99th percentile, relative."
    )
    queue_wait_mean: InnerShare | None = Field(
        default=None, description="The mean wait in queue, relative."
    )
    success_rate: InnerShare | None = Field(
        default=None, description="The success rate, in percentage points."
    )
    goodput: InnerShare | None = Field(
        default=None, description="The share of good requests, in percentage points."
    )


class Study(Settings):
    """What compare and other studies of many runs have in common."""

    replications: CountFrom1 = Field(
        default=10,
        description="Runs of each variant, each with a seed that follows from the scenario's.",
    )
    confidence: Confidence = Field(default=0.95, description="Confidence of every interval.")
    precision: Precision = Field(
        default_factory=Precision,
        description=(
            "Half-widths that the intervals of every variant are to have: replications are added "
            "in rounds of five until two looks in a row find them."
        ),
    )
    max_replications: CountFrom1 = Field(
        default=100, description="The largest number of replications that precision adds up to."
    )
    steady_state: bool = Field(
        default=False,
        description=(
            "Estimate what the scenario comes to in the long run, in place of a window of its "
            "length: the warm-up is found and left out, percentiles are those of all replications "
            "pooled, and there is no estimate where runs are too short for one."
        ),
    )


class ScenarioFile(Settings):
    """A fedsim scenario: regions, pools of nodes, what arrives, and the federation between."""

    name: Name | None = Field(
        default=None,
        description="The scenario's name; the file's, without extension, where none is given.",
    )
    description: str = Field(default="", description="What the scenario is about.")
    seed: int = Field(
        default=1, ge=0, le=2**63 - 1, description="Seed from which all randomness follows."
    )
    duration: PositiveDuration = Field(
        description="Arrivals stop at this time.", examples=["20min"]
    )
    start: Instant | None = Field(
        default=None,
        description=(
            "What the clock read at simulated time 0, with a zone. It changes no result: charts "
            "and reports show that clock next to simulated times."
        ),
        examples=["2026-11-03T14:05Z"],
    )
    warmup: Duration | None = Field(
        default=None,
        description=(
            "Requests that arrive earlier are left out of every summary, though recorded; a tenth "
            "of the duration where not given."
        ),
    )
    drain: Duration = Field(
        default=300.0,
        description="The world runs on after the duration until it is empty, or this long.",
    )
    regions: Regions = Field(
        min_length=1, description="The regions.", examples=[{"us-east": {}, "eu-west": {}}]
    )
    network: Network = Field(default_factory=Network, description="Round-trip times.")
    pools: Pools = Field(
        min_length=1,
        description="The pools of nodes.",
        examples=[{"us-chat": {"region": "us-east"}}],
    )
    workload: Workload = Field(
        min_length=1,
        description="The streams of requests.",
        examples=[{"chat": {"arrivals": {"process": "poisson", "rate": "10 req/s"}}}],
    )
    federation: AnyFederation = Field(
        default_factory=Federation, description="The real objects that run in the world."
    )
    faults: Faults = Field(
        default_factory=list,
        description=(
            "What goes wrong; a file stands for its rows, as an entry of the list or in its place."
        ),
    )
    slo: SloSettings | None = Field(default=None, description="The service objective.")
    record: Record = Field(default_factory=Record, description="What is kept of a run.")
    study: Study = Field(
        default_factory=Study, description="What all studies of many runs have in common."
    )
    compare: Annotated[Compare, Later()] | None = Field(
        default=None, description="What fedsim compare compares."
    )
    sweep: Sweep | None = Field(default=None, description="What fedsim sweep varies.")
    expect: Expect | None = Field(
        default=None, description="What fedsim test expects of the scenario's runs."
    )
    plan: Plan | None = Field(default=None, description="What fedsim plan looks for.")
