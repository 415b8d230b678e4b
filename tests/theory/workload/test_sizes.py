"""Sizes against what their definitions say of their distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedsim.kernel.streams import Streams
from fedsim.workload.arrivals import Poisson
from fedsim.workload.conversations import Conversation
from fedsim.workload.distributions import Constant, Exponential
from fedsim.workload.pictures import BaseModels, PictureSizes
from fedsim.workload.popularity import zipf_shares
from fedsim.workload.prefixes import Prefixes
from fedsim.workload.sizes import Sizes
from fedsim.workload.tenants import Tenants
from fedsim.workload.tokens import Tokens, TokenSamples
from fedsim.workload.traffic import Traffic
from tests.theory.workload.uniformity import P_LEAST, Z_MOST, chi_square_p, correlation_z, ks_p

ORIGINS = (("us", 1.0),)
TOKENS = Tokens(Constant(50.0), Constant(20.0))
SEEDS = [1, 2, 3]


def requests(traffic, seed, until_s):
    """Return all blocks of arrivals."""
    return list(traffic.blocks(Streams(seed), until_s))


@pytest.mark.parametrize("seed", SEEDS)
class TestPopularity:
    def test_of_system_prompts(self, seed):
        """System prompts are used by Zipf's law."""
        prefixes = Prefixes(20, 1.2, Constant(500.0))
        traffic = Traffic("chat", ORIGINS, Poisson(100.0), Sizes(TOKENS, prefixes=prefixes))
        firsts = [p.blocks[0] for b in requests(traffic, seed, 200.0) for p in b.details]
        _, counts = np.unique(firsts, return_counts=True)

        # Which is which is not told: the most frequent one is taken for the most popular.
        shares = np.sort(zipf_shares(20, 1.2))
        assert chi_square_p(np.sort(counts), shares) > P_LEAST

    def test_of_models(self, seed):
        """Base models are asked for by Zipf's law, where requests do not repeat others."""
        pictures = PictureSizes(Constant(30.0), Constant(1.0), BaseModels(10, 1.0))
        traffic = Traffic("art", ORIGINS, Poisson(100.0), Sizes(pictures=pictures))
        models = [p.model for b in requests(traffic, seed, 200.0) for p in b.details]
        counts = np.bincount(models, minlength=10)

        assert chi_square_p(counts, zipf_shares(10, 1.0)) > P_LEAST

    @pytest.mark.parametrize("tenants", [None, Tenants(30, 0.5)])
    def test_of_repeated_models(self, seed, tenants):
        """A request repeats its tenant's last model as often as published: 72 % of the time."""
        models = BaseModels(86, 1.0, 0.72)
        pictures = PictureSizes(Constant(30.0), Constant(1.0), models)
        traffic = Traffic("art", ORIGINS, Poisson(100.0), Sizes(pictures=pictures), tenants)
        last: dict[int, int] = {}
        repeats = []
        for block in requests(traffic, seed, 200.0):
            for tenant, each in zip(block.tenants, block.details, strict=True):
                if tenant in last:
                    repeats.append(each.model == last[tenant])
                last[tenant] = each.model
        error = math.sqrt(0.72 * 0.28 / len(repeats))

        # Who asks for a popular model repeats it by chance more often, so that repeats come in
        # runs: their mean has a variance some four times that of independent ones.
        assert abs(np.mean(repeats) - 0.72) < Z_MOST * 2.0 * error


@pytest.mark.parametrize("seed", SEEDS)
class TestSamples:
    def test_keep_their_correlation(self, seed):
        """Prompts and answers are as correlated as in the sample, by Fisher's transform."""
        rng = np.random.default_rng(5)
        prompt = np.rint(rng.lognormal(7.0, 1.0, 5000)).astype(np.int64)
        output = np.rint(prompt**-0.4 * rng.lognormal(7.0, 0.5, 5000)).astype(np.int64) + 1
        sizes = Sizes(TokenSamples(prompt, output))
        traffic = Traffic("chat", ORIGINS, Poisson(100.0), sizes)
        blocks = requests(traffic, seed, 300.0)
        drawn = [
            np.log([tokens for block in blocks for tokens in getattr(block, part)])
            for part in ("prompt_tokens", "output_tokens")
        ]
        expected = np.corrcoef(np.log(prompt), np.log(output))[0, 1]
        z = np.arctanh(np.corrcoef(np.array(drawn))[0, 1]) - np.arctanh(expected)

        assert expected < -0.5
        assert abs(z) * math.sqrt(len(drawn[0]) - 3) < Z_MOST


@pytest.mark.parametrize("seed", SEEDS)
class TestConversations:
    def test_lengths(self, seed):
        """Sessions have as many turns as their distribution says, after rounding, at least 1.

        Those under way at time 0 are met in one of the gaps between their turns, so that each
        length is as frequent among them as its gaps are.
        """
        users = self.sessions(seed)
        count = self.begun(users)
        turns = np.array([users.turns(user) for user in range(count)])
        begin = np.array([users.first_turn(user) == 0 for user in range(count)])
        lengths = np.arange(1, 1000)
        # Rounded to 1, 2, …: the first has all below 1.5.
        shares = np.diff(1.0 - np.exp(-(lengths + 0.5) / 5.0), prepend=0.0)

        for some, weights in ((turns[begin], shares), (turns[~begin], shares * (lengths - 1))):
            counts = np.bincount(np.minimum(some, 25), minlength=26)[1:]
            expected = np.append(weights[:24], weights[24:].sum()) / weights.sum()
            possible = expected > 0.0
            assert not counts[~possible].any()
            assert chi_square_p(counts[possible], expected[possible]) > P_LEAST

    def test_thinking(self, seed):
        """Think times have their mean, whatever the session and the turn."""
        users = self.sessions(seed)
        thinks_s = np.array(
            [
                users.turn(user, turn).think_s
                for user in range(min(self.begun(users), 1000))
                for turn in range(users.turns(user))
            ]
        )

        assert abs(thinks_s.mean() - 20.0) < Z_MOST * 20.0 / math.sqrt(len(thinks_s))

    def test_turns_are_independent(self, seed):
        """The luck of turns is uniform, and says nothing of the next turn's or session's."""
        conversation = Conversation(Constant(8.0), Constant(1.0))
        traffic = Traffic("chat", ORIGINS, Poisson(10.0), Sizes(TOKENS), None, conversation)
        users = traffic.users(Streams(seed), 500.0)
        luck = np.array(
            [
                [users.turn(user, turn).service_uniform for turn in range(8)]
                for user in range(self.begun(users))
            ]
        )

        assert ks_p(luck.ravel()) > P_LEAST
        assert abs(correlation_z(luck[:, :-1].ravel(), luck[:, 1:].ravel())) < Z_MOST
        assert abs(correlation_z(luck[:-1].ravel(), luck[1:].ravel())) < Z_MOST

    @staticmethod
    def sessions(seed):
        """Return the users of 500 s of sessions."""
        conversation = Conversation(Exponential(5.0), Exponential(20.0))
        traffic = Traffic("chat", ORIGINS, Poisson(10.0), Sizes(TOKENS), None, conversation)
        return traffic.users(Streams(seed), 500.0)

    @staticmethod
    def begun(users):
        """Return how many users begin."""
        return sum(len(block) for block in users.starts())
