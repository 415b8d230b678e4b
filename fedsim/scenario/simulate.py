"""Runs a scenario once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fedsim.errors import ArgumentError, FedsimError, Problem, ScenarioError, in_words
from fedsim.kernel.exclusive import exclusive
from fedsim.results.recorder import Recorder
from fedsim.results.run import Run
from fedsim.scenario.arguments import no_scenario, require_names
from fedsim.scenario.assembly import gateway_factory
from fedsim.scenario.effects import without_effect
from fedsim.scenario.losses import without_reports
from fedsim.scenario.overrides import ORIGIN
from fedsim.scenario.scalers import scaler_factory, scaler_notes
from fedsim.scenario.spec import Scenario
from fedsim.world.plugins import exits_reported
from fedsim.world.world import World, directory_of

_A = TypeVar("_A")
_R = TypeVar("_R")


def simulate(
    scenario: Scenario,
    *,
    seed: int | None = None,
    strategy: Any = None,
    router: Any = None,
    policies: Sequence[Any] | None = None,
    health: Any = None,
    circuit_breaker: Any = None,
    progress: Callable[[float], None] | None = None,
    decisions_of: Callable[[str], bool] | None = None,
) -> Run:
    """Run *scenario* once, and return what happened.

    The same scenario, seed and package versions give the same tables, bit for bit. What is given
    in place of the scenario's is a change of it, as by `Scenario.changed`.

    Args:
        scenario: The scenario.
        seed: In place of the scenario's, >= 0.
        strategy: In place of the scenario's: a name, ``module:Class``, a class or an object.
        router: In place of the scenario's: ``module:Class``, ``<adapter>/<choice>``, a class or an
            object. A class is built once for each gateway; one object serves a scenario with one
            gateway.
        policies: In place of the scenario's: names, ``module:Class``, classes or objects.
        health: In place of the scenario's health checker: ``module:Class``, a class or an object.
        circuit_breaker: In place of the scenario's: ``module:Class``, a class or an object.
        progress: Called now and then with the share of the duration that has passed.
        decisions_of: Returns whether the decisions on a request, given its id, are recorded;
            None goes by the scenario's ``record.decisions``, for all requests.

    Raises:
        ScenarioError: What is given does not make a scenario.
        ArgumentError: *scenario* is none, or *policies* is no list.
        PlugInError: A plug-in raised, or did what its contract does not allow.
        DeadlockError: Nothing is scheduled any more, and tasks wait.
        InternalError: fedsim itself failed.
    """
    if not isinstance(scenario, Scenario):
        raise no_scenario(scenario, "simulate")
    require_names(policies, "policies", '"health", MyPolicy')
    if strategy is not None and (router is not None or scenario.federation.router is not None):
        message = "It would have no effect: the router chooses alone."
        remedy = "Leave it out, or change federation.router to None."
        raise ScenarioError([Problem(message, remedy, "federation.strategy", ORIGIN)])
    given = {
        "federation.strategy": strategy,
        "federation.router": router,
        "federation.policies": None if policies is None else list(policies),
        "federation.health": health,
        "federation.circuit_breaker": circuit_breaker,
    }
    changes = {path: value for path, value in given.items() if value is not None}
    return simulated(scenario.changed(changes, seed), progress, decisions_of)[0]


def simulated(
    scenario: Scenario,
    progress: Callable[[float], None] | None = None,
    decisions_of: Callable[[str], bool] | None = None,
) -> tuple[Run, World]:
    """Run *scenario* once as it is, and return what happened, and the world as it was at the end.

    Args and errors are those of `simulate`.
    """
    with exclusive(scenario.seed):
        return _simulated(scenario, progress, decisions_of)


def _given(name: str, call: Callable[[_A], _R]) -> Callable[[_A], _R]:
    """Return a function that was given as an argument, whose errors are no bug in fedsim."""

    def guarded(value: _A) -> _R:
        try:
            return call(value)
        except FedsimError:
            raise
        except Exception as error:
            message = f"The function that is given as {name} raised {in_words(error)}."
            raise ArgumentError(message, "Mend it, or leave it out.") from error

    return guarded


def _simulated(
    scenario: Scenario,
    progress: Callable[[float], None] | None,
    decisions_of: Callable[[str], bool] | None,
) -> tuple[Run, World]:
    config = scenario.world
    gateways = scenario.federation.gateways
    factory = gateway_factory(scenario)
    recorder = Recorder(directory_of(config, gateways))
    started_s = time.perf_counter()
    if decisions_of is not None:
        decisions_of = _given("decisions_of", decisions_of)
    elif scenario.record_decisions:
        decisions_of = _every
    if progress is not None:
        progress = _given("progress", progress)
    with exits_reported():
        world = World(
            config,
            gateways,
            factory,
            recorder,
            factory.label,
            progress,
            decisions_of,
            scaler_factory(scenario),
        )
        world.run()
    run = Run(
        recorder,
        directory=world.directory,
        name=scenario.name,
        scenario_yaml=scenario.to_yaml,
        seed=config.seed,
        strategy=factory.label,
        warmup_s=scenario.warmup_s,
        duration_s=scenario.duration_s,
        end_s=world.env.now,
        slo=scenario.slo,
        wall_s=time.perf_counter() - started_s,
        record_tables=scenario.record_tables,
        warnings=[
            *without_effect(scenario),
            *scaler_notes(scenario),
            *factory.lacking(retried=recorder.retried),
            *without_reports((gateway for _, gateway in world.gateways), scenario.federation),
            *(note for scaler in world.scalers for note in scaler.notes()),
            *_plugin_warnings(world),
        ],
        figures=scenario.figures,
        plugin_directory=scenario.plugin_directory,
        given=scenario.given,
        start=scenario.start,
    )
    return run, world


def _every(_: str) -> bool:
    """Return True."""
    return True


def _plugin_warnings(world: World) -> list[str]:
    """Say what plug-ins did on the asyncio loop that their authors should know."""
    loop, awaited = world.loop, world.awaited_plugins
    warnings = [
        f"A plug-in asked {count} times for {call}, which cannot be simulated and was refused."
        for call, count in loop.refused.items()
    ]
    warnings += [
        f"Task {name} went on {count} times after its result was no longer wanted; it should "
        "let asyncio.CancelledError pass."
        for name, count in loop.failures.ignored_cancellations.items()
    ]
    if awaited:
        what = f"{len(awaited)} calls of plug-ins had not returned, the first: {awaited[0]}"
        warnings.append(f"When the run ended, {what}.")
    return warnings
