"""Whether a run held its objective, against numpy and loops over its requests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fedsim.results.sample import Window
from fedsim.results.slo import Slo, Verdict
from fedsim.results.tables import NAMES, Tables
from fedsim.results.verdicts import verdicts
from tests.fake_world import FakeWorld

RUN = FakeWorld(duration_s=300.0, warmup_s=30.0).run(slo=None)
STREAMS = [stream.name for stream in RUN.directory.streams]
WINDOW = Window(30.0, 300.0)


def judged(slo: Slo, change: Any = None, window: Window = WINDOW) -> list[Verdict]:
    """Return the verdicts on ``RUN``, its requests changed by *change*."""
    requests = RUN.requests
    if change is not None:
        change(requests)
    builders: dict[str, Any] = {name: lambda name=name: RUN.tables[name] for name in NAMES}
    tables = Tables(builders | {"requests": lambda: requests})
    return verdicts(slo, tables, RUN.directory, window)


def covered(*streams: str) -> pd.DataFrame:
    """Return the requests of the window, of some streams."""
    inside = RUN.requests[RUN.requests["arrived_s"].between(30.0, 300.0, inclusive="left")]
    return inside[inside["stream"].isin(streams or STREAMS)]


def without_tokens(stream: str) -> Any:
    """Return a change after which a stream has no token times."""

    def change(requests: pd.DataFrame) -> None:
        requests.loc[requests["stream"] == stream, ["ttft_s", "tpot_s"]] = math.nan

    return change


@pytest.mark.parametrize("time", ["latency", "ttft", "tpot", "queue_wait"])
@pytest.mark.parametrize("name", ["p50", "p42", "p99", "p999"])
def test_a_percentile_is_numpys(time: str, name: str) -> None:
    """A bound on a time is judged by its percentile over the successful requests."""
    requests = covered()
    values = requests.loc[requests["outcome"] == "ok", f"{time}_s"].dropna()
    expected = np.quantile(values, float(f"0.{name[1:]}"))

    for limit, held in ((expected, True), (np.nextafter(expected, -1.0), False)):
        (found,) = judged(Slo({f"{time}_{name}": float(limit)}))
        assert (found.value, found.held) == (expected, held)
        assert found.objective == f"{time}_{name}_s"


def test_each_stream_is_judged_by_its_own_requests() -> None:
    """The common bound leaves out the streams that replace it."""
    one, other = STREAMS
    slo = Slo({"latency_p90": 1.0, "success_rate": 0.5}, streams={other: {"latency_p90": 2.0}})

    common, own, success = judged(slo)

    for verdict, stream in ((common, one), (own, other)):
        requests = covered(stream)
        values = requests.loc[requests["outcome"] == "ok", "latency_s"]
        assert verdict.value == np.quantile(values, 0.9)
    assert (common.stream, own.stream, success.stream) == (None, other, None)
    assert success.value == (covered()["outcome"] == "ok").mean()


def test_goodput_is_that_of_a_loop() -> None:
    """A request is good if it succeeds within each limit that its stream has."""
    one, other = STREAMS
    slo = Slo(
        {"latency_p99": 1.2, "latency_p50": 0.1, "ttft_p90": 0.12, "goodput": 0.5},
        streams={other: {"latency_p99": 0.8, "tpot_p50": 0.004, "goodput": 0.1}},
    )
    limits = {
        one: {"latency_s": 1.2, "ttft_s": 0.12},
        other: {"latency_s": 0.8, "ttft_s": 0.12, "tpot_s": 0.004},
    }
    own = {stream.name: stream.max_latency_s for stream in RUN.directory.streams}
    for stream, max_latency_s in own.items():
        if max_latency_s is not None:
            limits[stream]["latency_s"] = max_latency_s
    shares = {}
    for stream in STREAMS:
        good = total = 0
        for request in covered(stream).to_dict("records"):
            total += 1
            late = any(request[name] > limit for name, limit in limits[stream].items())
            good += request["outcome"] == "ok" and not late
        shares[stream] = good / total

    found = {verdict.stream: verdict.value for verdict in judged(slo) if verdict.key == "goodput"}

    assert found == {None: shares[one], other: shares[other]}
    assert 0.05 < shares[other] < 0.95


def slow_windows(values: pd.DataFrame, every_s: float, limit_s: float) -> tuple[int, int]:
    """Return how many whole windows have a latency to judge, and how many hold its p90."""
    arrived_s, latency_s = values["arrived_s"].to_numpy(), values["latency_s"].to_numpy()
    succeeded = (values["outcome"] == "ok").to_numpy()
    judged_count = held = 0
    start_s = WINDOW.start_s
    while start_s + every_s <= WINDOW.end_s + 1e-9:
        inside = (arrived_s >= start_s) & (arrived_s < start_s + every_s)
        if inside.any():
            judged_count += 1
            ok = latency_s[inside & succeeded]
            held += len(ok) > 0 and np.quantile(ok, 0.9) <= limit_s
        start_s += every_s
    return judged_count, int(held)


@pytest.mark.parametrize("every_s", [0.125, 0.5, 7.0, 30.0, 100.0, 270.0])
def test_windows_are_those_of_a_slow_reference(every_s: float) -> None:
    """Windows follow each other from the warm-up on; the last counts only where it is whole."""
    limit_s = float(np.quantile(covered().query("outcome == 'ok'")["latency_s"], 0.9)) * 1.3

    (found,) = judged(Slo({"latency_p90": limit_s}, every_s=every_s))

    assert (found.windows, found.windows_held) == slow_windows(covered(), every_s, limit_s)
    assert found.held == (100 * found.windows_held >= 99 * found.windows)
    assert found.windows > 0


@pytest.mark.parametrize(("late", "held"), [(1, True), (2, False)])
def test_one_window_of_a_hundred_may_miss(late: int, held: bool) -> None:
    """99 of 100 windows are enough, 98 are not, and the whole must hold as well."""

    def change(requests: pd.DataFrame) -> None:
        requests["latency_s"] = 1.0
        requests.loc[:, "outcome"] = "ok"
        requests["arrived_s"] = np.linspace(0.0, 300.0, len(requests), endpoint=False)
        in_late = (requests["arrived_s"] >= 60.0) & (requests["arrived_s"] < 60.0 + 2.7 * late)
        requests.loc[in_late, "latency_s"] = 50.0

    (found,) = judged(Slo({"latency_p50": 2.0}, every_s=2.7), change)

    assert found.value == 1.0
    assert (found.windows, found.windows_held, found.held) == (100, 100 - late, held)


def test_a_window_without_success_misses_and_one_without_requests_is_not_judged() -> None:
    """What nothing arrived in says nothing; what all failed in says much."""

    def change(requests: pd.DataFrame) -> None:
        requests.loc[:, "outcome"] = "ok"
        requests["latency_s"] = 1.0
        requests.loc[requests["arrived_s"].between(30.0, 120.0), "outcome"] = "timeout"
        moved = requests["arrived_s"].between(120.0, 210.0)
        requests.loc[moved, "arrived_s"] = 215.0

    (found,) = judged(Slo({"latency_p99": 2.0}, every_s=90.0), change)

    assert (found.windows, found.windows_held, found.held) == (2, 1, False)


class TestTokens:
    def test_a_stream_without_tokens_says_so(self) -> None:
        """Its own bound on a token time is neither held nor missed: it has no tokens."""
        name = STREAMS[1]
        slo = Slo({"ttft_p99": 99.0}, every_s=60.0, streams={name: {"ttft_p99": 99.0}})

        common, own = judged(slo, without_tokens(name))

        assert common.held
        assert (own.held, own.missing, own.without_tokens) == (False, "no tokens", (name,))
        assert (own.windows, math.isnan(own.value)) == (0, True)
        assert own.word == "no tokens"

    def test_a_common_bound_covers_the_streams_with_tokens(self) -> None:
        """The verdict names the streams that have none."""
        name = STREAMS[1]

        (found,) = judged(Slo({"tpot_p99": 99.0}), without_tokens(name))

        assert (found.held, found.missing, found.without_tokens) == (True, "", (name,))
        assert f"no tokens: {name}" in str(found)

    def test_a_request_without_tokens_meets_their_limit(self) -> None:
        """Goodput asks only for times that a request has."""
        slo = Slo({"ttft_p99": 1e-9, "goodput": 0.0}, streams={STREAMS[1]: {"goodput": 0.0}})
        _, _, own = judged(slo, without_tokens(STREAMS[1]))

        requests = covered(STREAMS[1])
        assert own.value == (requests["outcome"] == "ok").mean()


class TestNothing:
    def test_no_success(self) -> None:
        """Where no request succeeded, no bound is held but on shares that ask for nothing."""

        def change(requests: pd.DataFrame) -> None:
            requests.loc[:, "outcome"] = "timeout"

        found = judged(Slo({"latency_p99": 8.0, "success_rate": 0.0, "goodput": 0.1}), change)

        assert [verdict.held for verdict in found] == [False, True, False]
        assert found[0].missing == "no request succeeded"

    def test_no_requests(self) -> None:
        """Nothing to judge is not held."""
        found = judged(Slo({"latency_p99": 8.0, "success_rate": 0.0}), window=Window(900.0, 901.0))

        assert [(each.held, each.missing) for each in found] == [(False, "no requests")] * 2

    def test_no_objective(self) -> None:
        """A run without an objective has no verdicts."""
        assert RUN.verdicts() == []


def test_a_run_judges_what_its_summary_shows() -> None:
    """The value of a verdict is the measure of the same name, to the last bit."""
    run = FakeWorld(duration_s=60.0).run(
        slo=Slo({"latency_p99": 4.0, "ttft_p50": 1.0, "success_rate": 0.9, "goodput": 0.9})
    )
    row = run.summary().iloc[0]

    assert {each.objective: each.value for each in run.verdicts()} == {
        each.objective: row[each.objective] for each in run.verdicts()
    }
