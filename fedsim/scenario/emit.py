"""Writing YAML that reads the same in YAML 1.1 and 1.2."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from fedsim.scenario.source import CORE_RESOLVERS


def dump_yaml(values: Mapping[str, object]) -> str:
    """Return plain *values* as YAML, in their order and with one key on a line."""
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def dump_inline(value: object) -> str:
    """Return a plain *value* as YAML on one line."""
    text = yaml.dump(
        [value],
        Dumper=_Dumper,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=10_000,
    )
    return text.strip()[1:-1]


class _Dumper(yaml.SafeDumper):
    """Quotes what either version would not read as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 # the base class has it as an instance variable
        letter: [
            *yaml.SafeDumper.yaml_implicit_resolvers.get(letter, []),
            *CORE_RESOLVERS.get(letter, []),
        ]
        for letter in {**yaml.SafeDumper.yaml_implicit_resolvers, **CORE_RESOLVERS}
    }

    def ignore_aliases(self, data: object) -> bool:
        """Write every value out."""
        return True
