"""Who sends: tenants with unequal shares of a stream, and perhaps sizes of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.checks import not_negative
from fedsim.workload.popularity import zipf_shares
from fedsim.workload.tokens import TokenSource


class Senders(Protocol):
    """The tenants of a stream, numbered from 0."""

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of each tenant; they add up to 1."""
        ...

    @property
    def names(self) -> Sequence[str] | None:
        """The name of each tenant, or None for ``<stream>-tenant-<number>``."""
        ...

    @property
    def tokens(self) -> Sequence[TokenSource | None]:
        """The token counts of each tenant that has its own, None for the stream's; may be empty."""
        ...


@dataclass(frozen=True, slots=True)
class Tenants:
    """Tenants that are alike but for their shares, which follow Zipf's law.

    Tenant i, counted from 0, sends a share proportional to ``(i + 1) ** -zipf``. With 500 tenants
    and an exponent of 1.1 the first sends 19 %, the first ten together 51 %.

    Attributes:
        count: Number of tenants, >= 1.
        zipf: Exponent, >= 0; 0 gives all the same share.
    """

    count: int
    zipf: float = 0.0

    def __post_init__(self) -> None:
        not_negative("tenants", zipf=self.zipf)
        if self.count < 1:
            message = f"the count of tenants must be at least 1, not {self.count}"
            raise ValueError(message)

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of each tenant, largest first; they add up to 1."""
        return zipf_shares(self.count, self.zipf)

    @property
    def names(self) -> None:
        """None: they are numbered."""
        return None

    @property
    def tokens(self) -> tuple[()]:
        """None of them has token counts of its own."""
        return ()


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant with a name.

    Attributes:
        name: The name, which stands in the tables as it is.
        share: Weight of its share, >= 0; the weights need not add up to 1.
        tokens: Its token counts, or None for the stream's.
    """

    name: str
    share: float
    tokens: TokenSource | None = None


@dataclass(frozen=True, slots=True)
class NamedTenants:
    """Tenants with names, and with shares and sizes of their own.

    Attributes:
        members: The tenants, at least one with a share above 0.
    """

    members: tuple[Tenant, ...]

    def __post_init__(self) -> None:
        for member in self.members:
            not_negative(f"the tenant {member.name}", share=member.share)
        if not sum(member.share for member in self.members) > 0.0:
            message = "the shares of the tenants add up to 0: give one a share"
            raise ValueError(message)

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of each tenant; they add up to 1."""
        weights = np.array([member.share for member in self.members], dtype=np.float64)
        shares: NDArray[np.float64] = weights / weights.sum()
        return shares

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each."""
        return tuple(member.name for member in self.members)

    @property
    def tokens(self) -> tuple[TokenSource | None, ...]:
        """The token counts of each, None for the stream's."""
        return tuple(member.tokens for member in self.members)
