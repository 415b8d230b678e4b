"""Regions, network and pools in the scenario file: what requests arrive at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from fedsim.scenario.schema.base import Later, Settings, error, off_or_mapping, shown, tag_of_word
from fedsim.scenario.schema.catalogued import Cost, LocationName
from fedsim.scenario.schema.derived import default_of
from fedsim.scenario.schema.distributions import AnyDuration
from fedsim.scenario.schema.service import Batching, Service, Switch
from fedsim.scenario.schema.types import (
    CapabilityName,
    CountFrom0,
    CountFrom1,
    Duration,
    Excess,
    Name,
    OptionalWord,
    PositiveDuration,
)
from fedsim.world.network import NetworkConfig
from fedsim.world.nodes.config import PoolConfig

if TYPE_CHECKING:
    from fedsim.scenario.schema.engine import Engine
    from fedsim.scenario.schema.scaler import Scaler

    ScalerChoice = Scaler | Literal["off"]
else:
    Engine = Annotated[Any, Later.at("fedsim.scenario.schema.engine", "Engine")]
    ScalerChoice = Annotated[
        Annotated[Any, Later.at("fedsim.scenario.schema.scaler", "AnyScaler"), Tag("<value>")]
        | Annotated[Literal["off"], Tag("<word>")],
        Discriminator(tag_of_word),
        BeforeValidator(off_or_mapping),
    ]

Privacy = Literal["public", "internal", "confidential", "restricted"]


class Region(Settings):
    """A region: a place with nodes, gateways and clients."""

    privacy: Privacy = Field(
        default="internal",
        description="The strictest privacy level whose data the region may hold.",
    )
    location: LocationName | None = Field(
        default=None,
        description=(
            "The region of a public cloud where it lies, from which the catalogue knows round "
            "trips: azure/… or aws/…, as fedsim catalogue locations lists them."
        ),
        examples=["azure/East US"],
    )


class Network(Settings):
    """Round-trip times."""

    within_region: Duration | None = Field(
        default=None,
        description=(
            "Round trip between two points of one region; where not given, the catalogue's for "
            "the location (aws), or else 1ms."
        ),
    )
    between: dict[str, Duration] = Field(
        default_factory=dict,
        description=(
            "Round trips between regions, by pairs such as us-east/eu-west; one order is enough. "
            "Needed for every region with a gateway and every other region with a pool, unless "
            "both have locations of one cloud; a round trip given here comes before that one."
        ),
        examples=[{"us-east/eu-west": "83ms"}],
    )
    jitter: Excess | None = Field(
        default=None,
        description=(
            "How much longer the 95th percentile of a round trip is than its median; where not "
            "given, the catalogue's for the two locations (azure), or else 5%."
        ),
    )
    connect_timeout: PositiveDuration = Field(
        default=default_of(NetworkConfig, "connect_timeout_s"),
        description=(
            "Time after which a gateway gives up a node that its messages do not reach, as in a "
            "partition."
        ),
    )


def _check_queue_limit(value: Any) -> Any:
    if value == "unlimited" or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    message = f"{shown(value)} is not a number of requests."
    raise error(message, "Write a whole number such as 64, or unlimited.")


QueueLimit = Annotated[
    Annotated[int, Field(ge=0), Tag("<value>")] | Annotated[Literal["unlimited"], Tag("<word>")],
    Discriminator(tag_of_word),
    BeforeValidator(_check_queue_limit),
]
"""A number of waiting requests, or ``unlimited``."""


class Pool(Settings):
    """A pool of equal nodes, named after it: us-chat-0, us-chat-1 and so on."""

    region: str = Field(description="The region of its nodes.", examples=["us-east"])
    count: CountFrom0 = Field(
        default=1,
        description=(
            "Number of nodes, with a scaler that of the start; with 0 everything is as if the pool "
            "were not there."
        ),
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "The model that they serve; that of the engine's profile where none is given, or else "
            "the pool's name."
        ),
    )
    capabilities: list[CapabilityName] = Field(
        default_factory=lambda: ["generate"],
        min_length=1,
        description="What the model can do.",
    )
    slots: CountFrom1 | None = Field(
        default=None,
        description=(
            "Requests in service at once on a node; 8 where not given. Not with an engine or with "
            "batching, whose max_batch it is."
        ),
    )
    service: Service | None = Field(
        default=None,
        description=(
            "How long a request holds a slot: a distribution, or times that depend on its size. "
            "Needed where there is no engine."
        ),
        examples=[{"distribution": "lognormal", "median": "900ms", "p99": "4s"}],
    )
    engine: Engine | None = Field(
        default=None, description="Continuous batching, in place of slots and service."
    )
    batching: Annotated[Batching, Later()] | None = Field(
        default=None, description="Static batching, in place of slots."
    )
    switch: Annotated[Switch, Later()] | None = Field(
        default=None, description="Base models and adapters that a node loads when asked for."
    )
    cold_start: AnyDuration | None = Field(
        default=None,
        description="Time that a node which comes back up is loading; none where not given.",
        examples=[{"distribution": "lognormal", "median": "45s", "p99": "2min"}],
    )
    queue_limit: QueueLimit | None = Field(
        default=None,
        description=(
            "Most requests that wait on a node, or unlimited; one more is refused. Where not "
            "given, 64 with slots, and unlimited with an engine or with batching."
        ),
    )
    weight: float = Field(
        default=default_of(PoolConfig, "weight"),
        gt=0.0,
        description=(
            "Share of the traffic that each node is meant to have next to others; for strategies "
            "that go by weights, others ignore it."
        ),
    )
    priority: int = Field(
        default=default_of(PoolConfig, "priority"),
        ge=0,
        le=100,
        description="Level of the nodes; strategies that go by levels use a lower one first.",
    )
    gpu: OptionalWord = Field(
        default=None,
        description=(
            "The node's GPU, or none; prefer_gpu looks at it. Where not given, that of the "
            "engine's profile, or else none."
        ),
    )
    cost: Cost | None = Field(
        default=None,
        description=(
            "Price of a node, idle or not; or an instance of the catalogue (aws/p5.48xlarge), or "
            "a provider's cheapest with a GPU (aws/h100_sxm), whose price per GPU counts for each "
            "GPU of the node."
        ),
        examples=["6.88 USD/h", "aws/h100_sxm"],
    )

    scaler: ScalerChoice = Field(
        default="off", description="An autoscaler, which orders nodes and gives them up, or off."
    )

    @model_validator(mode="after")
    def _begins_with_at_most_all(self) -> Self:
        if self.scaler != "off" and self.count > self.scaler.max:
            message = f"The pool begins with {self.count} nodes, more than its scaler's max."
            raise error(message, "Lower count, or raise max.", "count")
        return self

    @field_validator("capabilities")
    @classmethod
    def _all_different(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            twice = next(word for n, word in enumerate(value) if word in value[:n])
            message = f"The capability {twice!r} stands twice."
            raise error(message, "Remove one.")
        return value


Regions = dict[Name, Region]
Pools = dict[Name, Pool]
