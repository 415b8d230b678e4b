"""What a scenario file says, as frozen values: the world, the federation, and what to measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fedsim.errors import Problem, ScenarioError
from fedsim.federation.breaker import BreakerConfig
from fedsim.federation.contracts import LoadBalanceStrategy
from fedsim.federation.gateway import GatewayConfig
from fedsim.federation.health import HealthConfig
from fedsim.federation.policies import DEFAULT_POLICIES
from fedsim.federation.rate_breaker import RateBreakerConfig
from fedsim.federation.router import RouterConfig
from fedsim.federation.strategies.registry import CONTRACT_STRATEGIES
from fedsim.reported import Shown
from fedsim.results.slo import Slo
from fedsim.results.sources import Figure
from fedsim.scenario.arguments import require_changes
from fedsim.scenario.emit import dump_yaml
from fedsim.scenario.engine_files import EngineSources
from fedsim.scenario.files import WorkloadFiles
from fedsim.scenario.objects import given_in
from fedsim.scenario.source import Document, Place, dotted
from fedsim.world.config import WorldConfig

if TYPE_CHECKING:
    from fedsim.results.measures import Limit


@dataclass(frozen=True, slots=True)
class FederationSpec:
    """The real objects that a world is given.

    Attributes:
        gateways: Number of gateways by region, each >= 1, in the order of the regions.
        strategy: Name of a built-in strategy, or ``module:Class``.
        strategy_settings: Settings by strategy, where they are not the defaults.
        policies: Parameters by policy, in order. Every policy has ``weight``; ``latency`` may have
            ``max_latency_s``. A name that is not built in is ``module:Class``.
        router: ``module:Class`` in place of our router, or None.
        health: Settings of the health checkers, ``module:Class``, or None for none.
        probe_loss: Share of their probes that get no answer, 0 to 1.
        circuit_breaker: Settings of the circuit breakers, ``module:Class``, or None for none.
        router_config: Settings of the built-in router's parts.
        config: Settings of the gateways.
        retry_policy: Another project's retry policy by its name, or None for the built-in rules.
        middleware: ``module:Class`` of each middleware, outermost first.
        preset: Name of the preset whose objects run.
        preset_config: Settings of the objects of another preset than ``default``, or None; health,
            circuit breaker, timeout and retries are then None.
    """

    gateways: Mapping[str, int]
    strategy: str = LoadBalanceStrategy.LEAST_LATENCY.value
    strategy_settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    policies: Mapping[str, Mapping[str, float]] = field(
        default_factory=lambda: dict(DEFAULT_POLICIES)
    )
    router: str | None = None
    health: HealthConfig | str | None = field(default_factory=HealthConfig)
    probe_loss: float = 0.0
    circuit_breaker: BreakerConfig | RateBreakerConfig | str | None = field(
        default_factory=BreakerConfig
    )
    router_config: RouterConfig = field(default_factory=RouterConfig)
    config: GatewayConfig = field(default_factory=GatewayConfig)
    retry_policy: str | None = None
    middleware: tuple[str, ...] = ()
    preset: str = "default"
    preset_config: object = None


@dataclass(frozen=True, slots=True)
class StudySpec:
    """What all studies of many runs have in common.

    Attributes:
        replications: Runs of each variant, >= 1.
        confidence: The coverage of intervals, above 0.5 and below 1.
        precision: By measure, the half-width that intervals are to have, > 0: relative, or in
            shares for a measure that is one. Empty for any.
        max_replications: The largest number of replications that this adds up to, >= 1.
        steady_state: Whether estimates are of the long run, rather than of a window.
    """

    replications: int = 10
    confidence: float = 0.95
    precision: Mapping[str, float] = field(default_factory=dict)
    max_replications: int = 100
    steady_state: bool = False


@dataclass(frozen=True, slots=True)
class CompareSpec:
    """What ``fedsim compare`` compares.

    Attributes:
        strategies: Built-in names or ``module:Class``, all different.
        replications: Runs of each, >= 1; None takes those of the scenario's studies.
        baseline: The strategy or router that the others are set against, or None for the first.
        routers: ``module:Class`` or ``<adapter>/<choice>``, all different; there is at least one
            strategy or router.
    """

    strategies: tuple[str, ...] = CONTRACT_STRATEGIES
    replications: int | None = None
    baseline: str | None = None
    routers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """What ``fedsim sweep`` varies; one of the first three is given.

    Attributes:
        grid: Values by dotted path, of which every combination is a point.
        points: The points, each a value by path.
        latin_hypercube: The two ends of a range by path, over which points are spread.
        count: Number of points of ``latin_hypercube``, >= 1.
        replications: Runs of each point, >= 1; None takes those of the scenario's studies.
    """

    grid: Mapping[str, Sequence[Any]] | None = None
    points: Sequence[Mapping[str, Any]] | None = None
    latin_hypercube: Mapping[str, Sequence[Any]] | None = None
    count: int = 64
    replications: int | None = None


@dataclass(frozen=True, slots=True)
class NoWorseSpec:
    """What the scenario's strategy or router may not be worse than.

    Attributes:
        than: A strategy or router.
        measure: The measure, of which one direction is better.
        margin: The difference that does not matter, > 0: in shares for a measure that is one, else
            relative.
    """

    than: str
    measure: str
    margin: float


@dataclass(frozen=True, slots=True)
class ExpectSpec:
    """What ``fedsim test`` expects of a scenario's runs; there is at least one thing.

    Attributes:
        replications: Runs that it rests on, >= 1; None takes those of the scenario's studies.
        slo: Whether the objective is to be held.
        best: Which of what is compared no other may be shown to be better than, or None.
        no_worse: What the scenario's strategy or router may not be worse than, or None.
        measures: Limits by measure.
        golden: Whether the decisions are to be those of the golden file.
        known_failure: The address of the issue that says why something of this fails, or empty.
    """

    replications: int | None = None
    slo: bool = False
    best: str | None = None
    no_worse: NoWorseSpec | None = None
    measures: Mapping[str, Limit] = field(default_factory=dict)
    golden: bool = False
    known_failure: str = ""


@dataclass(frozen=True, slots=True)
class SurviveSpec:
    """Something in which a planned fleet has to hold its objective; one of the first three.

    Attributes:
        absent: ``region`` or ``node`` for each of them in turn, absent from the start; or empty.
        traffic: What all rates are multiplied by, > 0; 1 for nothing.
        lost: The region whose nodes are lost during the run, ``any_region``, or empty.
        settle_s: From the loss to when the objective is judged again, in seconds.
        interruption: Most requests that may fail from the loss until then, or None for any.
    """

    absent: Literal["", "region", "node"] = ""
    traffic: float = 1.0
    lost: str = ""
    settle_s: float = 60.0
    interruption: int | None = None


@dataclass(frozen=True, slots=True)
class PlanSpec:
    """What ``fedsim plan`` looks for.

    Attributes:
        vary: The values that may be chosen, by dotted path.
        minimize: What of the fleet is to be as low as it can be.
        limits: The most that a fleet may have, by name: ``cost`` in US dollars per hour,
            ``nodes``, ``slots``, ``gpus.<name>``, ``regions.<name>.nodes``.
        survive: In which cases the objective has to be held, besides the normal one.
        replications: Runs of each fleet in each case, >= 4.
        confidence: That the fleet holds the objective in all cases, above 0.5 and below 1.
        budget: Most runs, or None for as many as it takes.
        growth: The share by which traffic grows in a month, > 0, or None where that is not said.
    """

    vary: Mapping[str, Sequence[Any]]
    minimize: Literal["cost", "nodes", "slots"] = "cost"
    limits: Mapping[str, float] = field(default_factory=dict)
    survive: tuple[SurviveSpec, ...] = ()
    replications: int = 20
    confidence: float = 0.95
    budget: int | None = None
    growth: float | None = None


@dataclass(frozen=True)
class Scenario(Shown):
    """A scenario that is known to be well-formed.

    Attributes:
        name: Its name; the file's without extension where it has none.
        description: What it is about, or empty.
        seed: Seed of all random streams, >= 0.
        duration_s: Arrivals stop at this time, in seconds.
        warmup_s: Requests that arrive earlier are left out of summaries, in seconds.
        drain_s: The world runs on for at most this long after ``duration_s``, in seconds.
        world: Everything that does not depend on the federation.
        federation: The real objects.
        slo: The service objective, or None.
        study: What all studies of many runs have in common.
        compare: What to compare, or None where the file does not say.
        sweep: What to sweep, or None where the file does not say.
        expect: What to expect of its runs, or None where the file does not say.
        plan: What to plan, or None where the file does not say.
        record_tables: ``full`` keeps every table, ``summary`` only the summary.
        record_decisions: Whether the candidates of every decision are kept.
        resolved: The scenario with all defaults filled in, as plain JSON values with units.
        path: The scenario file.
        plugin_directory: Where the modules of its plug-ins may be, in addition to Python's path.
        source: What it was made from, or None for one that no file describes.
        figures: The figures about the world and its traffic, and where each comes from.
        start: What the clock read at simulated time 0, with a zone, or None.
    """

    name: str
    description: str
    seed: int
    duration_s: float
    warmup_s: float
    drain_s: float
    world: WorldConfig
    federation: FederationSpec
    slo: Slo | None = None
    study: StudySpec = StudySpec()
    compare: CompareSpec | None = None
    sweep: SweepSpec | None = None
    expect: ExpectSpec | None = None
    plan: PlanSpec | None = None
    record_tables: Literal["full", "summary"] = "full"
    record_decisions: bool = False
    resolved: Mapping[str, object] = field(default_factory=dict, repr=False)
    path: Path = Path()
    plugin_directory: Path = field(default=Path(), compare=False)
    source: Source | None = field(default=None, repr=False, compare=False)
    figures: tuple[Figure, ...] = field(default=(), repr=False, compare=False)
    start: datetime | None = None

    def __repr__(self) -> str:
        nodes = sum(pool.count for pool in self.world.pools)
        chooser = self.federation.router or self.federation.strategy
        return (
            f"<Scenario {self.name:.30}: {nodes} nodes, {self.duration_s:g} s, "
            f"{chooser:.30}, seed {self.seed}>"
        )

    @property
    def places(self) -> Mapping[str, Place]:
        """Where values stand in the file, by dotted path."""
        values = {} if self.source is None else self.source.document.values
        return {dotted(path): place for path, place in values.items()}

    def to_yaml(self) -> str:
        """Return the resolved scenario as YAML that loads again and gives the same world."""
        return dump_yaml(self.resolved)

    @property
    def objects(self) -> Mapping[str, Any]:
        """Python objects by the texts that name them."""
        return {} if self.source is None else self.source.document.objects

    @property
    def given(self) -> tuple[tuple[str, str], ...]:
        """The objects without which a saved run cannot be repeated, by dotted path, as texts."""
        return tuple(
            (dotted(path), text)
            for part in ("federation", "pools")
            for path, text in given_in(self.resolved.get(part), (part,))
        )

    def changed(
        self, changes: Mapping[str, object] | None = None, seed: int | None = None
    ) -> Scenario:
        """Return the same scenario with some of its values changed, checked as a file is.

        Args:
            changes: Values by dotted path, as for ``--set``: YAML values, texts, or Python classes
                and objects where the file would have ``module:Class``. ``federation.policies`` may
                be a list. What a path needs and the file lacks is created.
            seed: In place of the scenario's, >= 0.

        Raises:
            ScenarioError: Something is wrong with the changed scenario; problems that a change
                makes carry its path.
            ArgumentError: *changes* is no mapping by path.
        """
        require_changes(changes)
        if not changes and seed is None:
            return self
        if changes or not _is_seed(seed):
            if self.source is None:
                message = "A scenario that no file describes cannot be changed."
                raise ScenarioError([Problem(message, "Load one from a file.")])
            wanted = {**(changes or {}), **({} if seed is None else {"seed": seed})}
            return self.source.rebuild(self, self.source, wanted)
        assert seed is not None
        return replace(
            self,
            seed=int(seed),
            world=replace(self.world, seed=int(seed)),
            resolved={**self.resolved, "seed": int(seed)},
            source=None if self.source is None else self.source.with_seed(int(seed)),
        )


@dataclass(frozen=True, slots=True)
class Source:
    """What a scenario was made from, for one that differs in some values.

    Attributes:
        document: The file's tree with all changes so far, before defaults were filled in.
        files: What the files hold that its workload names.
        engines: Where the step times of its engines come from.
        rebuild: Makes the scenario again from this, with changes by dotted path.
    """

    document: Document
    files: WorkloadFiles
    engines: EngineSources
    rebuild: Callable[[Scenario, Source, Mapping[str, object]], Scenario]

    def with_seed(self, seed: int) -> Source:
        """Return the same with another seed."""
        tree = {**self.document.tree, "seed": seed}
        return replace(self, document=replace(self.document, tree=tree))


def _is_seed(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, Integral):
        return False
    return 0 <= int(value) < 2**63
