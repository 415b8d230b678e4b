"""Tenants with arrivals of their own, merged."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from fedsim.kernel.streams import Streams
from fedsim.workload.arrivals import GammaRenewal, Modulated, Poisson, Regular, Steps, Zone
from fedsim.workload.distributions import Constant
from fedsim.workload.sizes import Sizes
from fedsim.workload.superposition import Superposition, in_blocks, merged
from fedsim.workload.tenants import NamedTenants, Tenant
from fedsim.workload.tokens import Tokens
from fedsim.workload.traffic import Traffic
from tests.unit.workload.test_traffic import collect

TOGETHER = Superposition(
    (("acme", GammaRenewal(20.0, 3.0)), ("globex", Poisson(5.0)), ("initech", Regular(2.0)))
)
TRAFFIC = Traffic("chat", (("us", 1.0),), TOGETHER)


def times_of(tenant, block):
    """Return when a tenant's requests come."""
    rows = zip(block.times_s, block.tenants, strict=True)
    return [time_s for time_s, each in rows if each == tenant]


class TestMerging:
    def test_is_a_stable_sort(self):
        """Times of several sources come in order; of equal ones the lower source's is first."""
        sources = [[[1.0, 2.0], [2.0, 5.0]], [[2.0], [2.0, 2.5]], [[0.5, 2.0, 9.0]]]
        parts = list(merged([iter([np.array(each) for each in blocks]) for blocks in sources]))
        times_s = np.concatenate([part for part, _ in parts]).tolist()
        numbers = np.concatenate([part for _, part in parts]).tolist()

        flat = [(t, n) for n, blocks in enumerate(sources) for block in blocks for t in block]
        assert list(zip(times_s, numbers, strict=True)) == sorted(flat)

    def test_blocks(self):
        """Parts of any length become blocks of one."""
        parts: list[Any] = [(np.arange(n) + 0.0, np.arange(n)) for n in (3, 0, 5, 1)]

        assert [len(times_s) for times_s, _ in in_blocks(iter(parts), 4)] == [4, 4, 1]
        assert list(in_blocks(iter([]), 4)) == []


class TestSuperposition:
    @pytest.mark.parametrize("block_size", [1, 7, 300])
    def test_block_size(self, block_size):
        """The size of the blocks changes nothing, also where tenants send at equal times."""
        equal = Superposition((("a", TOGETHER.processes[2][1]), ("b", Poisson(3.0))))
        for arrivals in (TOGETHER, equal):
            traffic = dataclasses.replace(TRAFFIC, arrivals=arrivals)
            assert collect(traffic, block_size=block_size) == collect(traffic)

    def test_tenants_are_independent(self):
        """A tenant less leaves the others' times as they were."""
        fewer = Superposition((TOGETHER.processes[0], TOGETHER.processes[2]))
        before, after = collect(TRAFFIC), collect(dataclasses.replace(TRAFFIC, arrivals=fewer))

        assert times_of(0, after) == times_of(0, before)
        assert times_of(1, after) == times_of(2, before)
        assert before.times_s == sorted(before.times_s)

    def test_rates(self):
        """The rates are the sums."""
        assert TOGETHER.mean_rps(60.0) == TOGETHER.peak_rps(60.0) == 27.0
        assert TOGETHER.tenant_names == TRAFFIC.tenant_names == ("acme", "globex", "initech")
        assert not TRAFFIC.has_tokens

    def test_zones(self):
        """Where a tenant follows local time its origins do, and the others' keep their weights."""
        day = Steps((0.0, 5.0), (1.0, 0.0), 10.0)
        zoned = Modulated(Poisson(20.0), (day,), (Zone(1.0), Zone(1.0, 5.0), Zone(2.0)))
        arrivals = Superposition((("a", Poisson(20.0)), ("b", zoned)), (1.0, 1.0, 2.0))
        origins = (("us", 1.0), ("eu", 1.0), ("ap", 2.0))
        block = collect(dataclasses.replace(TRAFFIC, origins=origins, arrivals=arrivals))
        rows = list(zip(block.times_s, block.tenants, block.origins, strict=True))

        assert {o for t, tenant, o in rows if tenant == 1 and t % 10.0 < 5.0} == {0, 2}
        assert {o for t, tenant, o in rows if tenant == 1 and t % 10.0 >= 5.0} == {1}
        assert {o for t, tenant, o in rows if tenant == 0 and t % 10.0 < 5.0} == {0, 1, 2}

    def test_sizes(self):
        """Sizes are the tenants', and their means weigh by rates."""
        tenants = NamedTenants(
            (
                Tenant("acme", 20.0),
                Tenant("globex", 5.0, Tokens(Constant(7.0), Constant(3.0))),
                Tenant("initech", 2.0),
            )
        )
        sizes = Sizes(Tokens(Constant(100.0), Constant(10.0)))
        traffic = dataclasses.replace(TRAFFIC, sizes=sizes, tenants=tenants)
        block = collect(traffic)

        assert {
            (tenant, prompt)
            for tenant, prompt in zip(block.tenants, block.prompt_tokens, strict=True)
        } == {(0, 100), (1, 7), (2, 100)}
        assert traffic.mean_sizes.prompt_tokens == pytest.approx((22 * 100 + 5 * 7) / 27)

    def test_has_no_single_stream(self):
        """Its times cannot be drawn from one generator."""
        with pytest.raises(NotImplementedError):
            TOGETHER.times(Streams(1).generator("x"), 1.0)
