"""The contracts of a federation: what a catalog, a router, a gateway and the rest must do.

Every trait, type, variant and default of the federation's Rust definition has its counterpart here
under the same name in Python spelling. Durations and instants are ``float`` seconds and end in
``_s``; methods that return a boxed future there are ``async def`` here, the plain ones stay plain.
Values are frozen, so what middleware changes through ``&mut`` there it returns here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import ClassVar, NewType, Protocol, runtime_checkable

from fedsim.federation.values import quick

ModelId = NewType("ModelId", str)
RegionId = NewType("RegionId", str)
NodeId = NewType("NodeId", str)


class Capability:
    """What a model can do: one of the six known kinds, or a custom one.

    Instances are interned by key, so equality is identity: ``Capability.custom("ocr")`` is the same
    object wherever it is asked for, also after pickling.
    """

    __slots__ = ("key",)

    TRANSCRIBE: ClassVar[Capability]
    SYNTHESIZE: ClassVar[Capability]
    GENERATE: ClassVar[Capability]
    CODE: ClassVar[Capability]
    EMBED: ClassVar[Capability]
    IMAGE_GEN: ClassVar[Capability]

    key: str
    _interned: ClassVar[dict[str, Capability]] = {}

    def __new__(cls, key: str) -> Capability:
        """Return the capability of *key*: a known kind in snake case, or ``custom:<name>``."""
        known = cls._interned.get(key)
        if known is None:
            if not key.startswith("custom:") or key == "custom:":
                kinds = ", ".join(k for k in cls._interned if not k.startswith("custom:"))
                msg = f"{key!r} is not a capability; use one of {kinds}, or custom:<name>"
                raise ValueError(msg)
            known = cls._intern(key)
        return known

    @classmethod
    def _intern(cls, key: str) -> Capability:
        capability = object.__new__(cls)
        object.__setattr__(capability, "key", key)
        return cls._interned.setdefault(key, capability)

    @classmethod
    def custom(cls, name: str) -> Capability:
        """Return the custom capability *name*."""
        return cls(f"custom:{name}")

    def __setattr__(self, name: str, value: object) -> None:
        msg = f"Capability is immutable; cannot set {name}"
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> None:
        msg = f"Capability is immutable; cannot delete {name}"
        raise AttributeError(msg)

    def __reduce__(self) -> tuple[type[Capability], tuple[str]]:
        return (Capability, (self.key,))

    def __repr__(self) -> str:
        return f"Capability({self.key!r})"

    def __str__(self) -> str:
        return self.key


for _key in ("transcribe", "synthesize", "generate", "code", "embed", "image_gen"):
    setattr(Capability, _key.upper(), Capability._intern(_key))


class PrivacyLevel(IntEnum):
    """Privacy of data, and of the regions that may hold it; a higher level is stricter."""

    PUBLIC = 0
    """Public data, can route anywhere."""
    INTERNAL = 1
    """Internal only, keep within the organisation."""
    CONFIDENTIAL = 2
    """Confidential, specific regions only."""
    RESTRICTED = 3
    """Restricted, on premises only."""


@dataclass(frozen=True, slots=True)
class QoSRequirements:
    """Quality of service that a request asks for.

    Attributes:
        max_latency_s: Longest acceptable latency in seconds, or None for any.
        min_throughput: Least acceptable throughput of the node in tokens per second, or None.
        privacy: Level of the request's data; a serving region must be at least as private.
        prefer_gpu: Whether a node with a GPU is preferred over one without.
        cost_tolerance: 0 (cheapest) to 100 (fastest).
    """

    max_latency_s: float | None = None
    min_throughput: int | None = None
    privacy: PrivacyLevel = PrivacyLevel.INTERNAL
    prefer_gpu: bool = True
    cost_tolerance: int = 50


@quick
@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """One request for inference.

    Attributes:
        capability: What the serving model must be able to do.
        input: Opaque input data.
        qos: Quality of service asked for.
        request_id: Unique within a run.
        tenant_id: The user or tenant, or None.
        blocks: A hash for each consecutive block of the prompt; equal hashes mean equal
            content up to the block's end. Empty where nothing is known of the content.
        block_tokens: Tokens of a block; 0 without blocks.
        priority: How important it is: lower numbers matter more, and 0 matters most.
        model: Id of the model that must serve it, or None for any with the capability.
    """

    capability: Capability
    input: bytes
    qos: QoSRequirements
    request_id: str
    tenant_id: str | None = None
    blocks: tuple[int, ...] = ()
    block_tokens: int = 0
    priority: int = 0
    model: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class InferenceResponse:
    """What a node answered.

    Attributes:
        output: Output data.
        served_by: The node that served it.
        latency_s: From the send to the receipt at the gateway, in seconds.
        tokens: Tokens generated, where that applies.
    """

    output: bytes
    served_by: NodeId
    latency_s: float
    tokens: int | None = None


class FederationError(Exception):
    """The base of the eight ways in which a federation operation fails.

    ``kind`` is the name in snake case, as it stands in the ``outcome`` columns of the tables.
    """

    kind: ClassVar[str] = "federation_error"


class NoCapacity(FederationError):
    """No node is available for a capability, or for *model* with it, or the node's queue is full.

    A node that can never serve a request says why in *reason*.
    """

    kind = "no_capacity"

    def __init__(
        self, capability: Capability, reason: str | None = None, model: str | None = None
    ) -> None:
        given = (capability, reason, model)
        super().__init__(*given[: 3 if model is not None else 1 if reason is None else 2])
        self.capability = capability
        self.reason = reason
        self.model = model

    def __str__(self) -> str:
        if self.reason is not None:
            return self.reason
        model = "" if self.model is None else f", model: {self.model}"
        return f"No nodes available for capability: {self.capability}{model}"


class AllNodesUnhealthy(FederationError):
    """Nodes have the capability, but none of them is healthy."""

    kind = "all_nodes_unhealthy"

    def __init__(self, capability: Capability) -> None:
        super().__init__(capability)
        self.capability = capability

    def __str__(self) -> str:
        return f"All nodes unhealthy for capability: {self.capability}"


class QoSViolation(FederationError):
    """No node meets the request's quality of service."""

    kind = "qos_violation"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"QoS requirements cannot be met: {self.reason}"


class PrivacyViolation(FederationError):
    """No region may hold the request's data."""

    kind = "privacy_violation"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"Privacy policy violation: {self.reason}"


class NodeUnreachable(FederationError):
    """The node did not take the request, or was lost while serving it."""

    kind = "node_unreachable"

    def __init__(self, node_id: NodeId) -> None:
        super().__init__(node_id)
        self.node_id = node_id

    def __str__(self) -> str:
        return f"Node unreachable: {self.node_id}"


class Timeout(FederationError):
    """A deadline passed *after_s* seconds."""

    kind = "timeout"

    def __init__(self, after_s: float) -> None:
        super().__init__(after_s)
        self.after_s = after_s

    def __str__(self) -> str:
        return f"Timeout after {self.after_s:g} s"


class CircuitOpen(FederationError):
    """Every remaining node's circuit is open; names the first that will be probed again."""

    kind = "circuit_open"

    def __init__(self, node_id: NodeId) -> None:
        super().__init__(node_id)
        self.node_id = node_id

    def __str__(self) -> str:
        return f"Circuit breaker open for node: {self.node_id}"


class Internal(FederationError):
    """Anything else that went wrong on a node or in the federation."""

    kind = "internal"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"Internal error: {self.reason}"


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What the catalog knows of a model.

    Attributes:
        model_id: The model.
        name: Its name for people.
        version: Its version.
        capabilities: What it can do.
        parameters: Number of parameters; 0 where unknown.
        quantization: Name of the quantization, or None.
    """

    model_id: ModelId
    name: str
    version: str
    capabilities: tuple[Capability, ...]
    parameters: int = 0
    quantization: str | None = None


@runtime_checkable
class ModelCatalogTrait(Protocol):
    """Tracks the models that are available across the federation.

    Beyond the contract a catalog may have ``deployments() -> list[Deployment]`` and
    ``subscribe(on_change)``; our router follows one that has both, and asks any other before every
    decision.
    """

    async def register(
        self,
        model_id: ModelId,
        node_id: NodeId,
        region_id: RegionId,
        capabilities: Sequence[Capability],
    ) -> None:
        """Register a model instance on a node."""
        ...

    async def deregister(self, model_id: ModelId, node_id: NodeId) -> None:
        """Remove a model instance from a node."""
        ...

    async def find_by_capability(self, capability: Capability) -> list[tuple[NodeId, RegionId]]:
        """Return the ready nodes that have *capability*, with their regions."""
        ...

    async def list_all(self) -> list[ModelId]:
        """Return all registered models."""
        ...

    async def get_metadata(self, model_id: ModelId) -> ModelMetadata:
        """Return what is known of a model; raises ``Internal`` for an unknown one."""
        ...


class HealthState(Enum):
    """What a health checker thinks of a node."""

    HEALTHY = "healthy"
    """Accepting requests."""
    DEGRADED = "degraded"
    """Slow, but functional."""
    UNHEALTHY = "unhealthy"
    """Avoid routing to it."""
    UNKNOWN = "unknown"
    """Nothing is known yet."""


@quick
@dataclass(frozen=True, slots=True)
class NodeHealth:
    """A node's health as one gateway knows it.

    Attributes:
        node_id: The node.
        status: The verdict.
        latency_p50_s: Median latency in seconds over the window, network included; 0 where unknown.
        latency_p99_s: 99th percentile of the same.
        throughput: Tokens per second; 0 where unknown.
        gpu_utilization: 0 to 1 at the last probe, or None.
        queue_depth: Waiting requests at the last probe.
        last_check_s: Clock time in seconds of the newest sign of life or death, from probe or
            traffic; how far it lies in the past is the staleness of all the rest.
        running: Requests in service, or in the engine's batch, at the last probe, or None.
        kv_usage: Share of the key-value cache in use at the last probe, 0 to 1, or None.
        samples: Latencies that the two are worked out from, or None where unknown.
    """

    node_id: NodeId
    status: HealthState
    latency_p50_s: float
    latency_p99_s: float
    throughput: int
    gpu_utilization: float | None
    queue_depth: int
    last_check_s: float
    running: int | None = None
    kv_usage: float | None = None
    samples: int | None = None


@runtime_checkable
class HealthCheckerTrait(Protocol):
    """Monitors the health of nodes."""

    async def check_node(self, node_id: NodeId) -> NodeHealth:
        """Check one node now; raises ``NodeUnreachable`` or ``Timeout`` when it does not answer."""
        ...

    def get_cached_health(self, node_id: NodeId) -> NodeHealth | None:
        """Return what is known without asking, or None for a node that was never registered."""
        ...

    async def start_monitoring(self, interval_s: float) -> None:
        """Start to probe all nodes every *interval_s* seconds in the background."""
        ...

    async def stop_monitoring(self) -> None:
        """Stop the background probes."""
        ...


@quick
@dataclass(frozen=True, slots=True)
class RouteTarget:
    """The node that a router chose.

    Attributes:
        node_id: The node.
        region_id: Its region.
        endpoint: Its address.
        estimated_latency_s: Expected latency in seconds, network included; 0 where unknown.
        score: The router's score; higher is better.
    """

    node_id: NodeId
    region_id: RegionId
    endpoint: str = ""
    estimated_latency_s: float = 0.0
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class RouteScores:
    """The parts of a candidate's score, each 0 to 1 where higher is better.

    A policy that is asked about a candidate sees what is known of the node; the candidates that a
    router explains have what each policy made of it.
    """

    latency_score: float = 0.5
    throughput_score: float = 0.5
    cost_score: float = 0.5
    locality_score: float = 0.5
    health_score: float = 1.0
    total: float = 0.5


@dataclass(frozen=True, slots=True)
class RouteCandidate:
    """A node that a router considered, and why it may not be chosen.

    Attributes:
        target: The node.
        scores: The parts of its score.
        eligible: Whether it may serve the request.
        rejection_reason: Why not, in words; None when eligible.
    """

    target: RouteTarget
    scores: RouteScores = field(default_factory=RouteScores)
    eligible: bool = True
    rejection_reason: str | None = None


@runtime_checkable
class RouterTrait(Protocol):
    """Selects the node for a request.

    Beyond the contract a router may have ``on_start(target, request)``,
    ``on_first_token(target, request)``, ``on_response(target, request, response)`` just before
    ``on_complete(target, request, outcome, latency_s)``, and ``async route_excluding(request,
    excluded)``; the gateway calls those that exist.
    """

    async def route(self, request: InferenceRequest) -> RouteTarget:
        """Return the node that shall serve *request*, or raise a ``FederationError``."""
        ...

    async def get_candidates(self, request: InferenceRequest) -> list[RouteCandidate]:
        """Return every node with its scores and, where it may not serve, the reason."""
        ...


@runtime_checkable
class TokenStream(Protocol):
    """A response that arrives token by token.

    Beyond the contract a gateway's stream may have ``async read_to_end()``, for a caller that only
    waits for the end.
    """

    async def next_token(self) -> bytes | None:
        """Return the next token, or None when complete; raises a ``FederationError``."""
        ...

    async def cancel(self) -> None:
        """Stop the stream; the node stops working on it."""
        ...


@dataclass(frozen=True, slots=True)
class GatewayStats:
    """What a gateway has done so far.

    ``total_requests`` is the sum of successful and failed requests, of those in progress and of
    those that were cancelled. ``avg_latency_s`` is the mean over successful requests, in seconds,
    from the call to the response, retries and backoff included.
    """

    total_requests: int = 0
    successful_requests: int = 0
    failed_requests: int = 0
    total_tokens: int = 0
    avg_latency_s: float = 0.0
    active_streams: int = 0


@runtime_checkable
class GatewayTrait(Protocol):
    """The entry point for requests to the federation."""

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Serve *request*, or raise a ``FederationError``."""
        ...

    async def infer_stream(self, request: InferenceRequest) -> TokenStream:
        """Serve *request* token by token, or raise a ``FederationError``."""
        ...

    def stats(self) -> GatewayStats:
        """Return the statistics so far."""
        ...


@runtime_checkable
class GatewayMiddleware(Protocol):
    """Wraps a gateway. Each method may raise a ``FederationError`` to fail the request."""

    def before_route(self, request: InferenceRequest) -> InferenceRequest | None:
        """Look at a request before routing; return a replacement, or None to leave it."""
        ...

    def after_infer(
        self, request: InferenceRequest, response: InferenceResponse
    ) -> InferenceResponse | None:
        """Look at a response; return a replacement, or None to leave it."""
        ...

    def on_error(self, request: InferenceRequest, error: FederationError) -> None:
        """Look at an error."""
        ...


class CircuitState(Enum):
    """State of one node's circuit."""

    CLOSED = "closed"
    """Normal operation."""
    HALF_OPEN = "half_open"
    """Failing, a bounded number of probe requests is let through."""
    OPEN = "open"
    """Failing, all requests are blocked."""


@runtime_checkable
class CircuitBreakerTrait(Protocol):
    """Keeps requests away from nodes that fail.

    Beyond the contract a breaker may have ``try_acquire(node_id) -> bool``, which the gateway calls
    at dispatch, ``release(node_id)`` for the end of an attempt that was let through half-open, and
    ``record_attempt(node_id, ok, sent_s)``, called after that in place of ``record_success`` and
    ``record_failure``, with the clock time of the dispatch in seconds.
    """

    def is_open(self, node_id: NodeId) -> bool:
        """Return whether the node should be skipped; a pure function of clock and records."""
        ...

    def record_success(self, node_id: NodeId) -> None:
        """Record that an attempt on the node succeeded."""
        ...

    def record_failure(self, node_id: NodeId) -> None:
        """Record that an attempt on the node failed."""
        ...

    def state(self, node_id: NodeId) -> CircuitState:
        """Return the state now; a pure function of clock and records."""
        ...


@runtime_checkable
class RoutingPolicyTrait(Protocol):
    """Influences which node is selected.

    Beyond the contract a policy may have ``weight: float`` (1 where absent), ``rejection(candidate,
    request) -> str`` which words the reason, and ``scores(columns, request) -> list[float]`` which
    scores many candidates at once and must agree with ``score``.
    """

    def score(self, candidate: RouteCandidate, request: InferenceRequest) -> float:
        """Return the candidate's score; higher is better."""
        ...

    def is_eligible(self, candidate: RouteCandidate, request: InferenceRequest) -> bool:
        """Return whether the candidate may serve the request."""
        ...

    def name(self) -> str:
        """Return the policy's name for people."""
        ...


class LoadBalanceStrategy(Enum):
    """How one of the eligible candidates is chosen."""

    ROUND_ROBIN = "round_robin"
    """Each eligible node in turn."""
    LEAST_CONNECTIONS = "least_connections"
    """The node with the fewest requests in flight from this gateway."""
    LEAST_LATENCY = "least_latency"
    """The node with the lowest measured latency; the default."""
    WEIGHTED_RANDOM = "weighted_random"
    """At random in proportion to the policies' score."""
    CONSISTENT_HASH = "consistent_hash"
    """By the hash of the tenant, so that a tenant stays on its node."""

    @classmethod
    def default(cls) -> LoadBalanceStrategy:
        """Return the strategy that is used when none is named."""
        return cls.LEAST_LATENCY
