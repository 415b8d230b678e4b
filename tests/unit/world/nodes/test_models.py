from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsim.kernel.streams import ADAPTER_LOAD, MODEL_LOAD, keyed_uniform
from fedsim.workload.details import Pictures
from fedsim.workload.distributions import Constant, Exponential
from fedsim.world.nodes.config import SwitchConfig
from fedsim.world.nodes.slots import Models
from fedsim.world.service import DistributedService, PictureService
from tests.unit.world.scripted import Script, outage, slowdown


def painting(rows, switch, **settings):
    """Return a script whose rows are a time, a model and adapters; an image takes 1 s."""
    return Script(
        [(time_s, 0) for time_s, *_ in rows],
        details=[Pictures(1, 1, model, adapters) for _, model, adapters in rows],
        service=PictureService(1.0),
        pool={"switch": switch},
        **settings,
    )


def request_for(key, details) -> Any:
    """Return a request as far as loading goes."""
    return SimpleNamespace(key=key, details=details)


TEN = SwitchConfig(Constant(10.0), Constant(2.0))


class TestOnANode:
    def test_the_first_request_for_a_model_waits_for_it(self):
        """Loading is part of the time in the slot, and a model that is there costs nothing."""
        played = painting([(0.0, 7, 0), (0.0, 7, 0), (0.0, 3, 0), (0.0, 7, 0)], TEN).play()

        assert played.held_s == [11.0, 1.0, 11.0, 11.0]

    def test_says_what_it_loads(self):
        """Every load of a base model is an event of its node."""
        played = painting([(0.0, 7, 0), (20.0, 3, 0)], TEN, faults=[slowdown(15.0, 50.0, 2)]).play()

        events = played.tables.events.query("kind == 'loading'")
        assert events["time_s"].tolist() == [0.0, 20.0]
        assert events["subject"].tolist() == ["node-0", "node-0"]
        assert events["detail"].tolist() == ["model 7, 10.000 s", "model 3, 20.000 s"]

    def test_adapters_are_loaded_for_each_request(self):
        """A request pays for each of its adapters, whoever came before."""
        played = painting([(0.0, 7, 0), (0.0, 7, 2), (0.0, 7, 2)], TEN).play()

        assert played.held_s == [11.0, 5.0, 5.0]

    def test_a_crash_loses_the_models(self):
        """A node that comes back has no model loaded."""
        rows = [(0.0, 7, 0), (20.0, 7, 0)]
        assert painting(rows, TEN).play().held_s == [11.0, 1.0]
        assert painting(rows, TEN, faults=[outage(12.0, 1.0)]).play().held_s == [11.0, 11.0]

    def test_a_request_without_details_asks_for_the_first_model(self):
        """Custom work may run on such a node: it takes model 0 and no adapters."""
        service = DistributedService(Constant(1.0))
        script = Script([(0.0, 1), (0.0, 1)], service=service, pool={"switch": TEN})

        assert script.play().held_s == [11.0, 1.0]


class TestModels:
    def test_luck_is_the_requests_own(self):
        """Loads are drawn by the request's key and attempt, each adapter by itself."""
        config = SwitchConfig(Exponential(10.0), Exponential(2.0))
        asking = request_for(99, Pictures(1, 1, 4, 2))

        for attempt in (1, 2):
            model_s, adapters_s = Models(config).load_s(asking, attempt)

            luck = keyed_uniform(99, MODEL_LOAD, attempt)
            assert model_s == config.model_load.quantile(luck)
            assert config.adapter_load is not None
            first_s = config.adapter_load.quantile(keyed_uniform(99, ADAPTER_LOAD, attempt))
            assert adapters_s > first_s
            assert adapters_s != pytest.approx(2.0 * first_s)

    def test_adapters_may_cost_nothing(self):
        """Without a time for adapters only base models are loaded."""
        models = Models(SwitchConfig(Constant(10.0)))

        assert models.load_s(request_for(1, Pictures(1, 1, 4, 3)), 1) == (10.0, 0.0)

    @given(st.integers(1, 4), st.lists(st.integers(0, 5)))
    def test_keeps_those_used_last(self, room, asked):
        """A model is loaded unless it is among the last *room* distinct ones asked for."""
        models = Models(SwitchConfig(Constant(10.0), models=room))

        for place, model in enumerate(asked):
            recent = list(dict.fromkeys(reversed(asked[:place])))[:room]
            loaded = models.load_s(request_for(1, Pictures(1, 1, model, 0)), 1)[0] is not None
            assert loaded == (model not in recent)
