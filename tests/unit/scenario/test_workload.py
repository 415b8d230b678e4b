"""Streams in the scenario file: what requests are like, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedsim.errors import ScenarioError
from fedsim.workload.conversations import Conversation
from fedsim.workload.distributions import Constant, Exponential
from fedsim.workload.pictures import BaseModels, PictureSizes
from fedsim.workload.prefixes import Prefixes
from fedsim.workload.servegen import ServeGen
from fedsim.workload.superposition import Superposition
from fedsim.workload.tenants import NamedTenants, Tenant
from fedsim.workload.tokens import Tokens, TokenSamples
from tests.unit.scenario.writing import CLIENT_LENGTHS, CLIENT_RATES, SMALLEST, loaded, write

TOKENS = {
    "prompt": {"distribution": "constant", "value": 100},
    "output": {"distribution": "exponential", "mean": 20},
}


def stream(folder: Path, settings: dict[str, object]):
    """Return the stream ``chat`` of the smallest scenario, with more settings."""
    overrides = {f"workload.chat.{key}": value for key, value in settings.items()}
    return loaded(folder, SMALLEST, overrides).world.streams[0]


def test_defaults(tmp_path: Path) -> None:
    """Without any, requests are single ones of unknown size, from nobody in particular."""
    chat = stream(tmp_path, {})

    assert chat.priority == 0
    assert chat.traffic.sizes.tokens == Tokens()
    assert chat.traffic.tenants is chat.traffic.conversation is chat.traffic.sizes.prefixes is None


def test_conversations(tmp_path: Path) -> None:
    """Sessions, their system prompts and their sizes."""
    chat = stream(
        tmp_path,
        {
            "tokens": TOKENS,
            "prefixes": {"count": 3, "tokens": {"distribution": "constant", "value": 500}},
            "conversation": {
                "turns": {"distribution": "exponential", "mean": 5},
                "think": {"distribution": "constant", "value": "20s"},
                "max_context": 8192,
            },
            "priority": 2,
        },
    )

    assert chat.priority == 2
    assert chat.traffic.is_reactive
    assert chat.traffic.sizes.tokens == Tokens(Constant(100.0), Exponential(20.0))
    assert chat.traffic.sizes.prefixes == Prefixes(3, 1.0, Constant(500.0), 16)
    assert chat.traffic.conversation == Conversation(Exponential(5.0), Constant(20.0), 8192, 16)


def test_pictures(tmp_path: Path) -> None:
    """A request asks for one picture of 30 steps with the only model unless told otherwise."""
    one, thirty = Constant(1.0), Constant(30.0)

    assert stream(tmp_path, {"pictures": {}}).traffic.sizes.pictures == PictureSizes(
        thirty, one, BaseModels(1)
    )
    many = stream(tmp_path, {"pictures": {"models": {"count": 86, "repeat": "72%"}}})
    assert many.traffic.sizes.pictures.models == BaseModels(86, 1.0, 0.72)


def test_audio(tmp_path: Path) -> None:
    """Audio has a length in seconds."""
    calls = stream(tmp_path, {"audio": {"length": {"distribution": "constant", "value": "2min"}}})

    assert calls.traffic.sizes.audio_s == Constant(120.0)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("azure.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00,10,1\n"),
        (
            "mooncake.jsonl",
            '{"timestamp": 0, "input_length": 10, "output_length": 1, "hash_ids": [0]}',
        ),
        ("own.csv", "time,prompt_tokens,output_tokens\n0.5,10,1\n"),
    ],
)
def test_samples(tmp_path: Path, name: str, text: str) -> None:
    """Pairs of token counts come from a file of any format, beside the scenario."""
    write(tmp_path, text, name)
    chat = stream(tmp_path, {"tokens": {"trace": name}})

    assert isinstance(chat.traffic.sizes.tokens, TokenSamples)
    assert chat.traffic.sizes.tokens.prompt_tokens.tolist() == [10]
    assert chat.traffic.sizes.tokens.output_tokens.tolist() == [1]


def test_samples_with_columns_of_their_own(tmp_path: Path) -> None:
    """Two streams may read one file by different columns."""
    write(tmp_path, "time,in,out,more\n0.5,10,1,20\n", "own.csv")
    columns = {"prompt_tokens": "in", "output_tokens": "out"}
    tenants = {
        "acme": {"tokens": {"trace": "own.csv", "columns": columns}},
        "globex": {"tokens": {"trace": "own.csv", "columns": columns | {"output_tokens": "more"}}},
    }
    chat = stream(tmp_path, {"tokens": TOKENS, "tenants": tenants})

    assert [own.output_tokens.tolist() for own in chat.traffic.tenants.tokens] == [[1], [20]]


def test_published_formats_have_their_own_columns(tmp_path: Path) -> None:
    """Columns of a published format cannot be called otherwise."""
    azure = {"trace": "x.csv", "format": "azure", "columns": {"time": "when"}}

    with pytest.raises(ScenarioError, match="The format azure has columns of its own"):
        stream(tmp_path, {"tokens": azure})


def test_resolved_samples_are_found_from_anywhere(tmp_path: Path) -> None:
    """The resolved scenario names the file in full, of tenants too."""
    write(tmp_path, "time,prompt_tokens,output_tokens\n0.5,10,1\n", "own.csv")
    tenants = {"acme": {"tokens": {"trace": "own.csv"}}}
    overrides = {"workload.chat.tokens": {"trace": "own.csv"}, "workload.chat.tenants": tenants}
    resolved: Any = loaded(tmp_path, SMALLEST, overrides).resolved
    chat = resolved["workload"]["chat"]

    full = (tmp_path / "own.csv").resolve().as_posix()
    assert chat["tokens"] == chat["tenants"]["acme"]["tokens"] == {"trace": full}


def test_named_tenants(tmp_path: Path) -> None:
    """Tenants with names have a share of 1 and the stream's tokens unless told otherwise."""
    tenants = {"acme": {"share": 3}, "globex": {"tokens": TOKENS}, "count": {}}
    chat = stream(tmp_path, {"tenants": tenants})

    assert chat.traffic.tenants == NamedTenants(
        (
            Tenant("acme", 3.0),
            Tenant("globex", 1.0, Tokens(Constant(100.0), Exponential(20.0))),
            Tenant("count", 1.0),
        )
    )


def test_tenants_with_their_own_arrivals(tmp_path: Path) -> None:
    """The stream is then all of them together, and needs no arrivals."""
    tenants = {
        "acme": {"arrivals": {"process": "poisson", "rate": "3/s"}},
        "globex": {"arrivals": {"process": "constant", "rate": "1/s"}},
    }
    text = SMALLEST.replace("arrivals: {process: poisson, rate: 2/s}", "priority: 0")
    chat = loaded(tmp_path, text, {"workload.chat.tenants": tenants}).world.streams[0]

    assert isinstance(chat.traffic.arrivals, Superposition)
    assert chat.traffic.mean_rps(60.0) == pytest.approx(4.0)
    assert chat.traffic.tenant_names == ("acme", "globex")


def test_servegen(tmp_path: Path) -> None:
    """Clients are the tenants; a stream says how large requests are where there are no lengths."""
    write(tmp_path, CLIENT_RATES, "rates.csv")
    write(tmp_path, json.dumps(CLIENT_LENGTHS), "lengths.jsonl")
    arrivals = {"process": "trace", "format": "servegen", "file": "rates.csv", "model": "m-large"}
    bare = stream(tmp_path, {"arrivals": arrivals, "tokens": TOKENS})
    part = {**arrivals, "lengths": "lengths.jsonl", "from": "10min", "speed": 2, "rate_factor": 3}
    full = stream(tmp_path, {"arrivals": part})

    assert bare.traffic.mean_sizes.prompt_tokens == 100.0
    assert isinstance(full.traffic.arrivals, ServeGen)
    assert full.traffic.tenant_names == ("client-3", "client-8")
    assert full.traffic.mean_rps(300.0) == 5.0 * 2 * 3
    assert full.traffic.mean_sizes.prompt_tokens == pytest.approx(175.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokens": TOKENS}, "which brings its own token counts. Remove tokens."),
        ({"tenants": {"count": 3}}, "The clients of the file are the tenants of the stream."),
    ],
)
def test_servegen_brings_its_own(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    """What the clients say of themselves cannot be said of the stream too."""
    write(tmp_path, CLIENT_RATES, "rates.csv")
    write(tmp_path, json.dumps(CLIENT_LENGTHS), "lengths.jsonl")
    arrivals = {"process": "trace", "format": "servegen", "file": "rates.csv", "model": "m-large"}
    arrivals["lengths"] = "lengths.jsonl"

    with pytest.raises(ScenarioError) as caught:
        stream(tmp_path, {"arrivals": arrivals, **settings})
    assert message in str(caught.value)
