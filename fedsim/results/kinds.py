"""The kinds of columns: what a value is recorded as, and what it is in the table.

A recorded value is a number in a typed array. Names are recorded as codes: an index into the
run's ``Directory``, or into the texts in the order in which they were first reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fedsim.federation.contracts import (
    AllNodesUnhealthy,
    CircuitOpen,
    Internal,
    NoCapacity,
    NodeUnreachable,
    PrivacyLevel,
    PrivacyViolation,
    QoSViolation,
    Timeout,
)
from fedsim.world.observer import Directory

if TYPE_CHECKING:
    from pandas import CategoricalDtype, Series

OUTCOMES = (
    "ok",
    *(
        error.kind
        for error in (
            NoCapacity,
            AllNodesUnhealthy,
            QoSViolation,
            PrivacyViolation,
            NodeUnreachable,
            Timeout,
            CircuitOpen,
            Internal,
        )
    ),
    "cancelled",
    "unfinished",
)
"""Every outcome of a request or an attempt; ``ok`` comes first, so that its code is 0."""

EVENT_KINDS = (
    "fault",
    "loading",
    "refusal",
    "health",
    "breaker",
    "plugin",
    "admission",
    "scaler",
    "presence",
)
"""Kinds of events, in the order in which they stand among the categories."""


class Texts(dict[str, int]):
    """The code of each text; one that is met for the first time gets the next free number.

    The empty text is a missing one, with the code -1.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        super().__init__({"": -1})
        for text in known:
            self[text]

    def __missing__(self, text: str) -> int:
        """Number a text that is met for the first time."""
        code = self[text] = len(self) - 1
        return code

    def decoded(self, codes: NDArray[Any]) -> NDArray[np.object_]:
        """Return the text of each code, None where it is missing."""
        known = np.array([*list(self)[1:], None], dtype=object)
        texts: NDArray[np.object_] = known[codes]
        return texts


class Names:
    """The names behind the codes of a run.

    Attributes:
        directory: Streams, regions, gateways and nodes.
        outcomes: Outcomes; an error kind of a plug-in's own follows those of fedsim.
        texts: All other texts that were reported.
    """

    def __init__(self, directory: Directory, outcomes: Iterable[str] = ()) -> None:
        self.directory = directory
        self.outcomes = Texts([*OUTCOMES, *outcomes])
        self.texts = Texts()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of column whose values are numbers.

    Attributes:
        dtype: The dtype of the column in the table.
        typecode: The ``array`` type of its recorded values; empty where it is never recorded.
        missing: The recorded value of one that is missing; None where none is.
        unit: The unit of its values, or empty.
        coded_by: The attribute of ``Names`` that numbers the texts which are reported; empty where
            numbers are reported.
    """

    coded_by: ClassVar[str] = ""

    dtype: str
    typecode: str = ""
    missing: float | None = None
    unit: str = ""

    def array_type(self, names: Names) -> str:
        """Return the ``array`` type of recorded values in a run with these names."""
        return self.typecode

    def default(self) -> str | None:
        """Return the source of the value that is not reported; None where one has to be."""
        return None if self.missing is None else str(self.missing)

    def shown(self, values: Any, names: Names) -> Any:
        """Return recorded or derived values as a column of the table."""
        import pandas as pd

        if self.dtype == "Int32":
            return pd.arrays.IntegerArray(values, values < 0)
        if self.dtype == "boolean":
            return pd.arrays.BooleanArray(values == 1, values < 0)
        return values.view(np.bool_) if self.dtype == "bool" else values

    @property
    def can_miss(self) -> bool:
        """Whether its values are whole numbers of which -1 is a missing one."""
        return self.dtype in {"Int32", "boolean"}

    def recorded(self, values: Any, names: Names) -> NDArray[Any]:
        """Return recorded or derived values as ``Tables.values`` has them."""
        plain: NDArray[Any] = values.view(np.bool_) if self.dtype == "bool" else values
        return plain

    def plain(self, values: Series[Any]) -> NDArray[Any]:
        """Return a column of a DataFrame as ``Tables.values`` has it."""
        if self.can_miss:
            return values.to_numpy(np.int32, na_value=-1)
        return values.to_numpy()

    def labels(self, values: Any, names: Names) -> list[str]:
        """Return the names behind the codes of recorded or derived values; empty for numbers."""
        return []

    def category(self, names: Names, values: Series[Any]) -> CategoricalDtype | None:
        """Return the categorical type of a column that was read from a file; None for no such."""
        return None


@dataclass(frozen=True, slots=True)
class Text(Kind):
    """Texts that are reported as such, and empty where they are missing."""

    coded_by = "texts"

    dtype: str = "str"
    typecode: str = "i"
    missing: float | None = -1

    def default(self) -> str:
        """Return the empty text."""
        return repr("")

    def shown(self, values: Any, names: Names) -> Any:
        """Return the texts."""
        import pandas as pd

        return pd.array(names.texts.decoded(values), dtype="str")

    def recorded(self, values: Any, names: Names) -> NDArray[Any]:
        """Return the texts, None where they are missing."""
        return names.texts.decoded(values)

    def plain(self, values: Series[Any]) -> NDArray[Any]:
        """Return the texts, None where they are missing."""
        return values.astype(object).where(values.notna(), None).to_numpy()


@dataclass(frozen=True, slots=True)
class Name(Kind):
    """Names that are reported by their code, -1 for none; the categories are all of the run.

    Attributes:
        of: Gives the names in the order of their codes.
        ordered: Whether the order of the names is one of rank.
    """

    of: Callable[[Directory], Sequence[str]] = lambda _: ()
    ordered: bool = False
    dtype: str = "category"
    missing: float | None = -1

    def array_type(self, names: Names) -> str:
        """Return the type that pandas, too, uses for the codes of that many categories."""
        count = len(self.of(names.directory))
        if count < 127:
            return "b"
        return "h" if count < 32767 else "i"

    def shown(self, values: Any, names: Names) -> Any:
        """Return the names of codes."""
        import pandas as pd

        dtype = category(self.of(names.directory), ordered=self.ordered)
        return pd.Categorical.from_codes(values, dtype=dtype)

    def plain(self, values: Series[Any]) -> NDArray[Any]:
        """Return the codes of names, -1 where they are missing."""
        return values.cat.codes.to_numpy()

    def labels(self, values: Any, names: Names) -> list[str]:
        """Return all names of the run."""
        return list(dict.fromkeys(self.of(names.directory)))

    def category(self, names: Names, values: Series[Any]) -> CategoricalDtype | None:
        """Return the type with all names of the run."""
        return category(self.of(names.directory), ordered=self.ordered)


@dataclass(frozen=True, slots=True)
class SpelledName(Name):
    """Names that are reported as texts.

    Attributes:
        more: Whether there may be others than those, which become categories, too.
    """

    coded_by = "texts"

    more: bool = False
    typecode: str = "i"

    def array_type(self, names: Names) -> str:
        """Return the type of the codes of texts."""
        return self.typecode

    def default(self) -> str:
        """Return the empty text."""
        return repr("")

    def shown(self, values: Any, names: Names) -> Any:
        """Return the names."""
        import pandas as pd

        texts = names.texts.decoded(values)
        known = self.of(names.directory)
        return pd.Categorical(texts, dtype=category([*known, *texts] if self.more else known))

    def recorded(self, values: Any, names: Names) -> NDArray[Any]:
        """Return the names, None where they are missing."""
        return names.texts.decoded(values)

    def plain(self, values: Series[Any]) -> NDArray[Any]:
        """Return the names, None where they are missing."""
        return values.astype(object).where(values.notna(), None).to_numpy()

    def labels(self, values: Any, names: Names) -> list[str]:
        """Return all names of the run, and the others that there are."""
        more = (text for text in names.texts.decoded(values) if text) if self.more else ()
        return list(dict.fromkeys([*self.of(names.directory), *more]))

    def category(self, names: Names, values: Series[Any]) -> CategoricalDtype | None:
        """Return the type with all names of the run, and those that the file has."""
        known = self.of(names.directory)
        return category([*known, *values.dropna().unique()] if self.more else known)


@dataclass(frozen=True, slots=True)
class Outcome(Kind):
    """Outcomes, which are reported as texts; what never ends is ``unfinished``."""

    coded_by = "outcomes"

    dtype: str = "category"
    typecode: str = "b"
    missing: float | None = OUTCOMES.index("unfinished")

    def default(self) -> None:
        """Return None: what ends has an outcome."""

    def shown(self, values: Any, names: Names) -> Any:
        """Return the outcomes of codes."""
        import pandas as pd

        return pd.Categorical.from_codes(values, dtype=category([*names.outcomes][1:]))

    def plain(self, values: Series[Any]) -> NDArray[Any]:
        """Return the codes of outcomes, -1 where they are missing."""
        return values.cat.codes.to_numpy()

    def labels(self, values: Any, names: Names) -> list[str]:
        """Return all outcomes of the run."""
        return [*names.outcomes][1:]

    def category(self, names: Names, values: Series[Any]) -> CategoricalDtype | None:
        """Return the type with all outcomes of the run."""
        return category([*names.outcomes][1:])


@dataclass(frozen=True, slots=True)
class Tenant(Kind):
    """Tenants, of which only those that occur are categories; derived as ``keys`` of two numbers.

    A name that several streams have is one tenant. A tenant's number is -1 where there is none.
    """

    dtype: str = "category"

    def shown(self, values: Any, names: Names) -> Any:
        """Return the names of keys."""
        import pandas as pd

        codes, labels = self._coded(values, names)
        return pd.Categorical.from_codes(codes, dtype=category(labels))

    def recorded(self, values: Any, names: Names) -> NDArray[Any]:
        """Return the codes of names, -1 where they are missing."""
        return self._coded(values, names)[0]

    def plain(self, values: Series[Any]) -> NDArray[Any]:
        """Return the codes of names, -1 where they are missing."""
        return values.cat.codes.to_numpy()

    def labels(self, values: Any, names: Names) -> list[str]:
        """Return the names that occur, by stream and number."""
        return self._coded(values, names)[1]

    def category(self, names: Names, values: Series[Any]) -> CategoricalDtype | None:
        """Return the type that the file has; there are no names where it is missing throughout."""
        return category(values.cat.categories if hasattr(values, "cat") else ())

    def _coded(self, values: Any, names: Names) -> tuple[NDArray[np.int32], list[str]]:
        stream, number = parts_of(values)
        found: dict[str, int] = {}
        codes = np.full(len(number), -1, dtype=np.int32)
        for code, info in enumerate(names.directory.streams):
            of_stream = np.flatnonzero((stream == code) & (number >= 0))
            if not len(of_stream):
                continue
            counts = np.bincount(number[of_stream])
            seen = np.flatnonzero(counts)
            place = np.zeros(len(counts), dtype=np.int32)
            place[seen] = [found.setdefault(info.tenant_id(n), len(found)) for n in seen.tolist()]
            codes[of_stream] = place[number[of_stream]]
        return codes, list(found)


@dataclass(frozen=True, slots=True)
class RequestId(Kind):
    """Names of requests, derived as ``keys`` of their stream and their number in it."""

    dtype: str = "str"

    def shown(self, values: Any, names: Names) -> Any:
        """Return the names, made a chunk at a time."""
        import pandas as pd
        import pyarrow as pa
        import pyarrow.compute as pc

        text = pa.large_string()
        prefixes = pa.array(self._prefixes(names), text)
        chunks = []
        for start in range(0, len(values), _CHUNK_ROWS):
            stream, index = parts_of(values[start : start + _CHUNK_ROWS])
            number = pc.cast(pa.array(index), text)
            prefix = prefixes.take(pa.array(stream))
            chunks.append(pc.binary_join_element_wise(prefix, number, pa.scalar("", text)))
        return pd.array(pa.chunked_array(chunks, text), dtype="str")

    def texts(self, values: Any, names: Names) -> list[str]:
        """Return the names."""
        prefixes = self._prefixes(names)
        stream, index = (part.tolist() for part in parts_of(values))
        return [f"{prefixes[code]}{number}" for code, number in zip(stream, index, strict=True)]

    def _prefixes(self, names: Names) -> list[str]:
        return [stream.request_id(0)[:-1] for stream in names.directory.streams]


_CHUNK_ROWS = 65536


def keys(high: NDArray[Any], low: NDArray[Any]) -> NDArray[np.int64]:
    """Return one number for each pair of numbers, of which *low* is at least -1."""
    pairs: NDArray[np.int64] = (high.astype(np.int64) << 33) + (low.astype(np.int64) + 1)
    return pairs


def parts_of(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the two numbers of each of ``keys``."""
    return values >> 33, (values & ((1 << 33) - 1)) - 1


def category(names: Iterable[str], *, ordered: bool = False) -> CategoricalDtype:
    """Return a categorical type over *names*, in their order and without repetitions."""
    import pandas as pd

    unique = list(dict.fromkeys(names))
    return pd.CategoricalDtype(pd.Index(unique, dtype="str"), ordered=ordered)


INSTANT = Kind("float64", "d", None, "s")
"""A time of the simulation that is always known."""
SECONDS = Kind("float64", "d", math.nan, "s")
SLOT_SECONDS = Kind("float64", "d", math.nan, "slot-seconds")
USD = Kind("float64", "d", math.nan, "USD")
USD_PER_HOUR = Kind("float64", "d", math.nan, "USD/h")
SHARE = Kind("float64", "d", math.nan, "share")
SCORE = Kind("float64", "d", math.nan)
COUNT = Kind("int32", "i")
"""A number that is never missing."""
NUMBER = Kind("Int32", "i", -1)
TOKENS = Kind("Int32", "i", -1, "tokens")
DEPTH = Kind("int32", "i", None, "requests")
DEPTH_KNOWN = Kind("Int32", "i", -1, "requests")
SLOTS = Kind("int64", unit="requests")
FLAG = Kind("bool", "b")
FLAG_KNOWN = Kind("boolean", "b", -1)
"""1 or 0, -1 where it is not known."""
ROW = Kind("uint32", "I")
"""A number from 0 that is never missing: a row of another table, a request of a stream."""
REQUEST_ID = RequestId()
TEXT = Text()
TENANT = Tenant()
OUTCOME = Outcome()
STREAM = Name(of=lambda directory: [stream.name for stream in directory.streams])
CAPABILITY = Name(of=lambda directory: [stream.capability for stream in directory.streams])
PRIVACY = Name(of=lambda _: [level.name.lower() for level in PrivacyLevel], ordered=True)
REGION = Name(of=lambda directory: directory.regions)
GATEWAY = Name(of=lambda directory: directory.gateways)
NODE = Name(of=lambda directory: [node.name for node in directory.nodes])
POOL = Name(of=lambda directory: [node.pool for node in directory.nodes])
GATEWAY_NAME = SpelledName(of=lambda directory: directory.gateways)
EVENT_KIND = SpelledName(of=lambda _: EVENT_KINDS, more=True)
