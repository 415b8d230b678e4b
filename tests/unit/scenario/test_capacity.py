"""Offered load against slots."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from fedsim.errors import Problem
from fedsim.scenario.capacity import capability_table, capacity_problems, capacity_table
from fedsim.scenario.load_notes import load_notes
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.oversized import oversized, oversized_problems
from tests.unit.scenario.writing import SMALLEST, loaded, write

TWO_POOLS = """\
duration: 10min
regions: {us: {}}
pools:
  fast: {region: us, slots: 10, capabilities: [generate, code], service: {base: 1s}}
  slow: {region: us, slots: 10, capabilities: [generate], service: {base: 2s}}
workload:
  chat: {arrivals: {process: poisson, rate: 6/s}}
  code: {capability: code, arrivals: {process: poisson, rate: 3/s}}
"""


def test_load_is_rate_times_mean_service_time(tmp_path: Path):
    """Two requests a second of one second each keep two of eight slots busy."""
    (row,) = capacity_table(OfferedLoad(loaded(tmp_path, SMALLEST)))

    assert (row.pool, row.region, row.kind, row.nodes, row.slots) == ("chat", "us", "slots", 1, 8)
    assert row.offered_rps == pytest.approx(2.0)
    assert row.capacity_rps == pytest.approx(8.0)
    assert row.load == row.peak_load == pytest.approx(0.25)


def test_load_is_spread_by_what_pools_can_do(tmp_path: Path):
    """Of a stream that two pools may serve, the faster one gets more."""
    fast, slow = capacity_table(OfferedLoad(loaded(tmp_path, TWO_POOLS)))

    assert fast.offered_rps == pytest.approx(6 * 2 / 3 + 3)
    assert slow.offered_rps == pytest.approx(6 * 1 / 3)
    assert fast.load == pytest.approx((4 * 1.0 + 3 * 1.0) / 10)
    assert slow.load == pytest.approx(2 * 2.0 / 10)


def test_peak_is_that_of_the_arrivals(tmp_path: Path):
    """A spike of three times the rate counts at the peak, and little on average."""
    arrivals = {"process": "spike", "rate": "2/s", "at": "1min", "lasts": "6s", "factor": 3}
    (row,) = capacity_table(
        OfferedLoad(loaded(tmp_path, SMALLEST, {"workload.chat.arrivals": arrivals}))
    )
    (alone,) = capability_table(
        OfferedLoad(loaded(tmp_path, SMALLEST, {"workload.chat.arrivals": arrivals}))
    )

    assert row.peak_load == alone.peak_load == pytest.approx(3 * 0.25)
    assert row.load == alone.load == pytest.approx(1.02 * 0.25)


def test_closed_loop_is_no_problem(tmp_path: Path):
    """Users who wait for answers ask for no more than the pools can do."""
    think = {"distribution": "exponential", "mean": "1s"}
    arrivals = {"process": "closed_loop", "users": 100, "think": think}
    scenario = loaded(tmp_path, SMALLEST, {"workload.chat.arrivals": arrivals})

    assert capacity_table(OfferedLoad(scenario))[0].load == pytest.approx(100 / (1 + 1) / 8)
    assert capacity_problems(OfferedLoad(scenario)) == []


def test_capability_counts_all_that_its_pools_could_serve(tmp_path: Path):
    """A capability alone has ten slots of one second and ten of two: 15 requests a second."""
    generate, code = capability_table(OfferedLoad(loaded(tmp_path, TWO_POOLS)))

    assert (generate.capability, generate.nodes) == ("generate", 2)
    assert generate.capacity_rps == pytest.approx(15)
    assert generate.load == pytest.approx(6 / 15)
    assert code.load == pytest.approx(3 / 10)


def test_models_have_a_load_of_their_own(tmp_path: Path):
    """A stream that names a model loads its pools alone; the capability's row is of all."""
    scenario = loaded(tmp_path, TWO_POOLS, {"workload.chat.model": "slow"})
    offered = OfferedLoad(scenario)
    generate, code = capability_table(offered)
    assert (generate.name, generate.nodes, code.name) == ("generate (slow)", 1, "code")
    assert generate.load == pytest.approx(6 / 5)
    assert [row.offered_rps for row in capacity_table(offered)] == pytest.approx([3, 6])

    anyone = {"arrivals": {"process": "poisson", "rate": "3/s"}}
    changes = {"workload.chat.arrivals.rate": "4/s", "workload.any": anyone}
    rows = capability_table(OfferedLoad(scenario.changed(changes)))
    assert [row.name for row in rows] == ["generate", "generate (slow)", "code"]
    assert [row.load for row in rows] == pytest.approx(
        [4 / 5, 4 / 5, 3 / 10]
    )  # slow has that anyway


def test_sustainable_load_is_no_problem(tmp_path: Path):
    """A load below capacity gives no problem."""
    assert capacity_problems(OfferedLoad(loaded(tmp_path, TWO_POOLS))) == []


def test_uneven_spread_that_would_do_is_no_problem(tmp_path: Path):
    """What an even spread overloads, but a better one does not, can be served."""
    scenario = loaded(tmp_path, TWO_POOLS, {"workload.chat.arrivals.rate": "11/s"})

    assert max(row.load for row in capacity_table(OfferedLoad(scenario))) > 1.0
    assert capacity_problems(OfferedLoad(scenario)) == []


def test_overload_names_load_slots_and_position(tmp_path: Path):
    """A load that no routing could serve says how much too much it is, and where it comes from."""
    scenario = loaded(tmp_path, SMALLEST.replace("2/s", "10/s"))

    assert capacity_problems(OfferedLoad(scenario)) == [
        Problem(
            "The load of generate can never be served: 10 requests/s arrive on average, and the "
            "one node that may serve them can do 8/s, a load of 125%.",
            "Lower the rate, or add nodes or a pool.",
            "workload.chat.arrivals",
            str(tmp_path / "scenario.yaml"),
            4,
            29,
        )
    ]


def test_overload_by_several_capabilities_together(tmp_path: Path):
    """Two capabilities that each fit alone can be too much for the pools that they share."""
    overrides: dict[str, object] = {
        "workload.chat.arrivals.rate": "10/s",
        "workload.code.arrivals.rate": "6/s",
    }
    (problem,) = capacity_problems(OfferedLoad(loaded(tmp_path, TWO_POOLS, overrides)))

    assert problem.message.startswith("The load of generate and code together can never be served")


def test_pools_that_may_not_hold_the_data_do_not_count(tmp_path: Path):
    """Privacy leaves only some of the slots, unless the policy is off."""
    overrides: dict[str, object] = {
        "regions.lab": {"privacy": "restricted"},
        "network.between": {"us/lab": "5ms"},
        "pools.lab": {"region": "lab", "slots": 2, "service": {"base": "1s"}},
        "workload.chat.qos.privacy": "restricted",
    }
    (problem,) = capacity_problems(OfferedLoad(loaded(tmp_path, TWO_POOLS, overrides)))

    assert "the one node that may serve them can do 2/s" in problem.message
    assert not capacity_problems(
        OfferedLoad(loaded(tmp_path, TWO_POOLS, {**overrides, "federation.policies": {}}))
    )


def test_trace_counts_as_its_mean_over_the_run(tmp_path: Path):
    """Only the rows that arrive within the duration count."""
    rows = "".join(f"2023-11-16 18:{minute:02}:00.0000000,10,1\n" for minute in range(20))
    write(tmp_path, "TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows, "trace.csv")
    arrivals = {"process": "trace", "file": "trace.csv"}
    (row,) = capacity_table(
        OfferedLoad(loaded(tmp_path, SMALLEST, {"workload.chat.arrivals": arrivals}))
    )

    assert row.offered_rps == pytest.approx(10 / 600)


def test_infinite_mean_can_never_be_served(tmp_path: Path):
    """A service time without a mean overloads any number of slots."""
    service = {"distribution": "pareto", "median": "1s", "p99": "100s"}
    (problem,) = capacity_problems(
        OfferedLoad(loaded(tmp_path, SMALLEST, {"pools.chat.service": service}))
    )

    assert problem.message.endswith("the one node that may serve them can do none.")


@pytest.mark.parametrize(
    "prompt",
    [
        {"distribution": "constant", "value": 1000},
        {"distribution": "uniform", "low": 600, "high": 1000},
    ],
)
def test_requests_that_fit_nowhere_are_no_load(tmp_path: Path, prompt: dict[str, object]):
    """They are refused: what is told is their size, and the other streams load the pool alone."""
    text = """\
        duration: 1min
        regions: {us: {}}
        pools:
          chat: {region: us, engine: {profile: llama-3.1-8b/bf16/h100_sxm/tp1, kv_capacity: 512}}
        workload:
          small:
            arrivals: {process: poisson, rate: 2/s}
            tokens: {prompt: {distribution: constant, value: 100}, output: OUTPUT}
        """.replace("OUTPUT", "{distribution: constant, value: 20}")
    alone = loaded(tmp_path, text)
    output = {"distribution": "constant", "value": 20}
    arrivals = {"process": "poisson", "rate": "9/s"}
    large = {"arrivals": arrivals, "tokens": {"prompt": prompt, "output": output}}
    scenario = loaded(tmp_path, text, {"workload.large": large})

    assert capacity_problems(OfferedLoad(scenario)) == []
    assert capacity_table(OfferedLoad(scenario)) == capacity_table(OfferedLoad(alone))
    (problem,) = oversized_problems(OfferedLoad(scenario))
    assert problem.path == "workload.large.tokens"


ENGINE = """\
duration: 2min
regions: {us: {}}
pools:
  chat: {region: us, engine: {profile: llama-3.1-8b/bf16/h100_sxm/tp1, kv_capacity: 1600}}
workload:
  chat:
    arrivals: {process: poisson, rate: 0.2/s}
    tokens:
      prompt: {distribution: constant, value: 100}
      output: {distribution: constant, value: 256}
"""


class TestOversized:
    """Requests that an engine can never serve are counted, whatever their sizes come from."""

    def test_share_of_a_distribution(self, tmp_path: Path):
        """One of four sizes is too large: a quarter of the requests, and no reason to run."""
        prompt = {"distribution": "empirical", "values": [200, 400, 900, 2000]}
        scenario = loaded(tmp_path, ENGINE, {"workload.chat.tokens.prompt": prompt})
        (problem,) = oversized_problems(OfferedLoad(scenario))
        share = float(problem.message.split()[1])

        assert problem.message.startswith("About ")
        assert "% of the requests of chat can never be served by the pool chat" in problem.message
        assert abs(share - 25.0) < 3.5 * math.sqrt(25.0 * 75.0 / 10_000)

    def test_few_are_a_warning(self, tmp_path: Path):
        """Less than one in a hundred is said, and run."""
        prompt = {"distribution": "exponential", "mean": 200}
        offered = OfferedLoad(loaded(tmp_path, ENGINE, {"workload.chat.tokens.prompt": prompt}))
        (found,) = oversized(offered)

        assert found.share == pytest.approx(math.exp(-1345 / 200), rel=0.5)
        assert oversized_problems(offered) == []
        assert load_notes(offered) == [found.problem.message]

    def test_turns_of_long_sessions(self, tmp_path: Path):
        """Prompts that grow turn by turn do not fit from some turn on, up to max_context."""
        talk = {
            "turns": {"distribution": "constant", "value": 10},
            "think": {"distribution": "constant", "value": "5s"},
        }
        shares = []
        for most in (None, 1500):
            bounded = talk if most is None else {**talk, "max_context": most}
            scenario = loaded(tmp_path, ENGINE, {"workload.chat.conversation": bounded})
            shares.append([each.share for each in oversized(OfferedLoad(scenario))])

        assert shares == [[pytest.approx(0.6)], []]


class TestBatchesAndModels:
    """Pools whose requests share a batch, or wait for models to load."""

    def test_batches_can_do_as_much_as_full_ones(self, tmp_path: Path):
        """A full batch of 4 takes 1 s + 4 · 100 tokens at 400 tokens a second: two a second."""
        text = """\
            duration: 10min
            regions: {us: {}}
            pools:
              embed:
                region: us
                count: 3
                capabilities: [embed]
                batching: {max_batch: 4}
                service: {base: 1s, tokens_per_second: 400}
            workload:
              embed:
                capability: embed
                arrivals: {process: poisson, rate: 3/s}
                tokens: {prompt: {distribution: constant, value: 100}}
        """
        (row,) = capacity_table(OfferedLoad(loaded(tmp_path, text)))

        assert (row.kind, row.slots) == ("batches", 12)
        assert row.capacity_rps == pytest.approx(6.0)
        assert row.load == pytest.approx(0.5)

    def test_speech_counts_its_audio(self, tmp_path: Path):
        """A minute of audio at a factor of 20 after 2 s holds a slot for 5 s."""
        overrides: dict[str, object] = {
            "pools.chat.service": {"real_time_factor": 20, "base": "2s"},
            "workload.chat.audio.length": {"distribution": "constant", "value": "1min"},
        }
        (row,) = capacity_table(OfferedLoad(loaded(tmp_path, SMALLEST, overrides)))

        assert row.capacity_rps == pytest.approx(8 / 5)

    @pytest.mark.parametrize(("models", "loads"), [(1, 0.5), (2, 0.0)])
    def test_models_are_loaded_as_often_as_they_change(
        self, tmp_path: Path, models: int, loads: float
    ):
        """Of two models asked for alike, a node that holds one loads for half of the requests."""
        overrides: dict[str, object] = {
            "pools.chat.service": {"per_step": "50ms"},
            "pools.chat.slots": 1,
            "pools.chat.switch": {
                "model_load": {"distribution": "exponential", "mean": "22s"},
                "adapter_load": {"distribution": "exponential", "mean": "4s"},
                "models": models,
            },
            "workload.chat.pictures": {
                "steps": {"distribution": "constant", "value": 30},
                "models": {"count": 2, "zipf": 0},
                "adapters": {"distribution": "constant", "value": 2},
            },
        }
        (row,) = capacity_table(OfferedLoad(loaded(tmp_path, SMALLEST, overrides)))

        expected_s = 30 * 0.05 + loads * 22 + 2 * 4
        assert 1 / row.capacity_rps == pytest.approx(expected_s, abs=22 * 0.06)
