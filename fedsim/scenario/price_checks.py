"""Checks that the instance whose price a node pays has as many GPUs as the node."""

from __future__ import annotations

from collections.abc import Iterator

from fedsim.errors import Problem
from fedsim.scenario.catalogues.prices import instance_for, price_names
from fedsim.scenario.catalogues.tables import CatalogueError
from fedsim.scenario.engine_files import EngineSources
from fedsim.scenario.facts import Facts


def small_instances(facts: Facts, engines: EngineSources) -> Iterator[Problem]:
    """Yield a problem for every pool whose nodes have more GPUs than what they are billed as."""
    for pool, profile in engines.profiles.items():
        path = ("pools", pool, "cost")
        name = facts.text(*path)
        if name not in price_names():
            continue
        try:
            instance_for(name, profile.gpus)
        except CatalogueError as failure:
            yield facts.document.problem(path, failure.message, failure.remedy)
