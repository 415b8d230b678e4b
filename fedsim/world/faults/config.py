"""A fault of a scenario: what happens, to whom, and when."""

from __future__ import annotations

from dataclasses import dataclass

from fedsim.workload.distributions import Distribution
from fedsim.world.faults.kind import FaultKind


@dataclass(frozen=True, slots=True)
class FaultConfig:
    """Something that goes wrong.

    Exactly one of *region*, *pool*, *pools*, *node* and *ends* names what it strikes. A scripted
    fault has *at_s* and *lasts_s*; a random one has *mtbf_s* and *mttr_s*, and strikes each node by
    itself, or what the kind says.

    Attributes:
        kind: What happens.
        region: Region struck, or None.
        pool: Pool struck, or None.
        node: Node struck, or None.
        at_s: Start, in seconds of simulated time.
        lasts_s: Duration in seconds; None for a fault that ends by itself.
        mtbf_s: Mean time up in seconds.
        mttr_s: Mean time to repair in seconds.
        pools: Pools struck.
        share: Share of the nodes that are struck, more than 0 to 1: at least one of them.
        up: Times up, with a mean of *mtbf_s*; None for exponential ones.
        down: Times to repair, with a mean of *mttr_s*; None for exponential ones.
        ends: The two ends of the messages struck, each a region, gateway, pool or node; or None.
        one_way: Whether only messages from the first end to the second are struck.
    """

    kind: FaultKind
    region: str | None = None
    pool: str | None = None
    node: str | None = None
    at_s: float | None = None
    lasts_s: float | None = None
    mtbf_s: float | None = None
    mttr_s: float | None = None
    pools: tuple[str, ...] = ()
    share: float = 1.0
    up: Distribution | None = None
    down: Distribution | None = None
    ends: tuple[str, str] | None = None
    one_way: bool = False

    @property
    def subject(self) -> str:
        """What the events table calls that which it strikes, such as ``us-east <> eu-west``."""
        if self.ends is not None:
            return f" {'>' if self.one_way else '<>'} ".join(self.ends)
        return self.node or self.pool or self.region or "+".join(self.pools)

    @property
    def scripted(self) -> bool:
        """Whether it strikes once, rather than again and again at random."""
        return self.mtbf_s is None
