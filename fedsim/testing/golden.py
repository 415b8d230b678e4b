"""Golden decisions: where every attempt of one run was sent, as a text that is made to be diffed.

The file has no floating-point number that is compared: decisions, not times. For people it begins
with how many attempts went to each node, by window and gateway. What is compared follows: a letter
for the node of each request's first attempt, in blocks with a digest of node and gateway, and a
line for every retry and hedge.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np

from fedsim.errors import ResultsError
from fedsim.results.manifest import provenance
from fedsim.results.run import Run
from fedsim.scenario.units import DURATION
from fedsim.version import __version__

FORMAT = "fedsim golden decisions, format 1"
BLOCK = 64
"""Requests of a line of letters."""

MOST_WINDOWS = 12
"""Windows that a run is cut into at most, for the counts."""

_WINDOWS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NONE = "."
_COUNTS = "counts: window, gateway, nodes"
_FIRST = "first attempts of "
_FIRST_HEAD = ": request, digest, nodes"
_OTHERS = "retries and hedges: request, attempt, gateway, node"


@dataclass(frozen=True, slots=True, order=True)
class Attempt:
    """What tells one attempt from all others of a run: its request, number and kind."""

    stream: str
    index: int
    number: int
    hedge: bool

    @property
    def request(self) -> str:
        """The id of its request."""
        return f"{self.stream}-{self.index}"

    def __str__(self) -> str:
        return f"{self.request}, attempt {self.number}{' (a hedge)' if self.hedge else ''}"


@dataclass(frozen=True, slots=True)
class Golden:
    """The decisions of one run.

    Attributes:
        scenario: The scenario's name.
        seed: The run's seed.
        fedsim: The version that ran it.
        platform: What floating-point results may depend on.
        window_s: Length of the windows of ``counts``, in seconds.
        nodes: All nodes, in the order of the scenario.
        counts: Number of attempts by node, by window (from 0) and gateway.
        firsts: The node of each request's first attempt, None for none, by stream.
        others: The gateway and node of each retry and hedge.
        digests: By stream, a digest of node and gateway of each block of ``firsts``.
    """

    scenario: str
    seed: int
    fedsim: str
    platform: str
    window_s: float
    nodes: tuple[str, ...]
    counts: Mapping[tuple[int, str], Mapping[str, int]]
    firsts: Mapping[str, Sequence[str | None]]
    others: Mapping[Attempt, tuple[str, str]]
    digests: Mapping[str, Sequence[str]] = field(repr=False)

    @property
    def count(self) -> int:
        """The number of attempts."""
        firsts = sum(node is not None for nodes in self.firsts.values() for node in nodes)
        return firsts + len(self.others)

    def targets(self) -> Iterator[tuple[Attempt, str]]:
        """Yield every attempt with its node, first attempts before others."""
        for stream, nodes in self.firsts.items():
            for index, node in enumerate(nodes):
                if node is not None:
                    yield Attempt(stream, index, 1, hedge=False), node
        for attempt, (_, node) in self.others.items():
            yield attempt, node


@dataclass(frozen=True, slots=True)
class Change:
    """An attempt that went elsewhere: *before* is expected, *after* was obtained; None for none."""

    attempt: Attempt
    before: str | None
    after: str | None


@lru_cache(maxsize=1)
def numeric_platform() -> str:
    """Return what floating-point results may depend on besides fedsim's version."""
    known = provenance()
    of_it, versions = known["platform"], known["versions"]
    features = of_it["cpu_features"]
    return (
        f"{of_it['machine']} {of_it['system']}, {of_it['libc'] or 'unknown libc'}, "
        f"python {'.'.join(platform.python_version_tuple()[:2])}, numpy {versions['numpy']}, "
        f"{features[-1] if features else 'no known SIMD'}"
    )


def golden_of(run: Run) -> Golden:
    """Return the decisions of a run."""
    names = tuple(node.name for node in run.directory.nodes)
    streams = [stream.name for stream in run.directory.streams]
    window_s = _window_s(run.duration_s)
    requests = run.tables.values("requests", "stream")
    sizes = np.bincount(requests, minlength=len(streams)).tolist()
    firsts: dict[str, list[str | None]] = {
        name: [None] * size for name, size in zip(streams, sizes, strict=True)
    }
    gateways = {name: [""] * size for name, size in zip(streams, sizes, strict=True)}
    others: dict[Attempt, tuple[str, str]] = {}
    counts: dict[tuple[int, str], dict[str, int]] = {}
    for attempt, gateway, node, at_s in sent(run):
        by_node = counts.setdefault((int(at_s // window_s), gateway), {})
        by_node[node] = by_node.get(node, 0) + 1
        if attempt.number == 1 and not attempt.hedge:
            firsts[attempt.stream][attempt.index] = node
            gateways[attempt.stream][attempt.index] = gateway
        else:
            others[attempt] = gateway, node
    return Golden(
        run.name,
        run.seed,
        __version__,
        numeric_platform(),
        window_s,
        names,
        {key: counts[key] for key in sorted(counts)},
        firsts,
        dict(sorted(others.items())),
        {name: list(_digests(firsts[name], gateways[name])) for name in streams},
    )


def sent(run: Run) -> Iterator[tuple[Attempt, str, str, float]]:
    """Yield each attempt of a run with its gateway, its node and when it was sent, in seconds."""
    tables = run.tables
    streams = [stream.name for stream in run.directory.streams]
    stream = tables.values("requests", "stream")
    index = np.zeros(len(stream), dtype=np.intp)  # requests stand in the order of their numbers
    for code in range(len(streams)):
        rows = stream == code
        index[rows] = np.arange(np.count_nonzero(rows))
    gateways, nodes = tables.labels("attempts", "gateway"), tables.labels("attempts", "node")
    columns = (
        tables.values("attempts", name).tolist()
        for name in ("attempt", "hedge", "gateway", "node", "started_s")
    )
    rows = tables.request_rows
    for code, place, number, hedge, via, to, at_s in zip(
        stream[rows].tolist(), index[rows].tolist(), *columns, strict=True
    ):
        attempt = Attempt(streams[code], place, int(number), bool(hedge))
        yield attempt, gateways[via], nodes[to], at_s


def changes(expected: Golden, obtained: Golden) -> list[Change]:
    """Return the attempts that went elsewhere, were added or are missing, in their order.

    Where the letters of a block are equal and its digest is not, its first request was sent to the
    same node by another gateway; it is one change.
    """
    before, after = dict(expected.targets()), dict(obtained.targets())
    found = [
        Change(attempt, before.get(attempt), after.get(attempt))
        for attempt in sorted({**before, **after})
        if before.get(attempt) != after.get(attempt)
    ]
    moved = {(each.attempt.stream, each.attempt.index // BLOCK) for each in found}
    for stream, digests in expected.digests.items():
        for block, (one, other) in enumerate(
            zip(digests, obtained.digests.get(stream, ()), strict=False)
        ):
            if one != other and (stream, block) not in moved:
                attempt = Attempt(stream, block * BLOCK, 1, hedge=False)
                found.append(Change(attempt, before.get(attempt), after.get(attempt)))
    return sorted(found, key=lambda each: each.attempt)


def text_of(golden: Golden) -> str:
    """Return the file of a golden run."""
    width = 1 if len(golden.nodes) <= len(_LETTERS) else 2
    codes = {node: _code(place, width) for place, node in enumerate(golden.nodes)}
    lines = [
        FORMAT,
        f"scenario: {golden.scenario}",
        f"seed: {golden.seed}",
        f"fedsim: {golden.fedsim}",
        f"platform: {golden.platform}",
        f"window: {DURATION.format(golden.window_s)}",
        f"attempts: {golden.count}, retries and hedges among them: {len(golden.others)}",
        "nodes: " + ", ".join(f"{codes[node]} {node}" for node in golden.nodes),
        "",
        _COUNTS,
    ]
    for (window, gateway), by_node in golden.counts.items():
        at = DURATION.format(window * golden.window_s)
        shown = ", ".join(f"{node} {by_node[node]}" for node in golden.nodes if node in by_node)
        lines.append(f"{at} {gateway}: {shown}")
    for stream, nodes in golden.firsts.items():
        lines += ["", f"{_FIRST}{stream}{_FIRST_HEAD}"]
        letters = [_NONE * width if node is None else codes[node] for node in nodes]
        for place, digest in enumerate(golden.digests[stream]):
            block = "".join(letters[place * BLOCK : (place + 1) * BLOCK])
            lines.append(f"{place * BLOCK:6d} {digest} {block}")
    if golden.others:
        lines += ["", _OTHERS]
    for attempt, (gateway, node) in golden.others.items():
        hedge = "h" if attempt.hedge else ""
        lines.append(f"{attempt.request} {attempt.number}{hedge} {gateway} {node}")
    return "\n".join(lines) + "\n"


def read(path: Path) -> Golden:
    """Return what a golden file says.

    Raises:
        ResultsError: It cannot be read, or is no such file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read {path}: {error}"
        raise ResultsError(msg) from error
    return parsed(text, path)


def parsed(text: str, path: Path) -> Golden:
    """Return what the text of a golden file says.

    Args:
        text: The text.
        path: Where it stands, for errors.

    Raises:
        ResultsError: It is no such text; the error names the line.
    """
    lines = text.splitlines()
    if not lines or lines[0] != FORMAT:
        msg = f"{path} is no golden file of this fedsim: its first line is not {FORMAT!r}"
        raise ResultsError(msg)
    reader = _Reader()
    for number, line in enumerate(lines[1:], start=2):
        try:
            reader.take(line)
        except (KeyError, ValueError, IndexError) as error:
            msg = f"{path}:{number}: broken: {line[:60]!r}; write it again with --update"
            raise ResultsError(msg) from error
    try:
        return reader.golden()
    except (KeyError, ValueError) as error:
        msg = f"{path} is not whole: {error} is missing; write it again with --update"
        raise ResultsError(msg) from error


class _Reader:
    """Reads a golden file line by line."""

    def __init__(self) -> None:
        self._head: dict[str, str] = {}
        self._section = ""
        self._counts: dict[tuple[int, str], dict[str, int]] = {}
        self._firsts: dict[str, list[str | None]] = {}
        self._digests: dict[str, list[str]] = {}
        self._others: dict[Attempt, tuple[str, str]] = {}
        self._codes: dict[str, str] = {}

    def take(self, line: str) -> None:
        """Take the next line."""
        if not line:
            return
        if line in {_COUNTS, _OTHERS} or line.endswith(_FIRST_HEAD):
            self._section = line
            if line.startswith(_FIRST):
                stream = self._stream
                self._firsts[stream], self._digests[stream] = [], []
        elif self._section == "":
            key, _, value = line.partition(": ")
            self._head[key] = value
            if key == "nodes":
                pairs = [each.split(" ", 1) for each in value.split(", ")]
                self._codes = {code: node for code, node in pairs}  # noqa: C416 - pairs are lists
        elif self._section == _COUNTS:
            self._count(line)
        elif self._section == _OTHERS:
            request, attempt, gateway, node = line.split(" ")
            stream, _, index = request.rpartition("-")
            number = int(attempt.removesuffix("h"))
            sent_to = Attempt(stream, int(index), number, hedge=attempt.endswith("h"))
            self._others[sent_to] = gateway, node
        else:
            self._block(line)

    def golden(self) -> Golden:
        """Return what was read."""
        head = self._head
        return Golden(
            head["scenario"],
            int(head["seed"]),
            head["fedsim"],
            head["platform"],
            DURATION.parse(head["window"]),
            tuple(self._codes.values()),
            self._counts,
            self._firsts,
            self._others,
            self._digests,
        )

    @property
    def _stream(self) -> str:
        return self._section.removeprefix(_FIRST).removesuffix(_FIRST_HEAD)

    def _count(self, line: str) -> None:
        where, _, shown = line.partition(": ")
        at, _, gateway = where.partition(" ")
        window_s = DURATION.parse(self._head["window"])
        window = round(DURATION.parse(at) / window_s)
        pairs = [each.rsplit(" ", 1) for each in shown.split(", ")]
        self._counts[window, gateway] = {node: int(count) for node, count in pairs}

    def _block(self, line: str) -> None:
        _, digest, letters = line.split()
        self._digests[self._stream].append(digest)
        width = len(next(iter(self._codes)))
        for place in range(0, len(letters), width):
            code = letters[place : place + width]
            node = None if code == _NONE * width else self._codes[code]
            self._firsts[self._stream].append(node)


def _digests(nodes: Sequence[str | None], gateways: Sequence[str]) -> Iterator[str]:
    for start in range(0, len(nodes), BLOCK):
        state = blake2b(digest_size=4)
        for node, gateway in zip(
            nodes[start : start + BLOCK], gateways[start : start + BLOCK], strict=True
        ):
            state.update(f"{gateway} {node}\n".encode())
        yield state.hexdigest()


def _code(place: int, width: int) -> str:
    base = len(_LETTERS)
    if place >= base**width:
        msg = f"golden decisions know at most {base**2:,} nodes"
        raise ResultsError(msg)
    return _LETTERS[place] if width == 1 else _LETTERS[place // base] + _LETTERS[place % base]


def _window_s(duration_s: float) -> float:
    """Return the shortest round length that cuts a run into at most ``MOST_WINDOWS`` windows."""
    found = next((each for each in _WINDOWS_S if duration_s / each <= MOST_WINDOWS), None)
    return float(found or 86400.0 * np.ceil(duration_s / 86400.0 / MOST_WINDOWS))
