"""Users' own scalers: what they are given, when they run, and what is said of their mistakes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import fedsim
from fedsim.errors import PlugInError
from tests.contract.plugin_world import fails, module, scenario

SCALER = {"max": 6, "every": "5s", "drain": "5s"}


def scaled(folder: Path, preset: object, **settings: Any) -> Any:
    """Return the scenario of plug-ins, whose pool of three nodes is scaled by *preset*."""
    return scenario(folder, {"pools.chat.scaler": SCALER | {"preset": preset, **settings}})


def decided(run: Any) -> list[tuple[float, str, str]]:
    """Return when and why a scaler decided on how many nodes."""
    events = run.events[run.events["kind"] == "scaler"]
    return list(zip(events["time_s"], events["after"], events["detail"], strict=True))


class TestOwnScalers:
    def test_a_class_of_a_module_is_built_with_its_context_and_asked(self, tmp_path: Path):
        """It sees its pool, and its settings."""
        name = module(
            tmp_path,
            """
            class Headroom:
                def __init__(self, context):
                    assert (context.pool, context.min, context.max) == ("chat", 1, 6)
                    self.more = context.settings["more"]

                def desired(self, view):
                    assert view.ordered == view.ready + view.starting
                    assert [node.name for node in view.nodes][:3] == ["chat-0", "chat-1", "chat-2"]
                    return 3 + self.more if view.time_s >= 10.0 else 3
            """,
        )
        run = fedsim.simulate(scaled(tmp_path, f"{name}:Headroom", settings={"more": 2}))
        assert decided(run) == [(10.0, "5", f"{name}:Headroom wants 5")]
        assert (run.requests["outcome"] == "ok").all()

    def test_one_given_in_python_may_wait_in_simulated_time(self, tmp_path: Path):
        """A decision that takes 7 s is carried out then; the next one comes with the next tick."""

        class Thinks:
            async def desired(self, view: Any) -> int:
                await asyncio.sleep(7.0)
                return 3 + int(view.time_s / 5.0)

        run = fedsim.simulate(scaled(tmp_path, Thinks))
        assert [(at_s, nodes) for at_s, nodes, _ in decided(run)] == [(17.0, "5")]
        assert run.given == (("pools.chat.scaler.preset", run.given[0][1]),)

    def test_what_it_wants_beyond_the_limits_is_bounded(self, tmp_path: Path):
        """And the reason says so."""

        class Wants:
            def desired(self, view: Any) -> int:
                return 50 if view.time_s < 10.0 else 0

        run = fedsim.simulate(scaled(tmp_path, Wants, min=2))
        assert [(nodes, why.rpartition(" wants ")[2]) for _, nodes, why in decided(run)] == [
            ("6", "50, bounded to 6"), ("2", "0, bounded to 2"),
        ]  # fmt: skip

    @pytest.mark.parametrize("wanted", [None, -1, 2.0, True, "3"])
    def test_nonsense_is_named_with_the_time(self, tmp_path: Path, wanted: Any):
        """As what it returned."""

        class Wants:
            def desired(self, view: Any) -> Any:
                return 3 if view.time_s < 10.0 else wanted

        error = fails(scaled(tmp_path, Wants))
        assert error.time_s == 10.0
        assert f"desired() returned {wanted!r}; it must be a whole number" in str(error)
        assert "Wants" in error.plugin

    def test_what_it_raises_is_named_with_the_time(self, tmp_path: Path):
        """Also from a coroutine."""

        class Breaks:
            async def desired(self, view: Any) -> int:
                raise KeyError(view.pool)

        error = fails(scaled(tmp_path, Breaks))
        assert error.time_s == 0.0
        assert "desired() raised KeyError" in str(error)

    def test_a_class_without_desired_is_refused_before_the_run(self, tmp_path: Path):
        """As the check does."""
        name = module(tmp_path, "class Empty: pass")
        with pytest.raises(PlugInError, match=r"it is no scaler: it lacks desired\(\)"):
            fedsim.simulate(scaled(tmp_path, f"{name}:Empty"))
