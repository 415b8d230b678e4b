"""What the federation's objects run on in their tests: a clock, a network and onlookers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from fedsim.federation.breaker import BreakerConfig, CircuitBreaker
from fedsim.federation.builder import FederationBuilder
from fedsim.federation.catalog import Deployment, DeploymentStatus, ModelCatalog
from fedsim.federation.contracts import (
    Capability,
    FederationError,
    HealthState,
    InferenceRequest,
    InferenceResponse,
    LoadBalanceStrategy,
    ModelId,
    NodeHealth,
    NodeId,
    NodeUnreachable,
    QoSRequirements,
    RegionId,
    RouteTarget,
    Timeout,
)
from fedsim.federation.health import HealthChecker
from fedsim.federation.router import Router
from fedsim.federation.runtime import Surroundings
from fedsim.kernel.environment import Environment
from fedsim.kernel.tasks import SimClock, SimTasks

GENERATE = Capability.GENERATE
EAST = RegionId("east")


class HandClock:
    """A clock that stands still until it is set; sleeping sets it."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s
        self.sleeps_s: list[float] = []

    def now(self) -> float:
        """Return the time it was set to."""
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.sleeps_s.append(seconds)
        self.now_s += seconds


class Dice:
    """A source of randomness that gives the same number each time, or numbers in turn."""

    def __init__(self, *values: float) -> None:
        self.values = values or (0.5,)
        self.rolls = 0

    def random(self) -> float:
        """Return the next number."""
        self.rolls += 1
        return self.values[(self.rolls - 1) % len(self.values)]


def sources(rng: Any = None) -> Callable[[str], Any]:
    """Return sources by purpose: turns begin at the first node, all else draws from *rng*."""
    return lambda purpose: Dice(0.0) if purpose == "turns" else rng or Dice()


@dataclass
class Onlooker:
    """Keeps what the parts of a gateway tell their observer."""

    health: list[tuple[float, str, str, str]] = field(default_factory=list)
    outliers: list[tuple[float, str, bool]] = field(default_factory=list)
    panics: list[tuple[float, str, bool]] = field(default_factory=list)
    circuits: list[tuple[float, str, str, str]] = field(default_factory=list)
    admissions: list[tuple[float, str, str, str]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def health_changed(self, at_s, node_id, before, after, reason):
        """Keep a change of health."""
        self.health.append((at_s, node_id, before.value, after.value))
        self.reasons.append(reason)

    def circuit_changed(self, at_s, node_id, before, after, reason):
        """Keep a change of a circuit."""
        self.circuits.append((at_s, node_id, before.value, after.value))
        self.reasons.append(reason)

    def outlier_changed(self, at_s, node_id, ejected, reason):
        """Keep an ejection, or a readmission."""
        self.outliers.append((at_s, node_id, ejected))
        self.reasons.append(reason)

    def panic_changed(self, at_s, capability, panicking, reason):
        """Keep the begin or the end of a panic."""
        self.panics.append((at_s, capability.key, panicking))
        self.reasons.append(reason)

    def admission_changed(self, at_s, capability, part, before, after, reason):
        """Keep a change of admission."""
        self.admissions.append((at_s, f"{part}/{capability.key}", after, reason))


@dataclass
class Stream:
    """A node's stream: tokens and errors after a wait each; one without end may be left open."""

    clock: SimClock | HandClock
    script: list[tuple[float, bytes | FederationError | None]]
    cancelled_s: list[float] = field(default_factory=list)

    async def next_token(self):
        """Wait, then give the next token, None at the end, or raise."""
        wait_s, what = self.script.pop(0) if self.script else (0.0, None)
        await self.clock.sleep(wait_s)
        if isinstance(what, FederationError):
            raise what
        return what

    async def cancel(self):
        """Note that nobody reads on."""
        self.cancelled_s.append(self.clock.now())


@dataclass
class WholeStream(Stream):
    """A node's stream that can be waited for as a whole; it counts how often it is asked."""

    received: int = 0
    reads: int = 0

    async def next_token(self):
        """Wait, then give the next token, None at the end, or raise."""
        self.reads += 1
        token = await super().next_token()
        self.received += token is not None
        return token

    async def read_to_end(self, idle_s):
        """Play the rest of the script, unless a wait in it is too long."""
        before = self.received
        while self.script:
            wait_s, what = self.script.pop(0)
            await self.clock.sleep(min(wait_s, idle_s))
            if wait_s > idle_s:
                raise Timeout(idle_s)
            if isinstance(what, FederationError):
                raise what
            self.received += what is not None
        return self.received - before


Outcome = int | FederationError | None


@dataclass
class Network:
    """A transport to nodes that behave as *serve* says.

    Attributes:
        serve: Gives wait in seconds and outcome of a send: tokens, or an error to raise.
        telemetry: Gives wait in seconds and outcome of a probe: throughput, or an error.
        streams: Gives the script of a stream.
        sent: Time, node and request of each send or stream.
        probed: Time and node of each probe.
        given_up: Time and node of each send that was not waited for.
    """

    clock: SimClock | HandClock
    serve: Callable[[NodeId, InferenceRequest], tuple[float, Outcome]] = lambda *_: (0.0, 1)
    telemetry: Callable[[NodeId], tuple[float, int | FederationError]] = lambda _: (0.0, 0)
    streams: Callable[[NodeId], Any] | None = None
    sent: list[tuple[float, str, str]] = field(default_factory=list)
    probed: list[tuple[float, str]] = field(default_factory=list)
    given_up: list[tuple[float, str]] = field(default_factory=list)
    under_way: dict[str, int] = field(default_factory=dict)

    async def send(self, target: RouteTarget, request: InferenceRequest) -> InferenceResponse:
        """Serve as *serve* says."""
        sent_s, node_id = await self._serve(target, request)
        return InferenceResponse(b"", node_id, self.clock.now() - sent_s, self._tokens)

    async def _serve(self, target, request):
        sent_s, node_id = self.clock.now(), target.node_id
        self.sent.append((sent_s, node_id, request.request_id))
        self.under_way[node_id] = self.under_way.get(node_id, 0) + 1
        wait_s, outcome = self.serve(node_id, request)
        try:
            await self.clock.sleep(wait_s)
        except BaseException:
            self.given_up.append((self.clock.now(), node_id))
            raise
        finally:
            self.under_way[node_id] -= 1
        if isinstance(outcome, FederationError):
            raise outcome
        self._tokens = outcome
        return sent_s, node_id

    async def open_stream(self, target, request):
        """Open a stream as *streams* says, once the node has taken it as *serve* says."""
        await self._serve(target, request)
        assert self.streams is not None
        return self.streams(target.node_id)

    async def probe(self, node_id: NodeId) -> NodeHealth:
        """Answer as *telemetry* says."""
        self.probed.append((self.clock.now(), node_id))
        wait_s, outcome = self.telemetry(node_id)
        await self.clock.sleep(wait_s)
        if isinstance(outcome, FederationError):
            raise outcome
        return NodeHealth(node_id, HealthState.HEALTHY, 0.0, 0.0, outcome, 0.25, 3, 0.0)


class NoTasks:
    """Stands in for tasks where time stands still: what is spawned never begins."""

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> Any:
        """Drop *coroutine*."""
        coroutine.close()

    def within(self, awaitable: Any, seconds: float) -> Any:
        """Return *awaitable*, as no deadline ever comes."""
        return awaitable

    def first(self, *awaitables: Any) -> Any:
        """Return the first of *awaitables*."""
        return awaitables[0]

    async def wait_out(self, seconds: float) -> None:
        """Wait for nothing, as no time passes."""


class Stage:
    """Simulated time with clock and tasks, to act scenes in."""

    def __init__(self) -> None:
        self.env = Environment()
        self.clock = SimClock(self.env)
        self.tasks = SimTasks(self.env)

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str = "scene") -> Any:
        """Start a scene; an error that nobody expects comes out of `run`."""
        return self.tasks.spawn(coroutine, name)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Act one scene to its end, and return its result or raise its error."""
        ended = self.env.event()

        async def scene():
            try:
                result, error = await coroutine, None
            except Exception as raised:  # noqa: BLE001 - raised again below
                result, error = None, raised
            ended.succeed((result, error))

        self.spawn(scene())
        result, error = self.env.run(until=ended)
        if error is not None:
            raise error
        return result


def request(
    number: object = 1,
    tenant: str | None = None,
    capability: Capability = GENERATE,
    **qos: Any,
) -> InferenceRequest:
    """Return a request; keywords are fields of its quality of service."""
    return InferenceRequest(capability, b"", QoSRequirements(**qos), str(number), tenant_id=tenant)


def target(node_id: str, region: str = "east") -> RouteTarget:
    """Return a target."""
    return RouteTarget(NodeId(node_id), RegionId(region))


def deployment(node_id: str, region: str = "east", model: str = "llama", **more: Any) -> Deployment:
    """Return a deployment that is ready to generate, unless *more* says otherwise."""
    capabilities = more.pop("capabilities", (GENERATE,))
    return Deployment(ModelId(model), NodeId(node_id), RegionId(region), capabilities, **more)


def catalog_of(*deployments: Deployment | str) -> ModelCatalog:
    """Return a catalog; a name stands for a plain deployment on the node of that name."""
    catalog = ModelCatalog()
    for each in deployments:
        catalog.add(deployment(each) if isinstance(each, str) else each)
    return catalog


def unreachable(node_id: str = "a") -> NodeUnreachable:
    """Return the error of a node that does not answer."""
    return NodeUnreachable(NodeId(node_id))


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never suspends, and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    msg = "the coroutine suspended"
    raise AssertionError(msg)


class RouterScene:
    """A router with a catalog, a health checker that is fed by hand and a breaker, on a hand clock.

    Nodes are named; ``add`` gives details. The gateway's region is ``east``.
    """

    def __init__(
        self,
        *nodes: Deployment | str,
        strategy: LoadBalanceStrategy = LoadBalanceStrategy.ROUND_ROBIN,
        policies: Sequence[Any] = (),
        rng: Any = None,
        **config: Any,
    ) -> None:
        self.clock = HandClock()
        self.catalog = catalog_of(*nodes)
        self.network = Network(self.clock)
        self.gateway = (
            FederationBuilder(policies=list(policies))
            .with_catalog(self.catalog)
            .with_load_balance(strategy)
            .with_circuit_breaker(BreakerConfig(**config))
            .build(Surroundings(self.network, self.clock, NoTasks(), sources(rng), EAST))
        )
        assert isinstance(self.gateway.router, Router)
        assert isinstance(self.gateway.health, HealthChecker)
        assert isinstance(self.gateway.breaker, CircuitBreaker)
        self.router = self.gateway.router
        self.health = self.gateway.health
        self.breaker = self.gateway.breaker

    def route(self, asked: InferenceRequest | None = None, excluded: Sequence[str] = ()) -> str:
        """Return the name of the chosen node."""
        asked = asked or request()
        names = [NodeId(name) for name in excluded]
        if names:
            return str(drive(self.router.route_excluding(asked, names)).node_id)
        return str(drive(self.router.route(asked)).node_id)

    def routes(self, count: int, asked: InferenceRequest | None = None) -> str:
        """Return the names of the nodes chosen by several requests in a row."""
        return "".join(self.route(asked) for _ in range(count))

    def start(self, node: str) -> None:
        """Have a request in flight to a node."""
        self.router.on_start(target(node), request())

    def complete(self, node: str) -> None:
        """End a request in flight."""
        self.router.on_complete(target(node), request(), "ok", 0.1)

    def explain(self, asked: InferenceRequest | None = None) -> dict[str, str | None]:
        """Return the rejection reason of every node, None for those that are eligible."""
        candidates = drive(self.router.get_candidates(asked or request()))
        for candidate in candidates:
            assert candidate.eligible == (candidate.rejection_reason is None)
        return {each.target.node_id: each.rejection_reason for each in candidates}

    def break_circuit(self, node: str) -> None:
        """Let enough attempts on a node fail to open its circuit."""
        for _ in range(5):
            self.breaker.record_failure(NodeId(node))

    def serve(self, node: str, latency_s: float, count: int = 5) -> None:
        """Report successes of a node."""
        for _ in range(count):
            self.health.report_success(NodeId(node), latency_s)

    def probe(self, node: str, outcome: int | FederationError, count: int = 1) -> None:
        """Probe a node, which answers its throughput or fails."""
        self.network.telemetry = lambda _: (0.0, outcome)
        stage, still = Stage(), self.health._tasks
        self.health._tasks = stage.tasks
        for _ in range(count):
            try:
                stage.run(self.health.check_node(NodeId(node)))
            except FederationError:
                pass
        self.health._tasks = still

    def set_status(self, node: str, status: str) -> None:
        """Set a node's status in the catalog."""
        self.catalog.set_status(NodeId(node), DeploymentStatus(status))
