"""Policies in the scenario file."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from fedsim.scenario.installed import POLICY, is_name, names
from fedsim.scenario.schema.base import Settings, error, suggestion
from fedsim.scenario.schema.types import PLUGIN_JSON, PositiveDuration, Weight, stands_for_class
from fedsim.scenario.spec import DEFAULT_POLICIES


class PolicySettings(Settings):
    """Settings of a policy."""

    weight: Weight | None = Field(
        default=None,
        description="Weight of its score among the policies'; where not given, 2 for health, 0 for "
        "privacy, which only excludes nodes, for one of your own what its class says, else 1.",
    )
    max_latency: PositiveDuration | None = Field(
        default=None, description="Of the policy latency alone: the latency that scores 0."
    )


POLICIES = tuple(DEFAULT_POLICIES)
"""The names of the built-in policies."""


def _policy_name(value: str) -> str:
    if stands_for_class(value) or is_name(POLICY, value):
        return value
    message = f"There is no policy {value!r}."
    raise error(message, f"{suggestion(value, names(POLICY))} Or write module:Class.")


def _check_policies(value: dict[str, PolicySettings]) -> dict[str, PolicySettings]:
    for name, settings in value.items():
        if name != "latency" and settings.max_latency is not None:
            message = f"The policy {name} has no max_latency."
            raise error(message, "Remove it, or give it to the policy latency.", name)
        if name == "privacy" and settings.weight:
            message = "The policy privacy has no weight: it excludes nodes, and scores none."
            raise error(message, "Remove it.", name)
    return value


PolicyName = Annotated[
    str,
    AfterValidator(_policy_name),
    Field(json_schema_extra={"anyOf": [{"enum": list(POLICIES)}, PLUGIN_JSON]}),
]
"""A policy of ours or of an installed package, or a class as ``module:Class``."""

Policies = Annotated[dict[PolicyName, PolicySettings], AfterValidator(_check_policies)]
"""Settings by policy."""
