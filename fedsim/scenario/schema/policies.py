"""Policies in the scenario file, made from what the policies declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, create_model

from fedsim.federation.policies import POLICIES
from fedsim.scenario.installed import POLICY, is_name, names
from fedsim.scenario.schema.base import Settings, error, listed, suggestion
from fedsim.scenario.schema.types import (
    PLUGIN_JSON,
    PositiveDuration,
    Weight,
    names_class,
    require_present,
)

_SECONDS = "_s"
_WEIGHTS = ", ".join(
    f"{entry.weight:g} for {name}{'' if entry.weight else ', which only excludes nodes'}"
    for name, entry in POLICIES.items()
    if entry.weight != 1.0
)


class _AnyPolicy(Settings):
    weight: Weight | None = Field(
        default=None,
        description=f"Weight of its score among the policies'; where not given, {_WEIGHTS}, for "
        "one of your own what its class says, else 1.",
    )

    def given(self) -> dict[str, float]:
        """Return what is given, by the names of the policies' parameters."""
        keys = {"weight": "weight", **_PARAMETERS}
        values = {parameter: getattr(self, key) for key, parameter in keys.items()}
        return {parameter: value for parameter, value in values.items() if value is not None}


_PARAMETERS: Mapping[str, str] = {
    parameter.removesuffix(_SECONDS): parameter
    for entry in POLICIES.values()
    for parameter in entry.settings
}
"""The parameters of policies by their keys in the file, which have no unit."""


def _takers(parameter: str) -> list[str]:
    return [name for name, entry in POLICIES.items() if parameter in entry.settings]


def _field(parameter: str) -> Any:
    takers = _takers(parameter)
    text = POLICIES[takers[0]].settings[parameter]
    whose = f"Of the {'policy' if len(takers) == 1 else 'policies'} {listed(takers, 'and')} alone"
    kind: Any = (
        PositiveDuration if parameter.endswith(_SECONDS) else Annotated[float, Field(gt=0.0)]
    )
    return (kind | None, Field(default=None, description=f"{whose}: {text}"))


if TYPE_CHECKING:  # a model that is made at run time is no type
    PolicySettings = _AnyPolicy
else:
    PolicySettings = create_model(
        "PolicySettings",
        __base__=_AnyPolicy,
        __doc__="Settings of a policy.",
        **{key: _field(parameter) for key, parameter in _PARAMETERS.items()},
    )


def _policy_name(value: str) -> str:
    if names_class(value) or is_name(POLICY, value):
        return value
    require_present(value)
    message = f"There is no policy {value!r}."
    raise error(message, f"{suggestion(value, names(POLICY))} Or write module:Class.")


def check_settings(name: str, settings: PolicySettings) -> None:
    """Check that the policy *name* has what it is given."""
    for key, parameter in _PARAMETERS.items():
        takers = _takers(parameter)
        if parameter in settings.given() and name not in takers:
            message = f"The policy {name} has no {key}."
            raise error(message, f"Remove it, or give it to the policy {listed(takers)}.", name)


def _check_policies(value: dict[str, PolicySettings]) -> dict[str, PolicySettings]:
    for name, settings in value.items():
        check_settings(name, settings)
        if settings.weight and name in POLICIES and not POLICIES[name].weight:
            message = f"The policy {name} has no weight: it excludes nodes, and scores none."
            raise error(message, "Remove it.", name)
    return value


PolicyName = Annotated[
    str,
    AfterValidator(_policy_name),
    Field(json_schema_extra={"anyOf": [{"enum": list(POLICIES)}, PLUGIN_JSON]}),
]
"""A built-in policy, one of an installed package, or a class as ``module:Class``."""

Policies = Annotated[dict[PolicyName, PolicySettings], AfterValidator(_check_policies)]
"""Settings by policy."""
