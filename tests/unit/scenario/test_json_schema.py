"""The JSON Schema of scenario files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fedsim.scenario.json_schema import SCHEMA_FILE, schema, schema_text
from fedsim.scenario.load import load
from fedsim.scenario.source import read_document
from tests.conftest import ROOT
from tests.unit.scenario.writing import (
    CLIENT_LENGTHS,
    CLIENT_RATES,
    INCIDENT,
    PROFILE,
    STEPS,
    models,
    write,
)

EVERY_KEY = Path(__file__).parent / "every_key.yaml"
VALIDATOR = jsonschema.Draft202012Validator(schema())
"""Its own schema is checked once, by a test."""

SCENARIOS = [EVERY_KEY, *sorted((ROOT / "scenarios").glob("*.yaml"))]


def test_committed_schema_is_that_of_the_models():
    """The file in the package has not drifted; ``python -m fedsim.scenario.json_schema`` mends."""
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text()


def test_schema_is_a_json_schema():
    """The schema keeps the rules of its own dialect."""
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenarios_keep_to_the_schema(path: Path):
    """An editor that has the schema finds nothing wrong with a good scenario."""
    VALIDATOR.validate(read_document(path).tree)


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda p: p.stem)
def test_resolved_scenarios_keep_to_the_schema(path: Path):
    """What a run directory holds is a scenario too."""
    VALIDATOR.validate(load(path).resolved)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("duration", 20),
        ("duration", "20m"),
        ("seed", -1),
        ("pools.us-chat.queue", 3),
        ("pools.us-chat.service.p99", "4"),
        ("federation.strategy", "randomly"),
        ("federation.health", "no"),
        ("workload.chat.arrivals.process", "closed_loop"),
        ("plan", {}),
    ],
)
def test_schema_finds_what_is_wrong(path: str, value: object):
    """An editor marks wrong units, types, words and keys."""
    tree: Any = read_document(EVERY_KEY).tree
    *parents, last = path.split(".")
    here = tree
    for parent in parents:
        here = here[parent]
    here[last] = value

    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(tree)


def test_example_uses_every_key(tmp_path: Path):
    """The example of this folder loads, and leaves out no key that there is."""
    write(
        tmp_path,
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00.0000000,10,1\n",
        "trace.csv",
    )
    row = {"t": 0, "in": 10, "out": 1, "who": "acme", "site": "Ashburn", "model": "large"}
    write(tmp_path, json.dumps(row), "own.jsonl")
    write(tmp_path, CLIENT_RATES, "rates.csv")
    write(tmp_path, INCIDENT, "incident.csv")
    write(tmp_path, STEPS, "steps.csv")
    write(tmp_path, PROFILE, "my-llama.yaml")
    write(tmp_path, json.dumps(CLIENT_LENGTHS), "lengths.jsonl")
    text = EVERY_KEY.read_text(encoding="utf-8")
    fields = {
        field.alias or name for model in models() for name, field in model.model_fields.items()
    }
    optional = {"value", "values", "low", "high"}

    assert load(write(tmp_path, text)).name == "every-key"
    assert [name for name in sorted(fields - optional) if f"{name}:" not in text] == []


def test_every_key_is_described():
    """Each key says what it means, for editors and for the docs."""
    tags = {"curve", "distribution", "process", "kind", "preset"}
    bare = [
        f"{model.__name__}.{name}"
        for model in models()
        for name, field in model.model_fields.items()
        if field.description is None and name not in tags
    ]

    assert bare == []
