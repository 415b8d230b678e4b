"""Streams of requests in the scenario file: what arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from fedsim.federation.contracts import QoSRequirements
from fedsim.scenario.schema.arrivals import Arrivals, CurvedArrivals
from fedsim.scenario.schema.base import Later, Settings, error
from fedsim.scenario.schema.derived import default_of
from fedsim.scenario.schema.pools import Privacy
from fedsim.scenario.schema.sizes import AnyTokens, TenantSettings, numbered
from fedsim.scenario.schema.types import CapabilityName, Name, PositiveDuration, TokenRate, Weight
from fedsim.world.config import StreamConfig

if TYPE_CHECKING:
    from fedsim.scenario.schema.details import (
        AudioSettings,
        ConversationSettings,
        PictureSettings,
        PrefixSettings,
    )
else:
    AudioSettings, ConversationSettings, PictureSettings, PrefixSettings = (
        Annotated[Any, Later.at("fedsim.scenario.schema.details", f"{name}Settings")]
        for name in ("Audio", "Conversation", "Picture", "Prefix")
    )


class Qos(Settings):
    """Quality of service that each request of a stream asks for."""

    privacy: Privacy = Field(
        default="internal",
        description="Level of the data; a region that serves it must be at least as private.",
    )
    max_latency: PositiveDuration | None = Field(
        default=None, description="Longest acceptable latency; any where not given."
    )
    min_throughput: TokenRate | None = Field(
        default=None,
        description="Least acceptable throughput of a node in tokens; any where not given.",
        examples=["100 tokens/s"],
    )
    prefer_gpu: bool = Field(
        default=default_of(QoSRequirements, "prefer_gpu"),
        description="Whether nodes with a GPU are preferred to those without.",
    )
    cost_tolerance: int = Field(
        default=default_of(QoSRequirements, "cost_tolerance"),
        ge=0,
        le=100,
        description="From 0, cheapest, to 100, fastest.",
    )

    @field_validator("min_throughput")
    @classmethod
    def _whole(cls, value: float | None) -> float | None:
        if value is not None and not value.is_integer():
            message = f"{value:g} tokens per second is not a whole number."
            raise error(message, f"Write {max(round(value), 1)} tokens/s.")
        return value


class NamedTenant(Settings):
    """A tenant with a name."""

    share: Weight | None = Field(
        default=None,
        description=(
            "Weight of its share of the stream's requests; the weights need not add up to 1. 1 "
            "where not given."
        ),
    )
    arrivals: Arrivals | None = Field(
        default=None,
        description="When its own requests arrive, in place of a share of the stream's.",
        examples=[{"process": "gamma", "rate": "5/s", "cv": 3}],
    )
    tokens: AnyTokens | None = Field(
        default=None, description="Its token counts; those of the stream where not given."
    )

    @model_validator(mode="after")
    def _one_rate(self) -> Self:
        if self.arrivals is None:
            return self
        if self.share is not None:
            message = "The tenant has arrivals of its own, so that there is nothing to share."
            raise error(message, "Remove share, or arrivals.", "share")
        if not isinstance(self.arrivals, CurvedArrivals):
            message = f"A tenant's own arrivals cannot be of process {self.arrivals.process}."
            raise error(message, "Give it a stream of its own.", "arrivals")
        return self


NamedTenants = dict[Name, NamedTenant]
"""Tenants by name."""


def _kind_of_tenants(value: Any) -> str:
    return "<numbered>" if isinstance(value, TenantSettings) or numbered(value) else "<named>"


AnyTenants = Annotated[
    Annotated[TenantSettings, Tag("<numbered>")] | Annotated[NamedTenants, Tag("<named>")],
    Discriminator(_kind_of_tenants),
]
"""Who sends the requests of a stream."""


class Stream(Settings):
    """A stream of requests of one kind."""

    capability: CapabilityName = Field(
        default="generate", description="What the serving model must be able to do."
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "The model that must serve it, as pools name theirs; any with the capability where "
            "not given."
        ),
        examples=["llama-3.1-70b"],
    )
    origins: dict[str, Weight] | None = Field(
        default=None,
        min_length=1,
        description=(
            "Weights of the regions that the requests come from, which need not add up to 1; "
            "evenly from all regions where not given."
        ),
    )
    arrivals: Arrivals | None = Field(
        default=None,
        description="When the requests arrive; not given where each tenant has its own.",
        examples=[{"process": "poisson", "rate": "10 req/s"}],
    )
    tokens: AnyTokens | None = Field(
        default=None,
        description="Token counts; unknown where not given. A trace brings its own.",
    )
    prefixes: PrefixSettings | None = Field(
        default=None,
        description="System prompts that prompts begin with; none where not given.",
    )
    conversation: ConversationSettings | None = Field(
        default=None,
        description="How each arrival goes on as a session; a single request where not given.",
    )
    audio: AudioSettings | None = Field(
        default=None, description="The speech to be recognized or synthesized; none if not given."
    )
    pictures: PictureSettings | None = Field(
        default=None, description="The pictures to be generated; none where not given."
    )
    tenants: AnyTenants | None = Field(
        default=None, description="Who sends the requests; no tenant where not given."
    )
    priority: int = Field(
        default=default_of(StreamConfig, "priority"),
        ge=-1000,
        le=1000,
        description=(
            "Lower matters more: it is served first in engines whose order is priority, and turned "
            "away last where load is shed, where 0 and less matter most."
        ),
    )
    streamed: Literal["on", "off"] | None = Field(
        default=None,
        description=(
            "Whether clients read answers token by token, so that deadlines bound the first token "
            "and the gaps between tokens, and a stream that has begun is not tried again; where "
            "not given, on for the capabilities generate and code if a pool with an engine has "
            "them."
        ),
    )
    qos: Qos = Field(default_factory=Qos, description="What each request asks for.")

    @field_validator("origins")
    @classmethod
    def _some_weight(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        if value is not None and not sum(value.values()) > 0.0:
            message = "The weights add up to 0."
            raise error(message, "Give at least one region a weight above 0.")
        return value

    @model_validator(mode="after")
    def _arrives_once(self) -> Self:
        own = [name for name, tenant in self.named_tenants.items() if tenant.arrivals is not None]
        if self.arrivals is not None:
            if own:
                message = f"The stream has arrivals, and so has its tenant {own[0]}."
                raise error(message, "Keep the one or the other.", "arrivals")
            return self
        if not own:
            message = "The key 'arrivals' is missing."
            remedy = "Add it, for instance arrivals: {process: poisson, rate: 10 req/s}."
            raise error(message, remedy, "arrivals")
        for name, tenant in self.named_tenants.items():
            if tenant.arrivals is None:
                message = f"The tenant {name} has no arrivals, unlike others of the stream."
                raise error(message, "Give each tenant its own, or none.", "tenants")
        return self

    @model_validator(mode="after")
    def _one_source_of_tokens(self) -> Self:
        arrivals = self.arrivals
        if arrivals is None or arrivals.process != "trace" or not arrivals.brings_tokens:
            return self
        for key in ("tokens", "prefixes", "conversation"):
            if getattr(self, key) is not None:
                message = "The stream replays a trace, which brings its own token counts."
                raise error(message, f"Remove {key}.", key)
        return self

    @model_validator(mode="after")
    def _clients_are_tenants(self) -> Self:
        arrivals = self.arrivals
        if arrivals is None or arrivals.process != "trace" or self.tenants is None:
            return self
        if arrivals.format == "servegen":
            message = "The clients of the file are the tenants of the stream."
            raise error(message, "Remove tenants.", "tenants")
        if arrivals.columns is not None and arrivals.columns.tenant is not None:
            message = "The trace says who sends each request."
            raise error(message, "Remove tenants, or the column of tenants.", "tenants")
        return self

    @model_validator(mode="after")
    def _one_kind_of_work(self) -> Self:
        text = [key for key in ("prefixes", "conversation") if getattr(self, key) is not None]
        other = [key for key in ("audio", "pictures") if getattr(self, key) is not None]
        if len(other) == 2 or (text and other):
            one, another = (text + other)[0], other[-1]
            message = f"A request cannot have both {one} and {another}."
            raise error(message, "Make two streams of it.", another)
        return self

    @model_validator(mode="after")
    def _prompts_are_known(self) -> Self:
        known = set() if self.tokens is None else self.tokens.known
        if self.conversation is not None and known != {"prompt", "output"}:
            message = "Prompts of a conversation grow by messages and answers."
            remedy = "Add tokens: {prompt: …, output: …}, of one message and one answer."
            raise error(message, remedy, "conversation")
        if self.prefixes is not None and "prompt" not in known:
            message = "A system prompt is followed by a prompt, whose length is not given."
            raise error(message, "Add tokens: {prompt: …}.", "prefixes")
        return self

    @model_validator(mode="after")
    def _sessions_are_new(self) -> Self:
        if self.conversation is None:
            return self
        if self.arrivals is not None and self.arrivals.process == "closed_loop":
            message = "A closed loop has users who never leave, and a conversation ends."
            raise error(message, "Use another arrival process, for new sessions.", "arrivals")
        if self.prefixes is not None:
            self.prefixes.require_blocks(self.conversation.block_tokens)
        return self

    @field_validator("tenants")
    @classmethod
    def _some_share(cls, value: AnyTenants | None) -> AnyTenants | None:
        if isinstance(value, dict) and all(tenant.share == 0.0 for tenant in value.values()):
            message = "The shares add up to 0."
            raise error(message, "Give at least one tenant a share above 0.")
        return value

    @property
    def named_tenants(self) -> NamedTenants:
        """The tenants that have names, by name."""
        return self.tenants if isinstance(self.tenants, dict) else {}


Workload = dict[Name, Stream]
