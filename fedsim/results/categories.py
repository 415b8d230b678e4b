"""The categorical types of the tables, made from a run's directory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fedsim.federation.contracts import PrivacyLevel
from fedsim.results.columns import OUTCOMES
from fedsim.world.observer import Directory

if TYPE_CHECKING:
    from pandas import CategoricalDtype, DataFrame

EVENT_KINDS = ("fault", "loading", "refusal", "health", "breaker", "plugin", "admission")
"""Kinds of events, in the order in which they stand among the categories."""


def category(names: Iterable[str], *, ordered: bool = False) -> CategoricalDtype:
    """Return a categorical type over *names*, in their order and without repetitions."""
    import pandas as pd

    unique = list(dict.fromkeys(names))
    return pd.CategoricalDtype(pd.Index(unique, dtype="str"), ordered=ordered)


def category_types(directory: Directory, outcomes: Iterable[str]) -> dict[str, CategoricalDtype]:
    """Return the type of every categorical column but ``tenant``, by the column's name."""
    levels = [level.name.lower() for level in PrivacyLevel]
    return {
        "stream": category(stream.name for stream in directory.streams),
        "capability": category(stream.capability for stream in directory.streams),
        "privacy": category(levels, ordered=True),
        "origin": category(directory.regions),
        "region": category(directory.regions),
        "gateway": category(directory.gateways),
        "node": category(node.name for node in directory.nodes),
        "pool": category(node.pool for node in directory.nodes),
        "outcome": category(outcomes),
    }


def restore_categories(
    table: DataFrame, directory: Directory, outcomes: Iterable[str] = OUTCOMES
) -> DataFrame:
    """Return a table read from a file with the categories that it was written with.

    A file keeps neither the categories of a column that is missing throughout nor, for certain,
    those that no row has.
    """
    types = category_types(directory, outcomes)
    if "kind" in table:
        types["kind"] = category([*EVENT_KINDS, *table["kind"].dropna().unique()])
    if "tenant" in table:
        has_names = hasattr(table["tenant"], "cat")
        types["tenant"] = category(table["tenant"].cat.categories if has_names else ())
    return table.astype({name: types[name] for name in table.columns if name in types})
