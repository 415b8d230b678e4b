"""KEDA with at least one node: the HorizontalPodAutoscaler on an external metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fedsim.federation.settings import Apart, Seconds
from fedsim.world.scalers.preset import SignalName
from fedsim.world.scalers.ratio import Hpa, HpaSignal


@dataclass(frozen=True, slots=True, kw_only=True)
class KedaSignal(HpaSignal):
    """What KEDA goes by: a metric of the whole pool, of which each node has its part."""

    of: SignalName = "queue"
    lag_s: Seconds = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Keda(Hpa):
    """KEDA, which from one node on is a HorizontalPodAutoscaler on an external metric.

    Its polling interval and its cooldown period only matter to pools without nodes.
    """

    name = "keda"
    by_node = False
    counts = "total"

    signal: Annotated[KedaSignal, Apart()]
