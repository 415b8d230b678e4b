"""Locations, prices and failure presets in a scenario, and the figures that it rests on."""

from __future__ import annotations

import json

import pytest

import fedsim
from fedsim.results.run import Run
from fedsim.results.sources import Figure, count_by_label
from fedsim.scenario.load import load
from tests.unit.scenario.writing import loaded, problems, write

CLOUDS = """\
duration: 10min
regions:
  us: {location: azure/East US}
  eu: {location: azure/West Europe}
  ap: {location: azure/Central India}
pools:
  chat: {region: us, service: {distribution: exponential, mean: 1s}}
  more: {region: eu, service: {distribution: exponential, mean: 1s}}
workload: {chat: {arrivals: {process: poisson, rate: 1/s}}}
"""


class TestRoundTrips:
    def test_come_from_the_catalogue(self, tmp_path):
        """Medians both ways, and the jitter of each pair: Microsoft Learn, July 2026."""
        network = loaded(tmp_path, CLOUDS).world.network

        assert network.between_s["us", "eu"] == network.between_s["eu", "us"] == 0.083
        assert network.between_s["us", "ap"] == 0.198
        assert network.jitter_between["eu", "us"] == pytest.approx(89 / 83 - 1)
        assert network.within_region_s == 0.001
        assert network.jitter == 0.05

    def test_may_be_overridden(self, tmp_path):
        """What the file gives comes first, and so does its jitter."""
        given: dict[str, object] = {"network": {"between": {"eu/us": "70ms"}}}
        network = loaded(tmp_path, CLOUDS, given).world.network

        assert network.between_s["us", "eu"] == 0.07
        assert ("us", "eu") not in network.jitter_between
        assert network.between_s["us", "ap"] == 0.198
        assert ("us", "ap") in network.jitter_between

        given = {"network.jitter": "5%"}
        network = loaded(tmp_path, CLOUDS, given).world.network
        assert network.jitter_between == {}

    def test_inside_a_region(self, tmp_path):
        """AWS has figures inside its regions, cloudping 2025: 5.35 ms in us-east-1."""
        aws: dict[str, object] = {
            f"regions.{name}.location": f"aws/{place}" for name, place in AWS.items()
        }
        network = loaded(tmp_path, CLOUDS, aws).world.network
        stated = loaded(tmp_path, CLOUDS, aws | {"network.within_region": "1ms"}).world.network

        assert network.within_s == {"us": 0.00535, "eu": 0.00288, "ap": 0.00305}
        assert network.jitter_between == {}
        assert stated.within_s == {}

    def test_between_clouds(self, tmp_path):
        """Nobody measured between two clouds, and a scenario must."""
        mixed: dict[str, object] = {"regions.eu.location": "aws/eu-west-1"}
        first, second = problems(tmp_path, CLOUDS, mixed)

        assert "between azure/East US and aws/eu-west-1, where us and eu lie" in first
        assert "Add network.between: {us/eu: 83ms}" in first
        assert "azure/Central India" in second
        given = mixed | {"network.between": {"us/eu": "80ms", "ap/eu": "120ms"}}
        assert problems(tmp_path, CLOUDS, given) == []

    def test_are_the_same_from_the_resolved_file(self, tmp_path):
        """A run's scenario.yaml gives the same world again."""
        first = loaded(tmp_path, CLOUDS)
        again = load(write(tmp_path, first.to_yaml(), "again.yaml"))

        assert again.world == first.world


AWS = {"us": "us-east-1", "eu": "eu-west-1", "ap": "ap-south-1"}


class TestPrices:
    @pytest.mark.parametrize(
        ("cost", "usd_per_hour"),
        [("aws/p5.48xlarge", 6.88), ("aws/l40s", 1.861), ("3 USD/h", 3.0), ("0 USD/h", 0.0)],
    )
    def test_of_a_node(self, tmp_path, cost, usd_per_hour):
        """A name costs what one GPU of it costs; a price is a price."""
        (pool, _) = loaded(tmp_path, CLOUDS, {"pools.chat.cost": cost}).world.pools

        assert pool.cost_usd_per_hour == pytest.approx(usd_per_hour)

    def test_of_an_engine(self, tmp_path):
        """Each GPU of the profile is paid for: four L40S at the price of a g6e.12xlarge."""
        engine = {"profile": "llama-3.1-70b/fp8/l40s/tp4"}
        given = OF_ENGINE | {"pools.chat": {"region": "us", "engine": engine, "cost": "aws/l40s"}}
        (pool, _) = loaded(tmp_path, CLOUDS, given).world.pools

        assert pool.cost_usd_per_hour == pytest.approx(10.49264)


OF_ENGINE: dict[str, object] = {
    "workload.chat.tokens": {
        "prompt": {"distribution": "constant", "value": 500},
        "output": {"distribution": "constant", "value": 100},
    }
}


class TestFailures:
    def test_of_a_fleet(self, tmp_path):
        """A preset has both mean times, and what stands beside it comes first."""
        crash = {"kind": "crash", "pool": "chat", "preset": "meta-rsc-1"}
        faults = [crash, crash | {"mttr": "20min"}, crash | {"mtbf": "30d"}]
        whole, repaired, struck = loaded(tmp_path, CLOUDS, {"faults": faults}).world.faults

        assert whole.mtbf_s == repaired.mtbf_s == 3692 * 3600.0
        assert whole.mttr_s == struck.mttr_s == 132 * 60.0
        assert repaired.mttr_s == 1200.0
        assert struck.mtbf_s == 30 * 86_400.0


class TestFigures:
    def test_each_has_its_source(self, tmp_path):
        """What the file states is the user's own; the rest is the catalogue's or a default."""
        given: dict[str, object] = {
            "network.between": {"us/ap": "190ms"},
            "pools.chat.cost": "aws/h100_sxm",
            "faults": [{"kind": "crash", "pool": "chat", "preset": "llama-3", "mttr": "1h"}],
        }
        scenario = loaded(tmp_path, CLOUDS, given)
        found = {figure.path: (figure.value, figure.label) for figure in scenario.figures}

        assert found == {
            "network.between.us/ap": ("190ms", "user"),
            "network.between.us/eu": ("83ms, 95th percentile 89ms", "measured"),
            "network.between.eu/ap": ("139ms, 95th percentile 153ms", "measured"),
            "network.within_region": ("1ms", "estimated"),
            "network.jitter": ("5%", "estimated"),
            "pools.chat.service": ("{distribution: exponential, mean: 1s}", "user"),
            "pools.chat.cost": ("6.88 USD/h", "measured"),
            "pools.more.service": ("{distribution: exponential, mean: 1s}", "user"),
            "workload.chat.arrivals": ("{process: poisson, rate: 1/s}", "user"),
            "faults.0.mtbf": ("6335h", "derived"),
            "faults.0.mttr": ("1h", "user"),
        }
        assert all(figure.source for figure in scenario.figures)

    def test_of_an_engine(self, tmp_path):
        """A profile is one figure; what the file states beside it is the user's own."""
        engine = {
            "profile": "llama-3.1-8b/bf16/l4/tp1",
            "step_overhead": "2ms",
            "max_batch": 64,
        }
        given = OF_ENGINE | {"pools.chat": {"region": "us", "engine": engine}}
        scenario = loaded(tmp_path, CLOUDS, given)
        found = {figure.path: (figure.value, figure.label) for figure in scenario.figures}

        assert found["pools.chat.engine.profile"] == ("llama-3.1-8b/bf16/l4/tp1", "estimated")
        assert found["pools.chat.engine.step_overhead"] == ("2ms", "user")
        assert "pools.chat.engine.max_batch" not in found

    def test_what_a_scenario_decides_is_no_figure(self, tmp_path):
        """Counts, limits, objectives and scripted faults describe no world."""
        given: dict[str, object] = {
            "pools.chat.count": 3,
            "slo.latency_p99": "8s",
            "faults": [{"kind": "crash", "pool": "chat", "at": "1min", "lasts": "1min"}],
        }
        assert loaded(tmp_path, CLOUDS, given).figures == loaded(tmp_path, CLOUDS).figures

    def test_stay_with_the_run(self, tmp_path):
        """The manifest has them, and a run that is read again."""
        scenario = loaded(tmp_path, CLOUDS, {"duration": "10s"})
        run = fedsim.simulate(scenario)
        run.save(tmp_path / "run", charts=False)
        manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))

        assert Run.load(tmp_path / "run").figures == run.figures == scenario.figures
        assert manifest["figures"][0] == {
            "path": "network.between.us/eu",
            "value": "83ms, 95th percentile 89ms",
            "label": "measured",
            "source": scenario.figures[0].source,
        }

    def test_are_counted(self):
        """Every label has its number of figures, 0 included."""
        figures = [
            Figure("a", "1", "measured", "x"),
            Figure("b", "1", "user", "x"),
            Figure("c", "1", "user", "x"),
        ]

        assert count_by_label(figures)["estimated"] == 0
