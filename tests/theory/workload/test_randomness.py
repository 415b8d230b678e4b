"""Streams and keyed uniforms against the uniform distribution and against each other."""

from __future__ import annotations

import numpy as np
import pytest

from fedsim.kernel.streams import (
    ERROR,
    JITTER,
    SERVICE,
    Streams,
    keyed_uniforms,
    python_random,
)
from tests.theory.workload.uniformity import (
    P_LEAST,
    Z_MOST,
    chi_square_p,
    correlation_z,
    joint_p,
    ks_p,
)

COUNT = 200_000

RANDOM_KEYS = Streams(5).generator("workload/chat/key").integers(0, 2**64, COUNT, dtype=np.uint64)
CONSECUTIVE_KEYS = np.arange(COUNT, dtype=np.uint64)


@pytest.mark.parametrize("keys", [RANDOM_KEYS, CONSECUTIVE_KEYS], ids=["random", "consecutive"])
class TestKeyedUniforms:
    @pytest.mark.parametrize("purpose", [SERVICE, ERROR, JITTER])
    @pytest.mark.parametrize("attempt", [1, 2, 3])
    def test_uniform(self, keys, purpose, attempt):
        """They are uniform, in the large and in 4,096 cells."""
        uniforms = keyed_uniforms(keys, purpose, attempt)

        assert ks_p(uniforms) > P_LEAST
        assert chi_square_p(np.histogram(uniforms, 4096, (0, 1))[0]) > P_LEAST

    def test_last_bits(self, keys):
        """Also the low bits are even: the next twelve after the first twenty fill their cells."""
        uniforms = keyed_uniforms(keys, SERVICE, 1)

        assert chi_square_p(np.histogram((uniforms * 2**20) % 1.0, 4096, (0, 1))[0]) > P_LEAST

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ((SERVICE, 1), (SERVICE, 2)),
            ((SERVICE, 1), (SERVICE, 3)),
            ((SERVICE, 2), (SERVICE, 3)),
            ((SERVICE, 1), (ERROR, 1)),
            ((SERVICE, 1), (JITTER, 1)),
            ((ERROR, 1), (JITTER, 1)),
            ((SERVICE, 2), (ERROR, 1)),
            ((SERVICE, 1), (ERROR, 2)),
        ],
    )
    def test_independent(self, keys, one, other):
        """Two attempts, or two purposes, of a request have nothing to do with each other."""
        first, second = keyed_uniforms(keys, *one), keyed_uniforms(keys, *other)

        assert joint_p(first, second) > P_LEAST
        assert abs(correlation_z(first, second)) < Z_MOST

    def test_neighbours_are_independent(self, keys):
        """Nor have two requests in a row."""
        uniforms = keyed_uniforms(keys, SERVICE, 1)

        assert joint_p(uniforms[:-1], uniforms[1:]) > P_LEAST
        assert abs(correlation_z(uniforms[:-1], uniforms[1:])) < Z_MOST


def test_one_bit_of_the_key_changes_half_the_bits():
    """Every bit of the key moves every bit of the uniform with a chance of one half."""
    keys = RANDOM_KEYS[:4000]
    before = (keyed_uniforms(keys, SERVICE, 1) * 2**53).astype(np.uint64) >> np.uint64(1)
    for bit in range(64):
        flipped = keys ^ np.uint64(1 << bit)
        after = (keyed_uniforms(flipped, SERVICE, 1) * 2**53).astype(np.uint64) >> np.uint64(1)
        changed = before ^ after
        shares = [
            float(((changed >> np.uint64(place)) & np.uint64(1)).mean()) for place in range(52)
        ]
        # 64 x 52 shares with a standard error of 0.008: the farthest of them lies within five.
        assert max(abs(share - 0.5) for share in shares) < 0.04


class TestStreams:
    NAMES = (
        "workload/chat/arrivals",
        "workload/chat/origin",
        "workload/code/arrivals",
        "faults/0/us-chat-1",
        "faults/0/us-chat-2",
    )

    @pytest.mark.parametrize("name", NAMES)
    def test_uniform(self, name):
        """A stream is uniform, whichever interface draws from it."""
        drawn = python_random(11, name)

        assert ks_p(Streams(11).generator(name).random(COUNT)) > P_LEAST
        assert ks_p(np.array([drawn.random() for _ in range(COUNT // 4)])) > P_LEAST

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_names_are_uncorrelated(self, seed):
        """No two names have anything to do with each other."""
        draws = [Streams(seed).generator(name).random(COUNT) for name in self.NAMES]
        for later, other in enumerate(draws):
            for one in draws[:later]:
                assert abs(correlation_z(one, other)) < Z_MOST
                assert joint_p(one, other) > P_LEAST

    def test_seeds_are_uncorrelated(self):
        """Nor have the replications of a study, whose seeds follow each other."""
        first = np.array([Streams(seed).generator("a").random() for seed in range(2000)])

        assert ks_p(first) > P_LEAST
        assert abs(correlation_z(first[:-1], first[1:])) < Z_MOST
