"""Who sends: tenants with unequal shares of a stream."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.checks import not_negative


@dataclass(frozen=True, slots=True)
class Tenants:
    """The tenants of a stream, whose shares follow Zipf's law.

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
        weights = np.arange(1, self.count + 1, dtype=np.float64) ** -self.zipf
        return weights / math.fsum(weights)

    def name(self, stream: str, index: int) -> str:
        """Return the name of the tenant *index* of a stream, such as ``chat-tenant-17``."""
        return f"{stream}-tenant-{index}"
