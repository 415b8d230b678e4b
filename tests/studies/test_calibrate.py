"""A node's coefficients are found again in its log, and a wrong model is not called a right one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import fedsim
from fedsim.cli import app
from fedsim.kernel.streams import Streams
from fedsim.scenario.catalogues.profile_files import read_profile
from fedsim.studies.calibrate import (
    EngineFit,
    Labels,
    Limits,
    LogError,
    ReplayError,
    RequestLog,
    fit_engine,
    replay,
    save_engine,
)
from fedsim.studies.calibrate.coefficients import Estimate
from fedsim.studies.calibrate.engine import engine_config
from fedsim.studies.calibrate.validation import Validation
from fedsim.world.engine.steps import Coefficients
from tests.studies.measured_logs import (
    A100,
    H100,
    SLOW_PREFILL,
    QuadraticSteps,
    arrivals,
    measured,
)

Z_MOST = 3.5
OVERHEAD_S = 5e-3
COLUMNS = (
    "arrived_s",
    "first_token_s",
    "last_token_s",
    "prompt_tokens",
    "output_tokens",
    "cached_tokens",
    "node",
)


def true_value(steps: Coefficients, estimate: Estimate) -> float:
    """Return the coefficient that a log was made with."""
    if estimate.name == "request_overhead_s":
        return OVERHEAD_S
    return float(getattr(steps, estimate.name))


@pytest.fixture(scope="module")
def log() -> RequestLog:
    """A log of an A100 with 5 % noise on every step."""
    return measured(A100, arrivals(800))


@pytest.fixture(scope="module")
def fit(log) -> EngineFit:
    """What is fitted to it."""
    return fit_engine(log, Limits(kv_capacity_tokens=455_000))


class TestRecovery:
    """Known coefficients come back."""

    def test_every_coefficient_is_within_its_error(self, fit):
        """|z| < 3.5, and the errors are small where a coefficient makes up much of the time."""
        for each in fit.estimates:
            true = true_value(A100, each)
            assert abs(each.value_s - true) < Z_MOST * each.error_s, each
            if each.share > 0.3:
                assert each.value_s == pytest.approx(true, rel=0.05)

    def test_held_out_requests_are_predicted(self, fit):
        """Means and percentiles within a few percent; single requests as noise allows."""
        table = fit.summary().set_index("statistic")["relative_error"].abs()
        assert (table["mean"] < 0.03).all()
        assert (table < 0.12).all()
        assert fit.held_out.error("latency_s") < 0.02
        assert fit.held_out.error("tpot_s") < 0.02
        assert fit.held_out.error("ttft_s") < 0.12
        assert fit.warnings() == []
        assert not (fit.fitted.rows & fit.held_out.rows).any()

    def test_the_same_log_gives_the_same_fit(self):
        """To the last bit."""
        log = measured(A100, arrivals(200))
        one, other = (fit_engine(log, Limits(kv_capacity_tokens=455_000)) for _ in range(2))

        assert one.estimates == other.estimates

    def test_an_idle_log_does_not_determine_what_only_load_shows(self):
        """Requests that never meet say nothing of the cost of a batch, and that is said."""
        lonely = arrivals(200, rates=(0.02,))
        fit = fit_engine(measured(A100, lonely), Limits())
        batch = next(each for each in fit.estimates if each.name == "d1_s")

        assert not batch.determined
        assert any("hardly determines d1" in warning for warning in fit.warnings())
        # What cannot be told apart adds up: d0 and d1 of a batch of one, p0 and the overhead.
        found = {each.name: each.value_s for each in fit.estimates}
        assert found["d0_s"] + found["d1_s"] == pytest.approx(A100.d0_s + A100.d1_s, rel=0.01)
        assert found["p0_s"] + found["request_overhead_s"] == pytest.approx(
            A100.p0_s + OVERHEAD_S, rel=0.05
        )

    def test_a_floor_is_found_where_there_is_one(self):
        """Short prompts on an empty node take a least time."""
        steps = replace(A100, floor_s=40e-3)
        fit = fit_engine(measured(steps, arrivals(300, rates=(0.2, 0.5, 1.0))), Limits())
        found = {each.name: each.value_s for each in fit.estimates}

        assert found["floor_s"] == pytest.approx(40e-3, rel=0.05)

    def test_cached_tokens_are_reproduced(self):
        """Prompts that are half cached are prefilled and attended to as the log says."""
        log = measured(A100, arrivals(240, cached_share=0.8), step_cv=0.0)
        fit = fit_engine(log, Limits())
        right = replace(fit.config, steps=A100, request_overhead_s=OVERHEAD_S)
        again = replay(log, right)

        assert np.abs(again.last_token_s - log.last_token_s).max() < 1e-9
        assert fit.held_out.error("latency_s") < 0.02
        ignored = fit_engine(replace(log, cached_tokens=np.zeros_like(log.cached_tokens)), Limits())
        assert ignored.held_out.error("ttft_s") > 2.0 * fit.held_out.error("ttft_s")

    def test_cached_tokens_are_there_however_full_the_cache(self):
        """What the log says was cached is found, though others fill the cache many times over."""
        log = arrivals(400, rates=(0.05,))
        cached = np.where(np.arange(400) % 100 == 99, log.prompt_tokens // 2 // 16 * 16, 0)
        log = replace(log, cached_tokens=cached)
        config = replace(engine_config(log, Limits()), steps=A100)

        ample, tight = (
            replay(log, replace(config, kv_capacity_tokens=tokens)) for tokens in (10**7, 20_000)
        )

        assert cached.sum() > 1000
        assert tight.ttft_s[cached > 0] == pytest.approx(ample.ttft_s[cached > 0])

    @pytest.mark.slow
    @pytest.mark.parametrize("noise", [{"step_cv": 0.1}, {"step_cv": 0.0, "request_cv": 0.05}])
    @pytest.mark.parametrize(
        ("steps", "rates"),
        [
            (A100, (0.2, 1.0, 3.0, 6.0)),
            (H100, (0.3, 4.0, 10.0, 16.0)),
            (SLOW_PREFILL, (0.2, 1.0, 2.0, 3.0)),
        ],
        ids=["a100", "h100", "slow-prefill"],
    )
    def test_what_matters_is_within_five_percent(self, steps, rates, noise):
        """What makes up a tenth of a mean time or more, at several loads and kinds of noise."""
        log = measured(steps, arrivals(8000, rates=rates), **noise)
        fit = fit_engine(log, Limits())

        mattering = [each for each in fit.estimates if each.share >= 0.1]
        assert {"p1_s", "d0_s"} <= {each.name for each in mattering}
        for each in mattering:
            assert each.value_s == pytest.approx(true_value(steps, each), rel=0.05), each


@pytest.mark.slow
class TestWrongModels:
    """The report does not flatter."""

    def test_half_of_the_batch_limit_shows(self):
        """A node that takes 8 at once is not one that takes 16."""
        log = measured(A100, arrivals(1000), max_batch=8)
        right, wrong = fit_engine(log, Limits(max_batch=8)), fit_engine(log, Limits(max_batch=16))

        assert right.held_out.error("ttft_s") < 0.1
        assert wrong.held_out.error("ttft_s") > 0.2
        assert any("does not describe these nodes" in text for text in wrong.warnings())
        assert any("more than 8 requests" in text for text in wrong.warnings())

    def test_decode_times_that_grow_with_the_square_of_the_context_show(self):
        """No coefficients of the engine make up for it."""
        draws = Streams(1).generator("tests/calibrate/square")
        steps = QuadraticSteps(A100, 0.05, draws, square_s=5e-11)
        fit = fit_engine(measured(steps, arrivals(1000)), Limits())

        assert fit.held_out.error("tpot_s") > 0.1
        assert any("does not describe these nodes" in text for text in fit.warnings())

    def test_the_coefficients_of_another_gpu_show(self, log):
        """An H100 would have been much faster."""
        config = replace(engine_config(log, Limits()), steps=H100)
        other = Validation(log, replay(log, config), np.ones(len(log), dtype=np.bool_))

        assert other.error("latency_s") > 0.3
        assert len(other.warnings()) > 5

    def test_a_log_without_tokens_is_refused(self, log):
        """Requests of one output token have no time between tokens."""
        short = replace(log, output_tokens=np.ones_like(log.output_tokens))

        with pytest.raises(LogError, match="Almost no request has three output tokens or more"):
            fit_engine(short, Limits())

    def test_nodes_are_simulated_apart(self, log):
        """A log of two nodes is the two logs."""
        node = np.arange(len(log)) % 2
        config = replace(engine_config(log, Limits()), steps=A100)
        both = replay(replace(log, node=node, nodes=("a", "b")), config)

        for place in (0, 1):
            rows = node == place
            part = replace(log, **{name: getattr(log, name)[rows] for name in COLUMNS})
            assert (replay(part, config).last_token_s == both.last_token_s[rows]).all()

    def test_a_request_that_never_fits_is_refused(self, log):
        """The limits cannot be right."""
        with pytest.raises(ReplayError, match="the engine can never serve"):
            fit_engine(log, Limits(kv_capacity_tokens=1000))


class TestProfile:
    """What is written is what a scenario reads."""

    def test_the_profile_reads_back(self, fit, tmp_path):
        """With the user's label, to four digits."""
        save_engine(fit, tmp_path / "out", Labels("my-model", "my-gpu", 2))
        profile = read_profile(tmp_path / "out" / "profile.yaml")

        assert isinstance(profile.steps, Coefficients)
        for each in fit.estimates:
            if each.name != "request_overhead_s":
                assert getattr(profile.steps, each.name) == pytest.approx(each.value_s, rel=1e-3)
        assert profile.request_overhead_s == pytest.approx(fit.config.request_overhead_s, rel=1e-3)
        assert (profile.label, profile.model, profile.gpu, profile.gpus) == (
            ("user", "my-model", "my-gpu", 2)
        )
        assert profile.fit_error["end_to_end"] == pytest.approx(
            fit.held_out.error("latency_s"), abs=1e-4
        )

    def test_the_directory_holds_the_evidence(self, fit, tmp_path, drawn):
        """Every held-out request, all figures as JSON, and the chart."""
        save_engine(fit, tmp_path / "out")
        saved = pd.read_parquet(tmp_path / "out" / "held-out.parquet")
        summary = json.loads((tmp_path / "out" / "calibration.json").read_text())

        assert len(saved) == summary["requests"]["held_out"] == 400
        assert {each["coefficient"] for each in summary["coefficients"]} >= {"p1_s", "d0_s"}
        assert (tmp_path / "out" / "calibration.png").stat().st_size > 10_000


SCENARIO = """\
name: node
seed: 11
duration: 4min
regions: {here: {}}
pools:
  chat:
    region: here
    engine: {profile: PROFILE, max_batch: 64}
workload:
  chat:
    capability: generate
    arrivals: {process: steps, steps: [{at: 0s, rate: 0.5/s}, {at: 2min, rate: 2/s}]}
    tokens:
      prompt: {distribution: lognormal, median: 600, p99: 8000}
      output: {distribution: lognormal, median: 100, p99: 600}
federation: {circuit_breaker: off, timeout: {attempt: 10min, request: 10min}}
"""


class TestCommand:
    """``fedsim calibrate``."""

    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        """An empty working directory; terminals have 80 columns."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "80")
        return tmp_path

    def _call(self, *words):
        return CliRunner().invoke(app, list(words), prog_name="fedsim")

    def test_a_run_is_calibrated_to_a_node_that_runs_like_it(self, folder):
        """From a run's table to a profile, and from the profile to a run with the same times."""
        catalogue = "llama-3.1-8b/bf16/a100_sxm/tp1"
        (folder / "node.yaml").write_text(SCENARIO.replace("PROFILE", catalogue))
        first = fedsim.simulate(fedsim.load("node.yaml"))
        first.save("runs/node", charts=False)
        done = self._call("calibrate", "runs/node/requests.parquet", "--out", "mine")

        assert done.exit_code == 0, done.output
        assert "Held-out requests, predicted against measured" in done.stdout
        assert "profile: mine/profile.yaml, max_batch: 256" in done.stdout
        (folder / "again.yaml").write_text(SCENARIO.replace("PROFILE", "./mine/profile.yaml"))
        second = fedsim.simulate(fedsim.load("again.yaml"))
        for column in ("ttft_s", "latency_s"):
            assert second.requests[column].mean() == pytest.approx(
                first.requests[column].mean(), rel=0.03
            )

    def test_service_times_are_fitted_on_demand(self, folder):
        """With JSON as all that is printed."""
        draws = Streams(1).generator("tests/calibrate/service")
        times = draws.lognormal(0.0, 0.5, 400)
        (folder / "log.csv").write_text("service_s\n" + "\n".join(f"{time:.6f}" for time in times))
        done = self._call("calibrate", "log.csv", "--service", "--json")

        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["best"] == "lognormal"
        assert (folder / "runs/log-calibrate/service.yaml").read_text().startswith("service: {")

    def test_a_fit_that_predicts_nothing_is_status_1_and_not_written(self, folder):
        """Nearly half of the requests failed at once, and nothing in the log says so."""
        log = measured(A100, arrivals(100), step_cv=0.0)
        table = pd.DataFrame(
            {
                "arrival": log.arrived_s,
                "first_token": log.first_token_s,
                "last_token": log.last_token_s,
                "prompt_tokens": log.prompt_tokens,
                "output_tokens": np.maximum(log.output_tokens, 20),
            }
        )
        failed = table.index % 5 < 2
        table.loc[failed, "first_token"] = table["arrival"][failed] + 0.009
        table.loc[failed, "last_token"] = table["arrival"][failed] + 0.01
        table.to_csv(folder / "log.csv", index=False)

        done = self._call("calibrate", "log.csv")

        assert done.exit_code == 1, done.output
        assert "of single requests is off by" in done.stdout
        assert "profile:" not in done.stdout
        assert "nothing was written" in done.stderr
        assert not (folder / "runs").exists()
        forced = self._call("calibrate", "log.csv", "--force", "--quiet")
        assert forced.exit_code == 0, forced.output
        assert (folder / "runs/log-calibrate/profile.yaml").exists()
        table.assign(status=np.where(failed, 500, 200)).to_csv(folder / "told.csv", index=False)
        assert self._call("calibrate", "told.csv", "--quiet").exit_code == 0

    def test_a_wrong_log_is_status_2(self, folder):
        """The message names the file and the line."""
        (folder / "log.csv").write_text(
            "arrival,ttft,latency,prompt_tokens,output_tokens\n1,x,2,3,4\n"
        )
        done = self._call("calibrate", "log.csv")

        assert done.exit_code == 2, done.output
        assert "log.csv:2: ttft is 'x', not a time." in done.stderr
        assert not (folder / "runs").exists()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--token-budget", "64"], "--token-budget: A step of at most 64 tokens has no room"),
            (["--columns", "nonsense"], "--columns: 'nonsense' does not map a field to a column."),
        ],
    )
    def test_a_wrong_option_is_status_2(self, folder, options, message):
        """The message names the option."""
        done = self._call("calibrate", "log.csv", *options)

        assert done.exit_code == 2
        assert message in done.stderr
