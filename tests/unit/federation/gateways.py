"""A gateway in simulated time before nodes that do as they are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fedsim.federation.breaker import BreakerConfig, CircuitBreaker
from fedsim.federation.builder import FederationBuilder
from fedsim.federation.catalog import Deployment
from fedsim.federation.contracts import (
    FederationError,
    InferenceRequest,
    InferenceResponse,
    LoadBalanceStrategy,
    NodeId,
    RouterTrait,
)
from fedsim.federation.gateway import GatewayConfig, TimeoutConfig
from fedsim.federation.health import HealthChecker, HealthConfig
from fedsim.federation.retries import RetryConfig
from fedsim.federation.router import Router
from fedsim.federation.runtime import Surroundings
from tests.unit.federation.stand_ins import (
    EAST,
    Network,
    Onlooker,
    Outcome,
    Stage,
    Stream,
    WholeStream,
    catalog_of,
    request,
    sources,
)

EXACT = RetryConfig(jitter="none", budget=None)
"""Retries after exactly 0.1, 0.2 and 0.4 s."""


@dataclass
class Diary:
    """Middleware that keeps what it was shown, under a name, in a list that several may share."""

    name: str = "m"
    pages: list[tuple[str, str, str]] = field(default_factory=list)

    def before_route(self, request: InferenceRequest) -> InferenceRequest | None:
        """Keep the request's id."""
        self.pages.append((self.name, "before", request.request_id))
        return None

    def after_infer(
        self, request: InferenceRequest, response: InferenceResponse
    ) -> InferenceResponse | None:
        """Keep who served it."""
        self.pages.append((self.name, "after", response.served_by))
        return None

    def on_error(self, request: InferenceRequest, error: FederationError) -> None:
        """Keep the error's kind."""
        self.pages.append((self.name, "error", error.kind))

    @property
    def errors(self) -> list[str]:
        """The kinds of the errors that were shown."""
        return [what for _, when, what in self.pages if when == "error"]


class GatewayScene:
    """A gateway with round robin over *nodes*; ``nodes`` maps a name to its waits and outcomes.

    An outcome is a number of tokens or an error; the last one is repeated. *whole* says whether
    streams can be waited for as a whole; *parts* are further settings of the gateway.
    """

    def __init__(
        self,
        nodes: dict[str, list[tuple[float, Outcome]]],
        *,
        deployments: Sequence[Deployment] = (),
        timeout: TimeoutConfig | None = None,
        retries: RetryConfig | None = EXACT,
        breaker: BreakerConfig | None = None,
        middlewares: Sequence[Any] = (),
        router: RouterTrait | None = None,
        rng: Any = None,
        whole: bool = False,
        **parts: Any,
    ) -> None:
        self.stage = Stage()
        self.seen = Onlooker()
        self.nodes = nodes
        self.scripts: dict[str, list[Any]] = {}
        self.streams: list[Stream] = []
        self.kind = WholeStream if whole else Stream
        self.network = Network(self.stage.clock, serve=self._serve, streams=self._stream)
        catalog = catalog_of(*(deployments or nodes))
        builder = FederationBuilder(
            catalog=catalog,
            middlewares=list(middlewares),
            router=router,
            policies=[] if router is None else None,
            load_balance=LoadBalanceStrategy.ROUND_ROBIN
            if router is None
            else LoadBalanceStrategy.default(),
            circuit_breaker=breaker or BreakerConfig(),
            health_config=HealthConfig(),
            config=GatewayConfig(timeout, retries, **parts),
        )
        self.gateway = builder.build(
            Surroundings(
                self.network, self.stage.clock, self.stage.tasks, sources(rng), EAST, self.seen
            )
        )
        assert isinstance(self.gateway.health, HealthChecker)
        assert isinstance(self.gateway.breaker, CircuitBreaker)
        self.health = self.gateway.health
        self.breaker = self.gateway.breaker

    def _serve(self, node_id, request):
        script = self.nodes[node_id]
        return script.pop(0) if len(script) > 1 else script[0]

    def _stream(self, node_id):
        stream = self.kind(self.stage.clock, list(self.scripts[node_id]))
        self.streams.append(stream)
        return stream

    def infer(self, asked: InferenceRequest | None = None) -> InferenceResponse:
        """Serve one request and return the response, or raise the error."""
        response: InferenceResponse = self.stage.run(self.gateway.infer(asked or request()))
        return response

    def fail(self, asked: InferenceRequest | None = None) -> FederationError:
        """Serve one request that must fail, and return the error."""
        try:
            self.infer(asked)
        except FederationError as error:
            return error
        msg = "the request was served"
        raise AssertionError(msg)

    @property
    def now_s(self) -> float:
        """The time in seconds."""
        return self.stage.clock.now()

    @property
    def sent(self) -> list[tuple[float, str]]:
        """Time and node of each attempt."""
        return [(round(at_s, 9), node) for at_s, node, _ in self.network.sent]

    @property
    def in_flight(self) -> dict[str, int]:
        """Requests in flight by node, as the router counts them."""
        assert isinstance(self.gateway.router, Router)
        fleet = self.gateway.router.fleet
        return dict(zip(fleet.node_ids, fleet.in_flight, strict=True))

    def break_circuit(self, node: str) -> None:
        """Open a node's circuit."""
        for _ in range(5):
            self.breaker.record_failure(NodeId(node))

    def failures(self, node: str) -> tuple[int, int]:
        """Return how many failures in a row breaker and health checker have counted."""
        circuit = self.breaker.troubled.get(NodeId(node))
        record = self.health.record(NodeId(node))
        assert record is not None
        return (circuit.failures if circuit else 0), record.failures
