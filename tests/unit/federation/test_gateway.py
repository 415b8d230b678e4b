"""The gateway: middleware, deadlines, retries, reports and statistics, one request at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim.federation.breaker import BreakerConfig
from fedsim.federation.budgets import BudgetConfig
from fedsim.federation.catalog import DeploymentStatus
from fedsim.federation.contracts import (
    AllNodesUnhealthy,
    Capability,
    CircuitOpen,
    CircuitState,
    Internal,
    NoCapacity,
    NodeId,
    NodeUnreachable,
    PrivacyViolation,
    QoSViolation,
    RouteTarget,
)
from fedsim.federation.gateway import TimeoutConfig
from fedsim.federation.retries import RetryConfig
from tests.unit.federation.gateways import EXACT, Diary, GatewayScene
from tests.unit.federation.stand_ins import GENERATE, Dice, deployment, request, target

FULL = NoCapacity(GENERATE)
BROKEN = Internal("out of memory")
LOST = NodeUnreachable(NodeId("a"))


class Fixed:
    """A router that gives or raises one thing after the other, perhaps after a wait."""

    def __init__(self, *choices, clock=None, wait_s=0.0):
        self.choices = list(choices)
        self.clock = clock
        self.wait_s = wait_s
        self.asked = 0

    async def route(self, request):
        """Return or raise the next choice; the last one is repeated."""
        self.asked += 1
        choice = self.choices.pop(0) if len(self.choices) > 1 else self.choices[0]
        if self.clock is not None:
            await self.clock.sleep(self.wait_s)
        if isinstance(choice, Exception):
            raise choice
        return choice

    async def get_candidates(self, request):
        """Return none."""
        return []


class Waits:
    """A retry policy that always waits the same time."""

    def __init__(self, wait_s):
        self.wait_s = wait_s

    def next_wait_s(self, request, retry, error, elapsed_s):
        """Return the wait."""
        return self.wait_s


class TestServing:
    """A request that is served."""

    def test_response(self):
        """The response names node, tokens and the latency that the gateway saw."""
        scene = GatewayScene({"a": [(0.25, 7)]})
        response = scene.infer()

        assert (response.served_by, response.tokens, response.latency_s) == ("a", 7, 0.25)

    def test_reports(self):
        """Health checker and router learn of the success; nothing stays in flight."""
        scene = GatewayScene({"a": [(0.25, 7)]})
        scene.infer()
        known = scene.health.get_cached_health(NodeId("a"))
        assert known is not None

        assert (known.latency_p50_s, known.last_check_s) == (0.25, 0.25)
        assert scene.in_flight == {"a": 0}

    def test_in_flight_meanwhile(self):
        """While the node works, the request is in flight."""
        scene = GatewayScene({"a": [(1.0, 7)]})
        for number in range(3):
            scene.stage.spawn(scene.gateway.infer(request(number)))
        scene.stage.env.run(until=0.5)
        assert scene.in_flight == {"a": 3}

        scene.stage.env.run()
        assert scene.in_flight == {"a": 0}

    def test_statistics(self):
        """Total, successes, tokens, and the mean latency of what was served."""
        scene = GatewayScene({"a": [(1.0, 7), (3.0, None), (0.0, FULL)]})
        scene.infer()
        scene.infer()
        scene.fail()
        stats = scene.gateway.stats()

        assert (stats.total_requests, stats.successful_requests) == (3, 2)
        assert (stats.failed_requests, stats.active_streams) == (1, 0)
        assert (stats.total_tokens, stats.avg_latency_s) == (7, 2.0)

    def test_latency_includes_retries(self):
        """The mean latency runs from the call: attempts that failed and backoff included."""
        scene = GatewayScene({"a": [(1.0, BROKEN)], "b": [(2.0, 7)]})
        scene.infer()

        assert scene.gateway.stats().avg_latency_s == pytest.approx(3.1)


class TestMiddleware:
    """What wraps a request."""

    def test_order(self):
        """Middleware sees requests and responses in the order in which it was added."""
        pages: list[tuple[str, str, str]] = []
        scene = GatewayScene({"a": [(0.0, 1)]}, middlewares=[Diary("x", pages), Diary("y", pages)])
        scene.infer()

        assert pages == [
            ("x", "before", "1"),
            ("y", "before", "1"),
            ("x", "after", "a"),
            ("y", "after", "a"),
        ]

    def test_once_per_request_and_once_per_error(self):
        """With retries, requests are shown once, and every attempt's error once."""
        diary = Diary()
        scene = GatewayScene({"a": [(0.0, BROKEN)], "b": [(0.0, LOST)]}, middlewares=[diary])
        scene.fail()

        assert [page[1:] for page in diary.pages] == [
            ("before", "1"),
            ("error", "internal"),
            ("error", "node_unreachable"),
            ("error", "internal"),
            ("error", "node_unreachable"),
        ]

    def test_replacements(self):
        """What middleware returns takes the place of what it was given, for all that follow."""

        class Translator(Diary):
            def before_route(self, request):
                super().before_route(request)
                return replace(request, request_id=request.request_id + "!")

            def after_infer(self, request, response):
                super().after_infer(request, response)
                return replace(response, tokens=response.tokens + 1)

        first, second = Translator("x"), Translator("y")
        scene = GatewayScene({"a": [(0.0, 1)]}, middlewares=[first, second])
        response = scene.infer()

        assert second.pages[0] == ("y", "before", "1!")
        assert [asked for _, _, asked in scene.network.sent] == ["1!!"]
        assert response.tokens == 3
        assert scene.gateway.stats().total_tokens == 3

    def test_refusing_a_request(self):
        """An error before routing ends the request: nothing is sent, all middleware is told."""

        class Doorkeeper(Diary):
            def before_route(self, request):
                super().before_route(request)
                reason = "too many requests"
                raise QoSViolation(reason)

        pages: list[tuple[str, str, str]] = []
        middlewares = [Diary("x", pages), Doorkeeper("y", pages), Diary("z", pages)]
        scene = GatewayScene({"a": [(0.0, 1)]}, middlewares=middlewares)
        error = scene.fail()

        assert str(error) == "QoS requirements cannot be met: too many requests"
        assert scene.sent == []
        assert pages == [
            ("x", "before", "1"),
            ("y", "before", "1"),
            ("x", "error", "qos_violation"),
            ("y", "error", "qos_violation"),
            ("z", "error", "qos_violation"),
        ]
        assert scene.gateway.stats().failed_requests == 1

    def test_refusing_a_response(self):
        """An error after the answer fails the request, but not the node that served it."""

        class Censor(Diary):
            def after_infer(self, request, response):
                reason = "not fit to print"
                raise Internal(reason)

        censor = Censor()
        scene = GatewayScene({"a": [(0.0, 1)]}, middlewares=[censor])
        scene.fail()
        stats = scene.gateway.stats()

        assert censor.errors == ["internal"]
        assert (stats.successful_requests, stats.failed_requests) == (0, 1)
        assert scene.failures("a") == (0, 0)
        assert len(scene.sent) == 1

    def test_an_unexpected_exception(self):
        """What is no federation error passes through as it is, and counts as a failed request."""

        class Buggy(Diary):
            def before_route(self, request):
                key = "tenant"
                raise KeyError(key)

        scene = GatewayScene({"a": [(0.0, 1)]}, middlewares=[Buggy()])
        with pytest.raises(KeyError):
            scene.infer()

        assert scene.gateway.stats().failed_requests == 1


class TestRetries:
    """Which errors are tried again, where and when."""

    @pytest.mark.parametrize("error", [BROKEN, LOST])
    def test_a_failed_attempt_goes_elsewhere_after_a_backoff(self, error):
        """The next node is tried 100 ms later, and its answer is the answer."""
        scene = GatewayScene({"a": [(0.5, error)], "b": [(0.0, 1)]})

        assert scene.infer().served_by == "b"
        assert scene.sent == [(0.0, "a"), (0.6, "b")]

    @pytest.mark.parametrize("error", [BROKEN, LOST])
    def test_it_counts_against_the_node(self, error):
        """Breaker and health checker count the failure."""
        scene = GatewayScene({"a": [(0.5, error)], "b": [(0.0, 1)]})
        scene.infer()

        assert scene.failures("a") == (1, 1)
        assert scene.failures("b") == (0, 0)
        assert scene.in_flight == {"a": 0, "b": 0}

    def test_nodes_that_were_tried_are_avoided(self):
        """Three nodes fail once each; the fourth is reached with the third retry."""
        scene = GatewayScene({**{node: [(0.0, BROKEN)] for node in "abc"}, "d": [(0.0, 1)]})

        assert scene.infer().served_by == "d"
        assert scene.sent == [(0.0, "a"), (0.1, "b"), (0.3, "c"), (0.7, "d")]

    def test_a_single_node_is_tried_again(self):
        """Where there is no other node, the same one is tried again."""
        scene = GatewayScene({"a": [(0.0, BROKEN), (0.0, BROKEN), (0.0, 1)]})

        assert scene.infer().served_by == "a"
        assert scene.sent == [(0.0, "a"), (0.1, "a"), (0.3, "a")]

    def test_of_two_nodes_the_other_one_is_tried(self):
        """Where all nodes were tried already, it is at least not the one that just failed."""
        scene = GatewayScene({node: [(0.0, BROKEN)] for node in "ab"})
        scene.fail()

        assert [node for _, node in scene.sent] == ["a", "b", "a", "b"]

    def test_at_most_so_many(self):
        """After the limit of retries the last error is the request's."""
        scene = GatewayScene({"a": [(0.0, LOST), (0.0, LOST), (0.0, LOST), (0.0, BROKEN)]})

        assert scene.fail() is BROKEN
        assert [at_s for at_s, _ in scene.sent] == [0.0, 0.1, 0.3, 0.7]

    def test_full_jitter(self):
        """With full jitter each backoff is a share of its longest."""
        scene = GatewayScene(
            {"a": [(0.0, BROKEN)]}, retries=RetryConfig(budget=None), rng=Dice(0.5, 0.25, 0.75)
        )
        scene.fail()

        assert [at_s for at_s, _ in scene.sent] == [0.0, 0.05, 0.1, 0.4]

    def test_off(self):
        """Without retries the first error is the request's."""
        scene = GatewayScene({"a": [(0.0, BROKEN)], "b": [(0.0, 1)]}, retries=None)

        assert scene.fail() is BROKEN
        assert scene.sent == [(0.0, "a")]

    def test_budget(self):
        """Beyond the budget requests fail at their first error: 10 retries + 20 % of requests."""
        scene = GatewayScene(
            {"a": [(0.0, BROKEN)]},
            retries=replace(EXACT, budget=BudgetConfig(0.2), limit=1),
            breaker=BreakerConfig(failure_threshold=1000),
        )
        for number in range(20):
            scene.stage.spawn(self.fails(scene, number))
        scene.stage.env.run(until=1.0)

        assert len(scene.sent) == 20 + 14

    async def fails(self, scene, number):
        """Serve a request that fails."""
        with pytest.raises(Internal):
            await scene.gateway.infer(request(number))

    def test_a_route_that_finds_no_node_costs_nothing(self):
        """Nor does the first attempt of a request that found none before: it is no retry."""
        closed = CircuitOpen(NodeId("b"))
        scene = GatewayScene(
            {"a": [(0.0, 1), (0.0, BROKEN), (0.0, 1)]},
            router=Fixed(*[closed] * 14, target("a")),
            retries=replace(EXACT, budget=BudgetConfig(0.0, 1)),
        )
        for _ in range(3):
            assert scene.fail() is closed
        assert scene.sent == []

        assert scene.infer().served_by == "a"  # at its third try
        assert len(scene.sent) == 1
        assert scene.infer().served_by == "a"  # after its retry
        assert len(scene.sent) == 3

    def test_a_retry_that_finds_no_node_is_given_back(self):
        """What is charged is what is sent: another retry takes its place."""
        scene = GatewayScene(
            {"a": [(0.0, BROKEN), (0.0, BROKEN), (0.0, 1)]},
            retries=replace(EXACT, budget=BudgetConfig(0.0, 1)),
            breaker=BreakerConfig(failure_threshold=1, reset_timeout_s=5.0),
        )
        assert isinstance(scene.fail(), CircuitOpen)
        assert scene.sent == [(0.0, "a")]
        scene.stage.env.run(until=8.0)
        scene.breaker.record_success(NodeId("a"))
        for _ in range(3):
            scene.breaker.record_success(NodeId("a"))
        budget = scene.gateway._budgets[GENERATE]

        assert budget.reserve()
        assert not budget.reserve()

    def test_a_backoff_that_is_not_begun_is_given_back(self):
        """A retry that the deadline forbids is not charged."""
        scene = GatewayScene(
            {"a": [(0.0, BROKEN)]},
            timeout=TimeoutConfig(None, 0.25),
            retries=replace(EXACT, budget=BudgetConfig(0.0, 2)),
        )
        scene.fail()
        assert scene.sent == [(0.0, "a"), (0.1, "a")]

        assert scene.gateway._budgets[GENERATE].reserve()

    def test_a_request_that_is_cancelled_gives_its_retry_back(self):
        """One that nobody waits for any more, during its backoff, sends nothing."""
        scene = GatewayScene(
            {"a": [(0.0, BROKEN)]}, retries=replace(EXACT, budget=BudgetConfig(0.0, 1))
        )
        task = scene.stage.spawn(scene.gateway.infer(request()))
        scene.stage.env.run(until=0.05)
        assert not scene.gateway._budgets[GENERATE].reserve()
        task.cancel()
        scene.stage.env.run()

        assert scene.gateway._budgets[GENERATE].reserve()

    def test_retries_under_way_count(self):
        """While one waits for its backoff, its place in the budget is taken."""
        scene = GatewayScene(
            {"a": [(0.0, BROKEN)]},
            retries=replace(EXACT, budget=BudgetConfig(0.0, 1), limit=1),
        )
        for number in range(2):
            scene.stage.spawn(self.fails(scene, number))
        scene.stage.env.run()

        assert scene.sent == [(0.0, "a"), (0.0, "a"), (0.1, "a")]

    def test_each_capability_has_a_budget(self):
        """Retries of one class of requests leave those of another alone."""
        scene = GatewayScene(
            {"a": [(0.0, BROKEN)], "b": [(0.0, Internal("too long")), (0.0, 1)]},
            deployments=[deployment("a"), deployment("b", capabilities=(Capability.EMBED,))],
            retries=replace(EXACT, budget=BudgetConfig(0.0, 2), limit=1),
            breaker=BreakerConfig(failure_threshold=1000),
        )
        for number in range(4):
            assert scene.fail(request(number)) is BROKEN
        assert len(scene.sent) == 4 + 2

        assert scene.infer(request(5, capability=Capability.EMBED)).served_by == "b"

    def test_a_full_queue_is_left_at_once(self):
        """A node that is full is left for another without a backoff, and counts against nobody."""
        diary = Diary()
        scene = GatewayScene({"a": [(0.2, FULL)], "b": [(0.0, 1)]}, middlewares=[diary])

        assert scene.infer().served_by == "b"
        assert scene.sent == [(0.0, "a"), (0.2, "b")]
        assert scene.failures("a") == (0, 0)
        assert diary.errors == ["no_capacity"]

    def test_a_full_queue_with_nowhere_else_to_go(self):
        """Where all nodes are full the request fails at once, without using up the budget."""
        diary = Diary()
        scene = GatewayScene(
            {"a": [(0.0, FULL)], "b": [(0.0, FULL)]},
            middlewares=[diary],
            retries=replace(EXACT, budget=BudgetConfig(0.0)),
        )
        for _ in range(5):
            assert scene.fail() is FULL
        assert scene.sent == [(0.0, node) for node in "abbaabbaab"]
        assert diary.errors == ["no_capacity"] * 10

        scene.nodes["a"] = scene.nodes["b"] = [(0.0, BROKEN)]
        for _ in range(3):
            assert scene.fail() is BROKEN
        assert len(scene.sent) - 10 == (1 + 3) + (1 + 2) + 1  # of ten retries five were left

    def test_a_full_node_is_tried_again_after_another_error(self):
        """A full node may be gone back to when the other one has failed since."""
        scene = GatewayScene({"a": [(0.0, FULL), (0.0, 1)], "b": [(0.0, BROKEN)]})

        assert scene.infer().served_by == "a"
        assert scene.sent == [(0.0, "a"), (0.0, "b"), (0.2, "a")]


class TestRouteErrors:
    """Errors of the router."""

    @pytest.mark.parametrize(
        ("nodes", "asked", "error"),
        [
            ([deployment("a", status=DeploymentStatus.DRAINING)], request(), NoCapacity),
            ([deployment("a")], request(capability=Capability.EMBED), NoCapacity),
        ],
        ids=["draining", "other capability"],
    )
    def test_no_capacity_is_final(self, nodes, asked, error):
        """Where no ready node has the capability, waiting does not help."""
        diary = Diary()
        scene = GatewayScene({"a": [(0.0, 1)]}, deployments=nodes, middlewares=[diary])

        assert isinstance(scene.fail(asked), error)
        assert scene.now_s == 0.0
        assert diary.errors == ["no_capacity"]

    @pytest.mark.parametrize("error", [FULL, PrivacyViolation("x"), QoSViolation("x"), BROKEN])
    def test_final_errors_of_a_router(self, error):
        """No capacity, privacy, quality of service, and anything else of a router are final."""
        router = Fixed(error)
        scene = GatewayScene({"a": [(0.0, 1)]}, router=router)

        assert scene.fail() is error
        assert router.asked == 1

    @pytest.mark.parametrize("error", [AllNodesUnhealthy(GENERATE), CircuitOpen(NodeId("a"))])
    def test_passing_errors_are_tried_again(self, error):
        """Open circuits and unhealthy nodes may pass: the router is asked again after a backoff."""
        diary = Diary()
        router = Fixed(error, error, target("a"))
        scene = GatewayScene({"a": [(0.0, 1)]}, router=router, middlewares=[diary])

        assert scene.infer().served_by == "a"
        assert scene.sent == [(0.3, "a")]
        assert diary.errors == [error.kind] * 2

    def test_a_circuit_that_half_opens_meanwhile(self):
        """A request that comes just before the circuit half-opens becomes its probe."""
        scene = GatewayScene({"a": [(0.0, 1)]}, breaker=BreakerConfig(half_open_successes=1))
        scene.break_circuit("a")
        scene.stage.env.run(until=29.8)

        assert scene.infer().served_by == "a"
        assert scene.sent == [(30.1, "a")]
        assert [change[1:] for change in scene.seen.circuits[1:]] == [
            ("a", "open", "half_open"),
            ("a", "half_open", "closed"),
        ]

    def test_a_router_that_forgets_the_breaker(self):
        """The breaker has the last word: an open circuit is not sent to, but waited for."""
        diary = Diary()
        scene = GatewayScene({"a": [(0.0, 1)]}, router=Fixed(target("a")), middlewares=[diary])
        scene.break_circuit("a")

        assert str(scene.fail()) == "Circuit breaker open for node: a"
        assert scene.sent == []
        assert diary.errors == ["circuit_open"] * 4

    def test_a_router_that_returns_to_a_full_node(self):
        """A router without `route_excluding` that insists on a full node is not indulged."""
        router = Fixed(target("a"))
        scene = GatewayScene({"a": [(0.0, FULL)]}, router=router)

        assert scene.fail() is FULL
        assert router.asked == 2
        assert scene.sent == [(0.0, "a")]


class TestDeadlines:
    """Deadlines of attempts and of requests."""

    def test_of_an_attempt(self):
        """An attempt is given up at its deadline, counts against the node, and is tried again."""
        diary = Diary()
        scene = GatewayScene(
            {"a": [(99.0, 1)], "b": [(1.0, 1)]},
            timeout=TimeoutConfig(5.0, None),
            middlewares=[diary],
        )

        assert scene.infer().served_by == "b"
        assert scene.sent == [(0.0, "a"), (5.1, "b")]
        assert scene.network.given_up == [(5.0, "a")]
        assert scene.failures("a") == (1, 1)
        assert scene.in_flight == {"a": 0, "b": 0}
        assert diary.errors == ["timeout"]

    def test_an_answer_in_time(self):
        """An answer just before the deadline is an answer."""
        scene = GatewayScene({"a": [(4.999, 1)]}, timeout=TimeoutConfig(5.0, None))

        assert scene.infer().latency_s == pytest.approx(4.999)

    @pytest.mark.parametrize("timeout", [TimeoutConfig(5.0, None), TimeoutConfig(None, 5.0)])
    @pytest.mark.parametrize("others", [0, 1, 2])
    def test_an_answer_at_the_very_deadline(self, timeout, others):
        """It is an answer, whatever deadlines other requests have."""
        scene = GatewayScene({"a": [(5.0, 1)]}, timeout=timeout)

        async def later(number):
            await scene.stage.clock.sleep(2.5 * number)
            await scene.gateway.infer(request(number))

        for number in range(others + 1):
            scene.stage.spawn(later(number))
        scene.stage.env.run()

        assert scene.gateway.stats().successful_requests == others + 1

    def test_of_the_request_during_an_attempt(self):
        """The request's own deadline ends all, counts against nobody, and is not tried again."""
        diary = Diary()
        scene = GatewayScene(
            {"a": [(99.0, 1)], "b": [(1.0, 1)]},
            timeout=TimeoutConfig(None, 7.0),
            middlewares=[diary],
        )
        error = scene.fail()

        assert str(error) == "Timeout after 7 s"
        assert scene.now_s == 7.0
        assert scene.network.given_up == [(7.0, "a")]
        assert scene.sent == [(0.0, "a")]
        assert scene.failures("a") == (0, 0)
        assert scene.in_flight == {"a": 0, "b": 0}
        assert diary.errors == ["timeout"]
        assert scene.gateway.stats().failed_requests == 1

    def test_both_at_once(self):
        """Where both deadlines fall together it is the request's, and the node is not blamed."""
        scene = GatewayScene({"a": [(99.0, 1)]}, timeout=TimeoutConfig(5.0, 5.0))
        scene.fail()

        assert scene.sent == [(0.0, "a")]
        assert scene.failures("a") == (0, 0)

    def test_of_the_request_across_attempts(self):
        """Attempts of 3 s within 7 s: the third is cut short after 0.7 s."""
        scene = GatewayScene({"a": [(99.0, 1)]}, timeout=TimeoutConfig(3.0, 7.0))
        error = scene.fail()

        assert str(error) == "Timeout after 7 s"
        assert scene.now_s == pytest.approx(7.0)
        assert scene.sent == [(0.0, "a"), (3.1, "a"), (6.3, "a")]
        assert scene.failures("a") == (2, 2)

    def test_of_the_request_during_a_backoff(self):
        """A backoff that would outlast it is not begun: the request ends at once, in its error."""
        diary = Diary()
        scene = GatewayScene(
            {"a": [(0.0, BROKEN)]},
            timeout=TimeoutConfig(None, 3.0),
            retries=replace(EXACT, backoff_s=2.0),
            middlewares=[diary],
        )

        assert scene.fail() is BROKEN
        assert scene.now_s == 2.0
        assert scene.sent == [(0.0, "a"), (2.0, "a")]
        assert diary.errors == ["internal", "internal"]

    def test_of_the_request_at_the_end_of_a_backoff(self):
        """Nor is one that would end at the very deadline."""
        scene = GatewayScene(
            {"a": [(0.0, BROKEN)]},
            timeout=TimeoutConfig(None, 2.0),
            retries=replace(EXACT, backoff_s=2.0),
        )

        assert scene.fail() is BROKEN
        assert scene.now_s == 0.0
        assert scene.sent == [(0.0, "a")]

    def test_of_the_request_during_the_backoff_of_a_policy(self):
        """The wait of a retry policy is not begun either where it would outlast the deadline."""
        scene = GatewayScene(
            {"a": [(0.5, BROKEN)]}, timeout=TimeoutConfig(None, 3.0), retries=EXACT
        )
        scene.gateway._retry_policy = Waits(1.0)

        assert scene.fail() is BROKEN
        assert scene.sent == [(0.0, "a"), (1.5, "a")]
        assert scene.now_s == 2.0

    def test_no_time_for_another_queue(self):
        """A queue that is full at the very deadline is left for no other, though at once."""
        scene = GatewayScene(
            {"a": [(3.0, FULL)], "b": [(0.0, 1)]}, timeout=TimeoutConfig(None, 3.0)
        )

        assert scene.fail() is FULL
        assert scene.sent == [(0.0, "a")]

    def test_of_the_request_while_the_router_thinks(self):
        """A router that does not answer in time is cut off, and nothing is sent."""
        diary = Diary()
        scene = GatewayScene(
            {"a": [(0.0, 1)]},
            timeout=TimeoutConfig(None, 3.0),
            router=Fixed(target("a")),
            middlewares=[diary],
        )
        router = scene.gateway.router
        assert isinstance(router, Fixed)
        router.clock, router.wait_s = scene.stage.clock, 9.0
        error = scene.fail()

        assert str(error) == "Timeout after 3 s"
        assert scene.now_s == 3.0
        assert scene.sent == []
        assert diary.errors == ["timeout"]

    def test_a_router_s_thinking_counts_for_the_request(self):
        """The time that a router takes is taken from the request's, not from the attempt's."""
        scene = GatewayScene(
            {"a": [(2.5, 1)]}, timeout=TimeoutConfig(3.0, 4.0), router=Fixed(target("a"))
        )
        router = scene.gateway.router
        assert isinstance(router, Fixed)
        router.clock, router.wait_s = scene.stage.clock, 1.0
        assert scene.infer().latency_s == 2.5

        router.wait_s = 2.0
        assert scene.fail().kind == "timeout"

    def test_none(self):
        """Without deadlines an attempt may take for ever."""
        scene = GatewayScene({"a": [(1e5, 1)]}, timeout=None)

        assert scene.infer().latency_s == 1e5


class TestCancellation:
    """A caller that does not wait any more."""

    def test_of_an_attempt(self):
        """A cancelled request leaves nothing in flight and counts against nobody."""
        diary = Diary()
        scene = GatewayScene({"a": [(9.0, 1)]}, middlewares=[diary])
        task = scene.stage.spawn(scene.gateway.infer(request()))
        scene.stage.env.run(until=1.0)
        task.cancel()
        scene.stage.env.run()
        stats = scene.gateway.stats()

        assert scene.network.given_up == [(1.0, "a")]
        assert scene.in_flight == {"a": 0}
        assert scene.failures("a") == (0, 0)
        assert diary.errors == []
        assert (stats.total_requests, stats.successful_requests, stats.failed_requests) == (1, 0, 0)

    def test_of_a_probe(self):
        """A probe request that is cancelled gives back its right; the circuit stays half-open."""
        scene = GatewayScene({"a": [(9.0, 1)]})
        scene.break_circuit("a")
        scene.stage.env.run(until=31.0)
        task = scene.stage.spawn(scene.gateway.infer(request()))
        scene.stage.env.run(until=32.0)
        assert scene.breaker.is_open(NodeId("a"))
        task.cancel()
        scene.stage.env.run(until=33.0)

        assert not scene.breaker.is_open(NodeId("a"))
        assert scene.breaker.state(NodeId("a")) is CircuitState.HALF_OPEN

    def test_of_a_probe_at_the_request_s_deadline(self):
        """A probe request that runs into the request's deadline counts for nothing either."""
        scene = GatewayScene({"a": [(99.0, 1)]}, timeout=TimeoutConfig(None, 5.0))
        scene.break_circuit("a")
        scene.stage.env.run(until=31.0)
        scene.fail()

        assert scene.breaker.state(NodeId("a")) is CircuitState.HALF_OPEN
        assert not scene.breaker.is_open(NodeId("a"))


class TestBreaker:
    """Failures in traffic trip the breaker."""

    def test_five_failed_attempts_open_the_circuit(self):
        """Timeouts of a node's requests open its circuit, and its traffic goes elsewhere."""
        scene = GatewayScene({"a": [(99.0, 1)], "b": [(0.0, 1)]}, timeout=TimeoutConfig(1.0, None))
        for number in range(20):
            assert scene.infer(request(number)).served_by == "b"

        assert scene.breaker.state(NodeId("a")) is CircuitState.OPEN
        assert sum(node == "a" for _, node in scene.sent) == 5

    def test_full_queues_do_not(self):
        """However often a node is full, its circuit stays closed."""
        scene = GatewayScene({"a": [(0.0, FULL)], "b": [(0.0, 1)]})
        for number in range(50):
            scene.infer(request(number))

        assert scene.breaker.state(NodeId("a")) is CircuitState.CLOSED

    def test_one_probe_at_a_time(self):
        """Half-open, of many requests at once one is sent, and the rest are refused."""
        scene = GatewayScene({"a": [(1.0, 1)]}, retries=None)
        scene.break_circuit("a")
        scene.stage.env.run(until=30.0)
        refused = []

        async def ask(number):
            try:
                await scene.gateway.infer(request(number))
            except CircuitOpen as error:
                refused.append(error.node_id)

        for number in range(10):
            scene.stage.spawn(ask(number))
        scene.stage.env.run(until=40.0)

        assert len(scene.sent) == 1
        assert refused == ["a"] * 9


class Notified(Fixed):
    """A router that keeps what the gateway tells it."""

    def __init__(self, *choices):
        super().__init__(*choices)
        self.told: list[tuple] = []

    def on_start(self, target, request):
        """Keep it."""
        self.told.append(("start", target.node_id))

    def on_complete(self, target, request, outcome, latency_s):
        """Keep it."""
        self.told.append(("complete", target.node_id, outcome, round(latency_s, 9)))

    async def route_excluding(self, request, excluded):
        """Keep whom to avoid, and choose."""
        self.told.append(("excluding", *excluded))
        return await self.route(request)


class TestHooks:
    """What a router may hear beyond its contract."""

    def test_start_and_completion(self):
        """Each attempt is told once at its start and once at its end, with outcome and latency."""
        router = Notified(target("a"), target("b"))
        scene = GatewayScene({"a": [(0.5, BROKEN)], "b": [(0.25, 1)]}, router=router)
        scene.infer()

        assert router.told == [
            ("start", "a"),
            ("complete", "a", "internal", 0.5),
            ("excluding", "a"),
            ("start", "b"),
            ("complete", "b", "ok", 0.25),
        ]

    def test_outcomes(self):
        """Deadlines, full queues and cancellations have outcomes of their own."""
        router = Notified(target("a"))
        scene = GatewayScene(
            {"a": [(9.0, 1), (0.0, FULL), (9.0, 1)]},
            router=router,
            timeout=TimeoutConfig(1.0, None),
            retries=None,
        )
        scene.fail()
        scene.fail(request(2))
        task = scene.stage.spawn(scene.gateway.infer(request(3)))
        scene.stage.env.run(until=1.5)
        task.cancel()
        scene.stage.env.run()

        assert [what[2] for what in router.told if what[0] == "complete"] == [
            "timeout",
            "no_capacity",
            "cancelled",
        ]

    def test_a_target_is_passed_on_as_it_is(self):
        """Hooks and transport get the very target that the router returned."""
        chosen = RouteTarget(NodeId("a"), target("a").region_id, "http://a", 0.1, 0.9)
        scene = GatewayScene({"a": [(0.0, 1)]}, router=Fixed(chosen))

        assert scene.infer().served_by == "a"
