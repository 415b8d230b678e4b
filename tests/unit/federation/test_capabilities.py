"""Capabilities: asked for by name, bound once, and promised by a class of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim.federation import capabilities
from fedsim.federation.breaker import CircuitBreaker
from fedsim.federation.capabilities import (
    AnnouncesChanges,
    GatesAttempts,
    KeepsRecords,
    RouterHooks,
    RoutesRetries,
    announces,
    bind,
    has,
)
from fedsim.federation.contracts import InferenceResponse, NodeId
from fedsim.federation.health import HealthChecker
from fedsim.federation.policies import POLICIES, HealthPolicy
from fedsim.federation.rate_breaker import RateBreaker
from fedsim.federation.router import Router
from tests.unit.federation.stand_ins import request, target


class Starts:
    """A router with one hook of its own."""

    immediate = True

    def __init__(self):
        self.started = []

    def on_start(self, target, request):
        """Keep the node."""
        self.started.append(target)


def answer():
    """Return a response."""
    return InferenceResponse(b"", NodeId("a"), 0.1)


class Proxy:
    """A router that has whatever another one has."""

    def __init__(self, router):
        self.router = router

    def __getattr__(self, name):
        return getattr(self.router, name)


class TestBinding:
    """Hooks that a plug-in has are its own; the rest does nothing."""

    @pytest.mark.parametrize("wrap", [lambda router: router, Proxy])
    def test_own_and_missing(self, wrap):
        """One hook is the router's, the others can be called; a proxy's are found as well."""
        router = Starts()
        hooks = bind(wrap(router), RouterHooks)

        hooks.on_start(target("a"), request())
        hooks.on_complete(target("a"), request(), "ok", 1.0)
        hooks.on_response(target("a"), request(), answer())

        assert router.started == [target("a")]
        assert hooks.immediate

    def test_nothing(self):
        """Of an object without hooks, and of none at all, nothing is called."""
        for plugin in (object(), None):
            hooks = bind(plugin, RouterHooks)
            hooks.on_first_token(target("a"), request())
            assert not hooks.immediate

    def test_none_is_lacking(self):
        """A method that is None is not there."""

        class Without(Starts):
            route_excluding = None

        assert not has(Without(), RoutesRetries)


def test_built_in_parts_have_theirs():
    """What the built-in parts do is found by the same question."""
    assert has(Router, RoutesRetries)
    assert has(HealthChecker, KeepsRecords)
    for breaker in (CircuitBreaker, RateBreaker):
        assert has(breaker, GatesAttempts)
    for part in (HealthChecker, CircuitBreaker, RateBreaker):
        assert has(part, AnnouncesChanges)


class TestPromises:
    """Who announces changes has to say so, and a subclass again."""

    def test_built_in(self):
        """All built-in policies do."""
        for entry in POLICIES.values():
            assert announces(entry.policy.__new__(entry.policy))

    def test_a_subclass_has_to_say_so_again(self):
        """One that only inherits the promise may have broken it."""

        class Silent(HealthPolicy):
            """Says nothing."""

        class Says(HealthPolicy):
            """Says so."""

            announces = True

        class Denies(HealthPolicy):
            """Says no."""

            announces = False

        assert [announces(kind()) for kind in (Silent, Says, Denies)] == [False, True, False]


KINDS = [
    kind
    for kind in vars(capabilities).values()
    if isinstance(kind, type) and kind.__module__ == capabilities.__name__
]


def test_each_loss_is_of_a_capability():
    """Every method whose lack is a loss is one that a capability has."""
    known = {name for kind in KINDS for name in capabilities.names(kind)}
    assert {method for losses in capabilities.LOSSES.values() for method in losses} <= known


OURS = (capabilities.KeepsRecords, capabilities.CountsRequests, capabilities.Settles)
"""Capabilities that guards do not pass on, and the page on plug-ins leaves out."""


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in OURS])
def test_the_page_on_plug_ins_has_each(kind):
    """Its table names every method and attribute, but for the two that only save time."""
    page = Path(__file__).parents[3].joinpath("docs", "plugins.md").read_text(encoding="utf-8")
    table = page.partition("## Capabilities")[2].partition("\n## ")[0]
    for name in capabilities.names(kind):
        assert name in table or name in {"immediate", "troubled"}
