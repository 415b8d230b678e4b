from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

import fedsim
from fedsim.errors import PlugInError, ScenarioError
from fedsim.federation.contracts import InferenceResponse, Internal, NodeId
from fedsim.federation.policies import HealthPolicy, LocalityPolicy, PrivacyPolicy, ThroughputPolicy
from tests.contract.plugin_world import fails, module, scenario

NONSENSE = [None, "high", float("nan"), float("inf"), [1.0]]


@pytest.fixture
def scene(tmp_path):
    """Return a small scenario."""
    return scenario(tmp_path)


class Even:
    """A policy that prefers the node of the same parity as the request."""

    def name(self):
        """Return the policy's name."""
        return "even"

    def score(self, candidate, request):
        """Return 1 for the node, 0.5 for others."""
        return 1.0 if candidate.target.node_id == self.favourite(request) else 0.5

    def is_eligible(self, candidate, request):
        """Return whether the node is the one."""
        return candidate.target.node_id == self.favourite(request)

    def favourite(self, request):
        """Return the node for a request."""
        return f"chat-{int(request.request_id.rpartition('-')[2]) % 2}"


class AnswersAll(Even):
    """A policy that has an answer for every attribute, its own name's included."""

    def __getattr__(self, name):
        return lambda *args: None


class TestPolicies:
    @pytest.mark.parametrize(
        ("has", "said"),
        [
            ({"rejects_as": "privcy"}, "its rejects_as is 'privcy'; it must be one of qos, priv"),
            ({"scores": lambda *args: None}, "scores() raised TypeError: 'NoneType' object is not"),
            ({"rejection": property(lambda self: 1 / 0)}, "its rejection raised ZeroDivisionErr"),
        ],
    )
    def test_what_it_has_is_checked(self, scene, has, said):
        """What a policy has beyond its contract is the policy's mistake where it is wrong."""
        policy = type("Odd", (Even,), has)
        error = fails(scene, policies=[policy], strategy="weighted_random")

        assert said in str(error)
        assert error.plugin.endswith("Odd")

    def test_name_of_one_that_answers_all(self, scene):
        """An error names the class of an object that answers for every attribute."""
        assert fails(scene, policies=[AnswersAll()]).plugin == f"{__name__}:AnswersAll"

    def test_decides_who_is_eligible(self, scene):
        """A policy of one's own rules nodes out, request by request."""
        run = fedsim.simulate(scene, policies=["health", Even])

        number = run.requests["request_id"].str.rpartition("-")[2].astype(int)
        assert (run.requests["node"] == "chat-" + (number % 2).astype(str)).all()

    def test_in_a_file_with_a_weight(self, tmp_path):
        """A policy in a file beside the scenario has the weight that the scenario gives it."""
        source = """\
            class Favour:
                weight = 7.0

                def __init__(self, context):
                    assert [policy.name() for policy in context.policies] == ["health"]

                def name(self):
                    return "favour"

                def score(self, candidate, request):
                    return 1.0 if candidate.target.node_id == "chat-1" else 0.0

                def is_eligible(self, candidate, request):
                    return True
            """
        name = f"{module(tmp_path, source)}:Favour"
        scene = scenario(tmp_path, {"federation.policies": {"health": {"weight": 0}, name: {}}})
        run = fedsim.simulate(scene, strategy="weighted_random")

        assert set(run.requests["node"]) == {"chat-1"}

    def test_scores_of_many_at_once(self, scene):
        """A policy that scores columns is asked for them, and chooses as with single scores."""
        asked = []

        class Columns(Even):
            def is_eligible(self, candidate, request):
                return True

            def scores(self, columns, request):
                asked.append(len(columns.node_ids))
                favourite = self.favourite(request)
                return [1.0 if node == favourite else 0.0 for node in columns.node_ids]

        fedsim.simulate(scene, policies=[Columns], strategy="weighted_random")
        assert asked
        assert set(asked) == {3}

    @pytest.mark.parametrize(
        ("value", "problem"), [([1.0], "1 numbers for 3"), ([1.0, None, 1.0], "finite number")]
    )
    def test_scores_nonsense(self, scene, value, problem):
        """A finite number is due for each node."""

        class Vague(Even):
            def is_eligible(self, candidate, request):
                return True

            def scores(self, columns, request):
                return value

        with pytest.raises(PlugInError, match=problem):
            fedsim.simulate(scene, policies=[Vague], strategy="weighted_random")

    def test_that_rules_out_all(self, scene):
        """Where a policy leaves no node, requests end in a violation of their QoS."""

        class Strict(Even):
            def is_eligible(self, candidate, request):
                return False

            def rejection(self, candidate, request):
                return "no node is good enough"

        run = fedsim.simulate(scene, policies=[Strict])
        assert set(run.requests["outcome"]) == {"qos_violation"}

    def test_numpys_values_will_do(self, scene):
        """Scores, verdicts and weights may be numpy's."""

        class Numerical(Even):
            weight = np.float32(0.5)

            def score(self, candidate, request):
                return np.float32(super().score(candidate, request))

            def is_eligible(self, candidate, request):
                return np.array([True]).all()

        run = fedsim.simulate(scene, policies=[Numerical], strategy="weighted_random")
        assert (run.requests["outcome"] == "ok").all()

    def test_our_own_may_be_named_given_or_made(self, scene):
        """Names, classes and objects of our policies come to the same."""
        names = fedsim.simulate(scene, policies=["health", "throughput", "privacy", "locality"])
        classes = [HealthPolicy, ThroughputPolicy, PrivacyPolicy, LocalityPolicy]
        given = fedsim.simulate(scene, policies=classes)
        made = fedsim.simulate(scene, policies=[HealthPolicy(), *classes[1:3], LocalityPolicy()])

        assert names.digest == given.digest == made.digest

    def test_one_object_for_several_gateways(self, tmp_path):
        """One object is refused where each gateway needs its own."""
        scene = scenario(tmp_path, {"federation.gateways": {"here": 2}})

        assert "give the class instead" in fails(scene, policies=[Even()]).problem

    @pytest.mark.parametrize("method", ["score", "is_eligible", "rejection"])
    def test_that_raise(self, scene, method):
        """A policy that raises stops the run, by its name and with the request."""

        def broken(*_):
            reason = "no idea"
            raise LookupError(reason)

        methods = {"is_eligible": lambda *_: method == "score", method: broken}
        kind = type("Broken", (Even,), methods)
        error = fails(scene, policies=[kind])

        assert error.plugin.endswith("Broken")
        assert (error.problem, error.request_id) == (
            f"{method}() raised LookupError: no idea",
            "chat-0",
        )
        assert error.time_s is not None
        assert isinstance(error.__cause__, LookupError)

    @pytest.mark.parametrize("value", NONSENSE)
    def test_score_nonsense(self, scene, value):
        """A score that is no finite number stops the run."""

        class Wrong(Even):
            def score(self, candidate, request):
                return value

        error = fails(scene, policies=[Wrong])
        assert error.problem == f"score() returned {value!r}; it must be a finite number"
        assert error.request_id == "chat-0"

    @pytest.mark.parametrize("value", [None, "yes", 1])
    def test_is_eligible_nonsense(self, scene, value):
        """A verdict that is neither true nor false stops the run."""

        class Wrong(Even):
            def is_eligible(self, candidate, request):
                return value

        error = fails(scene, policies=[Wrong])
        assert error.problem == f"is_eligible() returned {value!r}; it must be True or False"

    @pytest.mark.parametrize("weight", [*NONSENSE, -1.0])
    def test_weigh_nonsense(self, scene, weight):
        """A weight that is no number of 0 or more is refused before the run."""
        kind = type("Heavy", (Even,), {"weight": weight})

        error = fails(scene, policies=[kind])
        assert error.problem == f"its weight is {weight!r}; it must be a finite number, 0 or more"

    def test_async(self, scene):
        """An async policy is refused: the contract's methods are plain."""

        class Late(Even):
            async def score(self, candidate, request):
                return 1.0

        error = fails(scene, policies=[Late])
        assert error.problem == "score() is async; it must be a plain method, which cannot wait"

    def test_incomplete(self, scene):
        """A class that lacks a method is refused before the run."""

        class Nothing:
            def score(self, candidate, request):
                return 1.0

        error = fails(scene, policies=[Nothing])
        assert error.problem == "it is no policy: it lacks is_eligible(), name()"

    def test_unknown(self, scene):
        """A name that is neither ours nor module:Class is refused with those that are."""
        with pytest.raises(ScenarioError, match=r"--set: federation.policies.fairness: There"):
            fedsim.simulate(scene, policies=["fairness"])


class Last:
    """A strategy that takes the last candidate."""

    def select(self, fleet, candidates, request):
        """Return the last candidate's position."""
        return candidates.positions[-1]


class TestStrategies:
    @pytest.mark.parametrize("strategy", [Last, Last()])
    def test_class_or_object(self, scene, strategy):
        """A strategy of one's own chooses, as a class or as an object."""
        run = fedsim.simulate(scene, strategy=strategy)

        assert set(run.requests["node"]) == {"chat-2"}
        assert run.strategy.endswith(":Last")

    def test_in_a_file(self, tmp_path):
        """A strategy in a file is named in the scenario, or for one run."""
        source = """\
            class First:
                def __init__(self, context):
                    self.rng = context.rng

                def select(self, fleet, candidates, request):
                    assert fleet.node_ids == ["chat-0", "chat-1", "chat-2"]
                    return candidates.positions[0]
            """
        name = f"{module(tmp_path, source)}:First"
        run = fedsim.simulate(scenario(tmp_path, {"federation.strategy": name}))
        same = fedsim.simulate(scenario(tmp_path), strategy=name)

        assert set(run.requests["node"]) == {"chat-0"}
        assert run.strategy == same.strategy == name
        assert run.digest == same.digest

    def test_numpys_integers_will_do(self, scene):
        """A position may be what ``argmin`` returns."""

        class Least:
            def select(self, fleet, candidates, request):
                loads = [fleet.in_flight[position] for position in candidates.positions]
                return np.array(candidates.positions)[np.argmin(loads)]

        run = fedsim.simulate(scene, strategy=Least)
        assert (run.requests["outcome"] == "ok").all()

    @pytest.mark.parametrize("value", [None, 3, -1, "chat-0", 0.0])
    def test_select_nonsense(self, scene, value):
        """A choice that is no candidate stops the run."""

        class Wrong:
            def select(self, fleet, candidates, request):
                return value

        error = fails(scene, strategy=Wrong)
        assert error.problem == (
            f"select() returned {value!r}; it must be one of candidates.positions, [0, 1, 2]"
        )
        assert error.request_id == "chat-0"

    def test_raises(self, scene):
        """A strategy that raises stops the run."""

        class Broken:
            def select(self, fleet, candidates, request):
                return candidates.positions[7]

        error = fails(scene, strategy=Broken)
        assert error.problem == "select() raised IndexError: tuple index out of range"
        assert error.request_id == "chat-0"

    def test_async(self, scene):
        """An async strategy is refused."""

        class Late:
            async def select(self, fleet, candidates, request):
                return 0

        assert fails(scene, strategy=Late).problem.startswith("select() is async")

    def test_unknown(self, scene):
        """A name that is not built in is refused with those that are."""
        with pytest.raises(ScenarioError, match=r"--set: federation.strategy: There is no strat"):
            fedsim.simulate(scene, strategy="fastest")

    def test_one_object_for_several_gateways(self, tmp_path):
        """One object is refused where each gateway needs its own."""
        scene = scenario(tmp_path, {"federation.gateways": {"here": 2}})

        assert "give the class instead" in fails(scene, strategy=Last()).problem


class Layer:
    """Middleware that changes nothing."""

    def before_route(self, request):
        """Leave the request."""

    def after_infer(self, request, response):
        """Leave the response."""

    def on_error(self, request, error):
        """Leave the error."""


class TestMiddleware:
    @pytest.fixture
    def play(self, tmp_path):
        """Return what runs the scenario with classes as middleware, outermost first."""

        def play(*kinds, **overrides):
            middleware = {"federation.middleware": list(kinds)}
            return fedsim.simulate(scenario(tmp_path, {**middleware, **overrides}))

        return play

    def test_in_a_file(self, tmp_path):
        """Middleware in a file sees requests and responses, and may replace both."""
        source = """\
            from dataclasses import replace

            seen = []


            class Layer:
                def before_route(self, request):
                    return replace(request, tenant_id="everyone")

                def after_infer(self, request, response):
                    seen.append((request.tenant_id, response.served_by))

                def on_error(self, request, error):
                    pass
            """
        name = module(tmp_path, source)
        settings = {"federation.middleware": [f"{name}:Layer"]}
        run = fedsim.simulate(scenario(tmp_path, settings), strategy="consistent_hash")

        assert len(set(run.requests["node"])) == 1
        assert sys.modules[name].seen == [("everyone", run.requests["node"].iloc[0])] * len(
            run.requests
        )

    def test_order(self, play):
        """The first in the list is the outermost: it sees the request first."""
        log = []

        class Outer(Layer):
            def before_route(self, request):
                log.append("outer")

        class Inner(Layer):
            def before_route(self, request):
                log.append("inner")

        run = play(Outer, Inner)

        assert log == ["outer", "inner"] * len(run.requests)

    def test_refuses_requests(self, play):
        """A federation error from middleware is the request's outcome."""
        errors = []

        class Doorman(Layer):
            def before_route(self, request):
                if request.tenant_id == "chat-tenant-0":
                    reason = "not you"
                    raise Internal(reason)

            def on_error(self, request, error):
                errors.append(request.request_id)

        run = play(Doorman)

        refused = run.requests[run.requests["tenant"] == "chat-tenant-0"]
        assert set(refused["outcome"]) == {"internal"}
        assert errors == refused["request_id"].tolist()
        assert (run.requests["outcome"] == "ok").sum() == len(run.requests) - len(refused)

    def test_changes_the_request_id(self, play):
        """A request under another name stops the run, by the middleware's name."""

        class Renaming(Layer):
            def before_route(self, request):
                return replace(request, request_id="mine")

        with pytest.raises(PlugInError) as caught:
            play(Renaming)
        assert caught.value.plugin.endswith("Renaming")
        assert caught.value.request_id == "chat-0"
        assert caught.value.problem == (
            "before_route() changed the request_id to 'mine'; it may replace a request, but must "
            "keep its request_id"
        )

    @pytest.mark.parametrize("method", ["before_route", "after_infer", "on_error"])
    def test_raises(self, play, method):
        """Anything but a federation error stops the run."""

        def broken(*_):
            reason = "no idea"
            raise LookupError(reason)

        kind = type("Broken", (Layer,), {method: broken})
        outage = [{"kind": "errors", "node": "chat-0", "at": "0s", "lasts": "1h", "probability": 1}]
        with pytest.raises(PlugInError) as caught:
            play(kind, faults=outage)
        assert caught.value.problem == f"{method}() raised LookupError: no idea"
        assert caught.value.request_id is not None

    @pytest.mark.parametrize(
        ("method", "value", "wanted"),
        [
            ("before_route", "request", "an InferenceRequest or None"),
            (
                "before_route",
                InferenceResponse(b"", NodeId("chat-0"), 0.0),
                "an InferenceRequest or None",
            ),
            ("after_infer", 0.5, "an InferenceResponse or None"),
        ],
    )
    def test_returns_nonsense(self, play, method, value, wanted):
        """What is neither None nor of the right kind stops the run."""
        kind = type("Wrong", (Layer,), {method: lambda *_: value})

        with pytest.raises(PlugInError) as caught:
            play(kind)
        assert caught.value.problem == f"{method}() returned {value!r}; it must return {wanted}"

    def test_async(self, play):
        """Async middleware is refused."""

        class Late(Layer):
            async def before_route(self, request):
                return None

        with pytest.raises(PlugInError, match=r"before_route\(\) is async"):
            play(Late)

    def test_incomplete(self, play):
        """A class that lacks a method is refused before the run."""

        class Nothing:
            def before_route(self, request):
                return None

        with pytest.raises(PlugInError, match=r"no middleware: it lacks after_infer\(\), on_error"):
            play(Nothing)


class TestPanicRules:
    """A strategy of one's own may say which nodes panic mode opens."""

    PANIC = {"federation.panic": {"threshold": "100%"}}  # noqa: RUF012 - read only
    DOWN = {  # noqa: RUF012 - read only
        "faults": [{"kind": "outage", "node": "chat-0", "at": "1s", "lasts": "18s"}],
        "federation.health": {"interval": "1s", "timeout": "500ms", "failure_threshold": 1},
        "federation.circuit_breaker": "off",
    }

    def test_a_rule_is_followed(self, tmp_path):
        """One that opens no node keeps requests away from an unhealthy one."""

        class Usual:
            def select(self, fleet, candidates, request):
                return candidates.next()

        class Never(Usual):
            def panicking(self, fleet, members, usable, threshold):
                return frozenset()

        scene = scenario(tmp_path, {**self.PANIC, **self.DOWN})
        sent = {
            kind: (fedsim.simulate(scene, strategy=kind).attempts["node"] == "chat-0").sum()
            for kind in (Never, Usual)
        }
        assert sent[Never] < sent[Usual]

    def test_nonsense(self, tmp_path):
        """What is no set of the members is named as the mistake."""

        class Wrong:
            def select(self, fleet, candidates, request):
                return candidates.next()

            def panicking(self, fleet, members, usable, threshold):
                return [99]

        error = fails(scenario(tmp_path, self.PANIC), strategy=Wrong)
        assert "panicking() returned [99]" in str(error)
