"""What ``fedsim check`` says of the load of pools of every kind."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fedsim.cli import app
from tests.conftest import ROOT

KINDS = (
    "engine-chat",
    "speech-recognition",
    "speech-synthesis",
    "embeddings",
    "image-generation",
    "three-regions",
    "minimal",
)


def check(*words: str) -> Any:
    """Run ``fedsim check`` in this process."""
    return CliRunner().invoke(app, ["check", *words], prog_name="fedsim")


@pytest.mark.parametrize("name", KINDS)
def test_table_has_load_and_capacity_within_80_columns(name: str, monkeypatch: pytest.MonkeyPatch):
    """Of every pool: requests per second, the most it can do, and its share at mean and peak."""
    monkeypatch.setenv("COLUMNS", "80")
    done = check(str(ROOT / "scenarios" / f"{name}.yaml"))

    assert done.exit_code == 0, done.output
    table = done.stdout.partition("Pools, each")[2].partition("\n\n")[0].splitlines()
    assert all(len(line) <= 80 for line in table)
    assert re.search(r"nodes +req/s +max req/s +mean % +peak %", table[1])


def test_json_has_what_the_table_has():
    """Scripts get the same figures, unrounded."""
    found = json.loads(check(str(ROOT / "scenarios" / "engine-chat.yaml"), "--json").stdout)
    (us, eu) = found["pools"]
    (generate,) = found["capabilities"]

    assert (us["kind"], us["slots"], eu["slots"]) == ("engine", 2 * 256, 4 * 64)
    assert us["offered_rps"] + eu["offered_rps"] == pytest.approx(40)
    assert us["utilization"] == pytest.approx(us["offered_rps"] / us["capacity_rps"])
    assert generate["capacity_rps"] == pytest.approx(us["capacity_rps"] + eu["capacity_rps"])


def test_what_never_fits_is_status_2(tmp_path: Path):
    """A request that no cache can hold is said, though the load alone would do."""
    file = tmp_path / "large.yaml"
    file.write_text(
        """\
duration: 1min
regions: {us: {}}
pools:
  small: {region: us, engine: {profile: llama-3.1-8b/bf16/h100_sxm/tp1, kv_capacity: 1000}}
  large: {region: us, engine: {profile: llama-3.1-8b/bf16/h100_sxm/tp1}}
workload:
  chat:
    arrivals: {process: poisson, rate: 1/s}
    tokens:
      prompt: {distribution: constant, value: 2000}
      output: {distribution: constant, value: 9}
""",
        encoding="utf-8",
    )
    done = check(str(file))

    assert done.exit_code == 2
    assert "can never be served by the pool small" in done.stderr
    assert "The load of" not in done.stderr
