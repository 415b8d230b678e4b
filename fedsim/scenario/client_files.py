"""Reads the client statistics that a scenario names, and reports what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedsim.errors import Problem
from fedsim.scenario.facts import Facts
from fedsim.scenario.schema.arrivals import is_servegen
from fedsim.scenario.source import KeyPath
from fedsim.scenario.trace_files import file_problem
from fedsim.workload.length_tables import ClientLengths
from fedsim.workload.servegen import ClientRates
from fedsim.workload.servegen_files import read_lengths, read_rates


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients of a stream: when they send, and how large their requests are if known."""

    rates: ClientRates
    lengths: ClientLengths | None


def read_clients(facts: Facts, folder: Path) -> tuple[dict[str, Clients], list[Problem]]:
    """Return the clients of each stream that draws from theirs, and what is wrong with others.

    Args:
        facts: The scenario.
        folder: What the names of the files are relative to.
    """
    clients: dict[str, Clients] = {}
    problems: list[Problem] = []
    for stream in facts.streams:
        path: KeyPath = ("workload", stream, "arrivals")
        name, model, table = (facts.at(*path, key) for key in ("file", "model", "lengths"))
        if not is_servegen(facts.written(*path)) or name is None or model is None:
            continue
        key = "file"
        try:
            numbers, rates = read_rates(folder / name, model)
            lengths = None
            if table is not None:
                key, name = "lengths", table
                lengths = read_lengths(folder / name, model, numbers, len(rates.rates_rps))
            clients[stream] = Clients(rates, lengths)
        except ValueError as failure:
            problems.append(file_problem(facts, (*path, key), name, failure))
    return clients, problems
