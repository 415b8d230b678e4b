"""The same objects under plain asyncio: the loop's clock, its tasks, and nodes in this process.

Waits are real, so they are short, and only their order and generous bounds are asserted.
"""

from __future__ import annotations

import asyncio
import random

import pytest

from fedsim.federation.asyncio_runtime import AsyncioClock, AsyncioTasks
from fedsim.federation.breaker import BreakerConfig, CircuitBreaker
from fedsim.federation.builder import FederationBuilder
from fedsim.federation.catalog import ModelCatalog
from fedsim.federation.contracts import (
    Capability,
    CircuitState,
    FederationError,
    HealthState,
    InferenceResponse,
    LoadBalanceStrategy,
    ModelId,
    NodeHealth,
    NodeId,
    NodeUnreachable,
    RegionId,
    Timeout,
)
from fedsim.federation.gateway import GatewayConfig, TimeoutConfig
from fedsim.federation.health import HealthChecker, HealthConfig
from fedsim.federation.hedging import HedgeConfig
from fedsim.federation.policies import HealthPolicy, LatencyPolicy, LocalityPolicy
from fedsim.federation.retries import RetryConfig
from fedsim.federation.router import Router
from fedsim.federation.runtime import Surroundings
from tests.unit.federation.stand_ins import request

SERVICE_S = 0.01
CODE = Capability.CODE


class Node:
    """An inference server in this process: one task a request, tokens every now and then."""

    def __init__(self, name):
        self.name = NodeId(name)
        self.up = True
        self.stuck = False
        self.running = 0
        self.given_up = 0
        self.served = 0

    async def work(self, seconds):
        """Work for a while, unless the server is down or hangs."""
        if not self.up:
            raise NodeUnreachable(self.name)
        self.running += 1
        try:
            await asyncio.sleep(30.0 if self.stuck else seconds)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        finally:
            self.running -= 1
        if not self.up:
            raise NodeUnreachable(self.name)


class Tokens:
    """Three tokens of a node."""

    def __init__(self, node):
        self.node = node
        self.left = 3
        self.cancelled = False

    async def next_token(self):
        """Work on the next token."""
        if self.left == 0:
            return None
        await self.node.work(SERVICE_S / 3)
        self.left -= 1
        return b"token"

    async def cancel(self):
        """Stop."""
        self.cancelled = True


class Local:
    """The transport to nodes in this process."""

    def __init__(self, *names):
        self.nodes = {NodeId(name): Node(name) for name in names}
        self.streams: list[Tokens] = []

    async def send(self, target, request):
        """Serve a request."""
        node = self.nodes[target.node_id]
        began_s = asyncio.get_running_loop().time()
        await node.work(SERVICE_S)
        node.served += 1
        latency_s = asyncio.get_running_loop().time() - began_s
        return InferenceResponse(b"done", node.name, latency_s, 5)

    async def open_stream(self, target, request):
        """Open a stream."""
        node = self.nodes[target.node_id]
        await node.work(0.0)
        self.streams.append(Tokens(node))
        return self.streams[-1]

    async def probe(self, node_id):
        """Answer a probe."""
        node = self.nodes[node_id]
        await node.work(0.0)
        return NodeHealth(node_id, HealthState.HEALTHY, 0.0, 0.0, 70, 0.5, 2, 0.0)


def _random_for(purpose: str) -> random.Random:
    """Return a source of randomness; with this seed, turns begin at the first of three nodes."""
    return random.Random(f"{purpose} 4")


class Federation:
    """A gateway over three nodes that generate, one of which writes code too."""

    def __init__(self, strategy=LoadBalanceStrategy.ROUND_ROBIN, **config):
        self.transport = Local("a", "b", "c")
        self.catalog = ModelCatalog()
        builder = (
            FederationBuilder()
            .with_catalog(self.catalog)
            .with_policy(HealthPolicy())
            .with_policy(LatencyPolicy())
            .with_policy(LocalityPolicy())
            .with_load_balance(strategy)
            .with_health_config(HealthConfig(interval_s=0.02))
            .with_circuit_breaker(BreakerConfig(failure_threshold=2, reset_timeout_s=0.1))
            .with_config(
                GatewayConfig(
                    TimeoutConfig(config.get("attempt_s", 0.5), config.get("request_s", 5.0)),
                    RetryConfig(backoff_s=0.001),
                    config.get("hedge"),
                )
            )
        )
        self.gateway = builder.build(
            Surroundings(
                self.transport, AsyncioClock(), AsyncioTasks(), _random_for, RegionId("here")
            )
        )
        assert isinstance(self.gateway.router, Router)
        assert isinstance(self.gateway.health, HealthChecker)
        assert isinstance(self.gateway.breaker, CircuitBreaker)
        self.router, self.health = self.gateway.router, self.gateway.health
        self.breaker = self.gateway.breaker

    async def register(self):
        """Register all nodes."""
        for name in "abc":
            capabilities = [Capability.GENERATE, CODE] if name == "c" else [Capability.GENERATE]
            await self.catalog.register(
                ModelId("llama"), NodeId(name), RegionId("here"), capabilities
            )

    async def infer(self, number=0, **more):
        """Serve a request and return the node."""
        response = await self.gateway.infer(request(number, **more))
        return response.served_by

    async def fail(self):
        """Serve a request that must fail, and return the error."""
        with pytest.raises(FederationError) as caught:
            await self.infer()
        return caught.value

    def node(self, name):
        """Return a node."""
        return self.transport.nodes[NodeId(name)]

    def status(self, name):
        """Return what the health checker thinks of a node."""
        known = self.health.get_cached_health(NodeId(name))
        assert known is not None
        return known.status

    def assert_nothing_left(self):
        """Nothing is in flight, here or there."""
        assert not any(self.router.fleet.in_flight)
        assert not any(node.running for node in self.transport.nodes.values())
        assert self.gateway.stats().active_streams == 0


def act(scene, **config):
    """Run a scene with a federation, and see that no task is left behind."""

    async def main():
        federation = Federation(**config)
        await federation.register()
        async with asyncio.timeout(20.0):
            await scene(federation)
        await federation.health.stop_monitoring()
        await asyncio.sleep(0.0)
        federation.assert_nothing_left()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


async def eventually(condition):
    """Wait until something is so."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    msg = "it never came to be"
    raise AssertionError(msg)


@pytest.mark.parametrize("strategy", LoadBalanceStrategy)
def test_requests_are_served(strategy):
    """Concurrent requests are served by each strategy, by nodes that have the capability."""

    async def scene(federation):
        await federation.health.start_monitoring()
        nodes = await asyncio.gather(*(federation.infer(number) for number in range(30)))
        coders = await asyncio.gather(*(federation.infer(n, capability=CODE) for n in range(5)))
        stats = federation.gateway.stats()

        assert set(nodes) == set("abc")
        assert set(coders) == {"c"}
        assert (stats.total_requests, stats.successful_requests) == (35, 35)
        assert stats.total_tokens == 175
        assert 0.5 * SERVICE_S < stats.avg_latency_s < 1.0

    act(scene, strategy=strategy)


def test_a_dead_node_is_left_and_comes_back():
    """Failures open the circuit, probes find the node unhealthy, and both let it back."""

    async def scene(federation):
        dead = federation.node("b")
        dead.up = False
        for number in range(12):
            assert await federation.infer(number) in "ac"
        assert federation.breaker.state(dead.name) is not CircuitState.CLOSED
        await federation.health.start_monitoring()
        await eventually(lambda: federation.status("b") is HealthState.UNHEALTHY)

        dead.up = True
        while dead.served < 3:
            await federation.infer()
        assert federation.breaker.state(dead.name) is CircuitState.CLOSED
        # On a busy machine it may count as degraded: slow against its pool, in real time.
        assert federation.status("b") in (HealthState.HEALTHY, HealthState.DEGRADED)
        assert federation.gateway.stats().failed_requests == 0

    act(scene)


def test_a_node_that_hangs():
    """An attempt is given up at its deadline, and served elsewhere."""

    async def scene(federation):
        for node in "ab":
            federation.node(node).stuck = True
        assert await federation.infer() == "c"
        assert federation.node("a").given_up + federation.node("b").given_up == 2

    act(scene, attempt_s=0.2)


def test_hedging():
    """A node that hangs is hedged elsewhere, told so, and blamed for nothing."""

    async def scene(federation):
        federation.node("a").stuck = True
        nodes = await asyncio.gather(*(federation.infer(number) for number in range(30)))
        stats = federation.gateway.stats()

        assert set(nodes) == set("bc")
        assert federation.node("a").given_up == 10
        assert not federation.breaker.troubled
        assert (stats.total_requests, stats.successful_requests) == (30, 30)

    act(scene, attempt_s=5.0, hedge=HedgeConfig(after_s=0.2, budget=None))


def test_hedging_when_one_fails():
    """One that fails leaves the race to the other; a caller that is cancelled ends both."""

    async def scene(federation):
        federation.node("a").stuck = True
        federation.node("b").stuck = True
        task = asyncio.create_task(federation.infer())
        await asyncio.sleep(0.2)
        assert federation.router.fleet.in_flight == [1, 1, 0]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert federation.node("a").given_up == federation.node("b").given_up == 1
        federation.node("c").up = False
        assert isinstance(await federation.fail(), Timeout)

    act(scene, attempt_s=0.3, request_s=1.0, hedge=HedgeConfig(after_s=0.05, budget=None))


def test_the_request_s_deadline():
    """The request's own deadline ends it, and blames no node."""

    async def scene(federation):
        for node in "abc":
            federation.node(node).stuck = True
        with pytest.raises(Timeout, match=r"Timeout after 0\.05 s"):
            await federation.infer()
        assert federation.gateway.stats().failed_requests == 1
        assert not federation.breaker.troubled

    act(scene, request_s=0.05)


def test_cancellation():
    """A caller's task that is cancelled takes its attempt along, and counts against nobody."""

    async def scene(federation):
        federation.node("a").stuck = True
        task = asyncio.create_task(federation.infer())
        await asyncio.sleep(0.01)
        assert federation.router.fleet.in_flight == [1, 0, 0]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        stats = federation.gateway.stats()

        assert federation.node("a").given_up == 1
        assert not federation.breaker.troubled
        assert (stats.total_requests, stats.successful_requests, stats.failed_requests) == (1, 0, 0)
        rest = asyncio.gather(*(federation.infer(number) for number in range(3)))
        with pytest.raises(TimeoutError):  # a deadline of the caller's own is its own affair
            await asyncio.wait_for(rest, 0.3)
        assert federation.node("a").given_up == 2
        assert not federation.breaker.troubled

    act(scene)


def test_streams():
    """Tokens come one by one; streams may be read to their end, cancelled, or break off."""

    async def scene(federation):
        stream = await federation.gateway.infer_stream(request(1))
        assert federation.gateway.stats().active_streams == 1
        tokens = [await stream.next_token() for _ in range(4)]
        assert tokens == [b"token"] * 3 + [None]

        second = await federation.gateway.infer_stream(request(2))
        assert await second.next_token() == b"token"
        await second.cancel()
        assert await second.next_token() is None
        assert federation.transport.streams[1].cancelled

        third = await federation.gateway.infer_stream(request(3))
        await third.next_token()
        reader = asyncio.create_task(third.next_token())
        await asyncio.sleep(0.0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert federation.transport.streams[2].cancelled

        fourth = await federation.gateway.infer_stream(request(4))
        await fourth.next_token()
        federation.transport.streams[3].node.up = False
        with pytest.raises(NodeUnreachable):
            await fourth.next_token()
        stats = federation.gateway.stats()
        assert (stats.successful_requests, stats.failed_requests, stats.total_tokens) == (1, 1, 6)

    act(scene)


def test_a_stream_s_deadline():
    """A stream that stalls ends at the request's deadline, and the node is told."""

    async def scene(federation):
        stream = await federation.gateway.infer_stream(request())
        await stream.next_token()
        federation.transport.streams[0].node.stuck = True
        with pytest.raises(Timeout):
            await stream.next_token()
        assert federation.transport.streams[0].cancelled
        assert await stream.next_token() is None

    act(scene, request_s=0.3)


def test_monitoring_can_be_stopped_and_started():
    """Probes run in the background and end when they are told to."""

    async def scene(federation):
        await federation.health.start_monitoring()
        await eventually(lambda: federation.status("a") is HealthState.HEALTHY)
        await federation.health.stop_monitoring()
        await asyncio.sleep(0.0)
        checked_s = federation.health.get_cached_health(NodeId("a")).last_check_s
        await asyncio.sleep(0.05)
        assert federation.health.get_cached_health(NodeId("a")).last_check_s == checked_s

        known = await federation.health.check_node(NodeId("a"))
        assert (known.throughput, known.queue_depth, known.gpu_utilization) == (70, 2, 0.5)
        assert known.last_check_s > checked_s

    act(scene)
