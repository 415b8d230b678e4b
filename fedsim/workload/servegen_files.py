"""Reads the client statistics of ServeGen.

Two files, gzipped or not, made of the published ones (github.com/alibaba/ServeGen, ``data/``):

- *rates*: CSV with the header ``category,model,client,t_s,rate_rps,iat_cv,iat_dist,iat_shape,
  iat_scale``, a row for each window of 600 s in which a client of a model sent anything.
- *lengths*: JSON lines with ``model``, ``client``, ``t_s`` (a multiple of 21,600), and
  ``input_tokens`` and ``output_tokens``, each with its ``mean`` and 16 quantiles ``q`` at
  ``fedsim.workload.length_tables.LEVELS``; ``text_tokens`` and ``image_tokens`` together mean
  the input of a model that sees.
"""

from __future__ import annotations

import csv
import json
from os import PathLike
from typing import Any

import numpy as np

from fedsim.workload.length_tables import LEVELS, ClientLengths, LengthTables
from fedsim.workload.servegen import LENGTH_WINDOW_S, WINDOW_S, ClientRates
from fedsim.workload.traces.content import full_lines
from fedsim.workload.traces.errors import TraceError

_EXPECTED = "Give the files of ServeGen's clients."
_HEADER = "category,model,client,t_s,rate_rps,iat_cv,iat_dist,iat_shape,iat_scale"
_Table = tuple[np.ndarray[Any, np.dtype[np.float64]], float]
_FAMILIES = {"Gamma": False, "Weibull": True}


def read_rates(path: str | PathLike[str], model: str) -> tuple[list[int], ClientRates]:
    """Read when the clients of a model send.

    Args:
        path: The file of rates.
        model: The model, such as ``m-large``.

    Returns:
        The number of each client, ascending, and their rates in that order.

    Raises:
        TraceError: The file cannot be read, or a row is broken, or the model is not in it.
    """
    file = str(path)
    rows, models = _rates(file, model)
    if not rows:
        message = f"There is no model {model!r}."
        raise TraceError(file, None, message, f"Write one of {', '.join(sorted(models))}.")
    clients = sorted({client for client, *_ in rows})
    column = {client: number for number, client in enumerate(clients)}
    shape = (max(window for _, window, *_ in rows) + 1, len(clients))
    rates = ClientRates(
        names=tuple(f"client-{client}" for client in clients),
        rates_rps=np.zeros(shape),
        weibull=np.zeros(shape, dtype=np.bool_),
        shapes=np.ones(shape),
    )
    for client, window, rate_rps, weibull, gaps in rows:
        place = window, column[client]
        rates.rates_rps[place] = rate_rps
        rates.weibull[place] = weibull
        rates.shapes[place] = gaps
    return clients, rates


def read_lengths(
    path: str | PathLike[str], model: str, clients: list[int], windows: int
) -> ClientLengths:
    """Read how large the requests of a model's clients are.

    Args:
        path: The file of lengths.
        model: The model.
        clients: The number of each client, as ``read_rates`` gave them.
        windows: Number of windows of 600 s of the rates.

    Raises:
        TraceError: The file cannot be read, or a row is broken, or no client has lengths.
    """
    file = str(path)
    column = {client: number for number, client in enumerate(clients)}
    of_lengths = int(np.ceil(windows * WINDOW_S / LENGTH_WINDOW_S))
    rows = np.full((of_lengths, len(clients)), -1, dtype=np.int64)
    prompt: list[_Table] = []
    output: list[_Table] = []
    for line, row in full_lines(file, _EXPECTED):
        if f'"{model}"' not in row:
            continue
        try:
            table = json.loads(row)
            if table["model"] != model or table["client"] not in column:
                continue
            window = int(table["t_s"] // LENGTH_WINDOW_S)
            tokens = _input(table), _table(table["output_tokens"])
        except (ValueError, KeyError, TypeError) as failure:
            message = f"The row is not a table of lengths: {type(failure).__name__} {failure}."
            remedy = "Write model, client, t_s, and mean and q of input_tokens and output_tokens."
            raise TraceError(file, line, message, remedy) from None
        if window < of_lengths:
            rows[window, column[table["client"]]] = len(prompt)
            prompt.append(tokens[0])
            output.append(tokens[1])
    if not prompt:
        message = f"No client of the model {model!r} has lengths."
        raise TraceError(file, None, message, "Leave out lengths, and give the stream tokens.")
    return ClientLengths(rows, _tables(prompt), _tables(output))


def _rates(
    file: str, model: str
) -> tuple[list[tuple[int, int, float, bool, float]], dict[str, None]]:
    """Return client, window, rate, family and shape of each row of a model, and all models."""
    numbered = full_lines(file, _EXPECTED)
    header = next(numbered)[1].strip()
    if header != _HEADER:
        message = f"The header is {header[:60]!r}, not {_HEADER}."
        raise TraceError(file, 1, message, "Name the file of ServeGen's client rates.")
    rows = []
    models: dict[str, None] = {}
    for line, fields in enumerate(csv.reader(text for _, text in numbered), start=2):
        if len(fields) != 9:
            message = f"The row has {len(fields)} fields instead of 9."
            raise TraceError(file, line, message, f"Write {_HEADER}.")
        models[fields[1]] = None
        if fields[1] == model:
            rows.append(_rate(file, line, fields))
    return rows, models


def _rate(file: str, line: int, fields: list[str]) -> tuple[int, int, float, bool, float]:
    try:
        client, time_s, rate_rps = int(fields[2]), float(fields[3]), float(fields[4])
        weibull, shape = _FAMILIES[fields[6]], float(fields[7])
    except KeyError:
        message = f"The family of gaps {fields[6]!r} is not known."
        raise TraceError(file, line, message, "Write Gamma or Weibull.") from None
    except ValueError as failure:
        raise TraceError(file, line, f"{failure}.", "Write numbers, without units.") from None
    if not (0.0 <= time_s < np.inf and time_s % WINDOW_S == 0.0):
        message = f"The time {fields[3]} is not that of a window of {WINDOW_S:g} s."
        raise TraceError(file, line, message, f"Write a multiple of {WINDOW_S:g}.")
    if not (0.0 <= rate_rps < np.inf and 0.0 < shape < np.inf):
        message = f"The rate {fields[4]} or the shape {fields[7]} cannot be one."
        raise TraceError(file, line, message, "Write a rate of 0 or more and a shape above 0.")
    return client, int(time_s // WINDOW_S), rate_rps, weibull, shape


def _input(table: dict[str, Any]) -> _Table:
    """Return the table of the input; text and pictures of a request are large together."""
    if "input_tokens" in table:
        return _table(table["input_tokens"])
    text, pictures = _table(table["text_tokens"]), _table(table["image_tokens"])
    return text[0] + pictures[0], text[1] + pictures[1]


def _table(table: dict[str, Any]) -> _Table:
    values = np.array(table["q"], dtype=np.float64)
    if values.shape != LEVELS.shape or np.any(np.diff(values) < 0.0) or not values[0] >= 0.0:
        message = f"q must be {len(LEVELS)} quantiles that do not fall"
        raise ValueError(message)
    return values, float(table["mean"])


def _tables(tables: list[_Table]) -> LengthTables:
    return LengthTables(
        np.array([quantiles for quantiles, _ in tables]), np.array([mean for _, mean in tables])
    )
