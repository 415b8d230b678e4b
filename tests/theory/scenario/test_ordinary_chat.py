"""Chat on any engine, with nothing said about deadlines, is served well below full load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import fedsim
from fedsim.cli.app import app
from fedsim.scenario.catalogues.profiles import profile_names

CHAT = """\
duration: {duration_s}s
warmup: 0s
regions: {{us: {{}}}}
pools:
  one: {{region: us, engine: {{profile: {profile}}}}}
  other: {{region: us, engine: {{profile: {profile}}}}}
workload:
  chat:
    arrivals: {{process: poisson, rate: {rate_rps}/s}}
    tokens:
      prompt: {{distribution: lognormal, median: 1000, p99: 4000}}
      output: {{distribution: lognormal, median: 200, p99: 800}}
record: {{nodes_every: off}}
"""

REQUESTS = 3000


def capacity_rps(path: Path) -> float:
    """Return what ``fedsim check`` says that the pools can serve at most, in requests/s."""
    done = CliRunner().invoke(app, ["check", str(path), "--json"])
    (capability,) = json.loads(done.stdout)["capabilities"]
    return float(capability["capacity_rps"])


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.3, 0.6])
@pytest.mark.parametrize("profile", profile_names())
def test_nearly_all_is_served(tmp_path: Path, profile: str, load: float) -> None:
    """Of 3,000 requests at 30 or 60 % of the capacity, 99.9 % succeed."""
    path = tmp_path / "chat.yaml"
    path.write_text(CHAT.format(profile=profile, rate_rps=0.1, duration_s=600))
    rate_rps = load * capacity_rps(path)
    duration_s = REQUESTS / rate_rps
    path.write_text(CHAT.format(profile=profile, rate_rps=rate_rps, duration_s=duration_s))

    run = fedsim.simulate(fedsim.load(path))

    outcomes = run.requests["outcome"]
    assert (outcomes == "ok").sum() >= 0.999 * len(outcomes), outcomes.value_counts().to_dict()
