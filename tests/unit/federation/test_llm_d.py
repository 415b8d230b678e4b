"""The scorers of llm_d, and their sum."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim.federation.contracts import Capability
from fedsim.federation.strategies.llm_d import LlmDSettings
from fedsim.federation.strategies.scorers import between
from tests.unit.federation.stand_ins import Dice
from tests.unit.federation.strategy_scene import StrategyScene, prompt

EIGHT = prompt(*range(8), tenant="ann")
OFF = {"queue": 0.0, "kv": 0.0, "prefix": 0.0}


def scene(**settings: float) -> StrategyScene:
    """Return three nodes whose last probe said different things."""
    found = StrategyScene("a", "b", "c", strategy="llm_d", settings=settings)
    found.tell("a", queue=4, running=10, kv=0.5)
    found.tell("b", queue=0, running=30, kv=0.2)
    found.tell("c", queue=2, running=20, kv=0.8)
    found.cache("a", *range(8))
    found.cache("c", *range(4))
    return found


def sums(found: StrategyScene, request=EIGHT) -> list[float]:
    """Return the sums of all nodes."""
    strategy = found.router._strategy
    return [round(each, 9) for each in strategy.sums(found.router.fleet, (0, 1, 2), request)]  # type: ignore[attr-defined]


class TestScorers:
    """Each scorer alone."""

    @pytest.mark.parametrize(
        ("scorer", "expected"),
        [
            ("queue", [0.0, 1.0, 0.5]),
            ("running", [1.0, 0.0, 0.5]),
            ("kv", [0.5, 0.8, 0.2]),
            ("prefix", [1.0, 0.0, 0.5]),
            ("load_aware", [0.5 * 124 / 128, 0.5, 0.5 * 126 / 128]),
            ("no_hit_lru", [0.5, 0.5, 0.5]),
            ("session", [0.0, 0.0, 0.0]),
            ("token_load", [1.0, 1.0, 1.0]),
            ("active_request", [1.0, 1.0, 1.0]),
        ],
    )
    def test_score(self, scorer, expected):
        """Queues 4, 0, 2, running 10, 30, 20, caches at 50, 20, 80 %, blocks 8, 0, 4 of 8."""
        assert sums(scene(**{**OFF, scorer: 1.0})) == pytest.approx(expected)

    def test_equal_values_score_one(self):
        """Where there is no difference everyone has the full score, the unknown none."""
        assert between([3, 3, None]) == [1.0, 1.0, 0.0]
        assert between([None, None]) == [0.0, 0.0]

    def test_active_requests(self):
        """In flight 4, 0, 1 score 0, 1 and 0.75."""
        found = scene(**{**OFF, "active_request": 1.0})
        found.load(a=4, b=0, c=1)

        assert sums(found) == [0.0, 1.0, 0.75]

    def test_tokens_in_flight(self):
        """A quarter of 4194304 tokens costs a quarter, until the request has ended."""
        found = scene(**{**OFF, "token_load": 1.0})
        large = prompt(*range(65_536))
        target = found.start("b", large)
        assert sums(found) == [1.0, 0.75, 1.0]

        found.router.on_complete(target, large, "ok", 1.0)
        assert sums(found) == [1.0, 1.0, 1.0]

    def test_session(self):
        """The tenant's last node scores 1."""
        found = scene(**{**OFF, "session": 1.0})
        found.start("b", EIGHT)
        found.start("c", EIGHT)

        assert sums(found) == [0.0, 0.0, 1.0]
        assert sums(found, prompt(1, tenant="bob")) == [0.0, 0.0, 0.0]

    def test_a_session_for_each_capability(self):
        """A tenant's embeddings do not move their chats."""
        found = scene(**{**OFF, "session": 1.0})
        found.start("b", EIGHT)
        found.start("c", replace(EIGHT, capability=Capability.EMBED))

        assert sums(found) == [0.0, 1.0, 0.0]

    def test_new_prompts_go_round(self):
        """Prompts that no node knows go to the node that waits longest, from a drawn one on."""
        found = scene(**{**OFF, "no_hit_lru": 1.0})
        chosen = [found.serve(prompt(1000 + number)) for number in range(5)]

        assert chosen == ["b", "c", "a", "b", "c"]
        assert sums(found, prompt(9999)) == [1.0, 0.5, 0.0]

    def test_old_telemetry_is_not_believed(self):
        """A node that was probed too long ago scores 0 by its queue and its cache."""
        found = scene(queue=1.0, kv=1.0, prefix=0.0, stale_after_s=5.0)
        found.tell("b", queue=0, kv=0.2, at_s=-5.1)
        assert sums(found) == pytest.approx([0.5, 0.0, 1.2])

        found.tell("b", queue=0, kv=0.2, at_s=-5.0)
        assert sums(found) == pytest.approx([0.5, 1.8, 0.7])


class TestLlmD:
    """The sum, and the choice."""

    def test_default_weights(self):
        """2 x queue + 2 x kv + 3 x prefix: 4.0, 3.6 and 2.9."""
        found = scene()

        assert sums(found) == pytest.approx([4.0, 3.6, 2.9])
        assert found.choose(EIGHT) == "a"

    def test_equal_sums_are_drawn(self):
        """A die decides between a and c."""
        found = StrategyScene("a", "b", "c", strategy="llm_d", rng=Dice(0.3, 0.0, 0.49, 0.5, 0.99))
        found.tell("b", queue=5)
        for node in "ac":
            found.tell(node)

        assert [found.choose() for _ in range(4)] == ["a", "a", "c", "c"]

    def test_before_any_probe_all_are_equal(self):
        """Nodes of which nothing is known are drawn evenly."""
        found = StrategyScene("a", "b", strategy="llm_d", rng=Dice(0.3, 0.2, 0.7))

        assert [found.choose() for _ in range(2)] == ["a", "b"]

    def test_settings(self):
        """A weight cannot be negative."""
        with pytest.raises(ValueError, match="stale_after cannot be negative"):
            LlmDSettings(stale_after_s=-1.0)
