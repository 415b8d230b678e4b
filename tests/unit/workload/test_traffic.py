"""Traffic: what a stream's arrivals are made of, and that each part has a stream of its own."""

from __future__ import annotations

import dataclasses
import math
import pickle

import numpy as np
import pytest

from fedsim.kernel.streams import SERVICE, Streams, keyed_uniform
from fedsim.workload.arrival_blocks import ArrivalBlock
from fedsim.workload.arrivals import Poisson, TraceReplay
from fedsim.workload.distributions import Constant, Exponential, Lognormal, Pareto
from fedsim.workload.mean_sizes import MeanSizes
from fedsim.workload.sizes import Sizes
from fedsim.workload.tenants import Tenants
from fedsim.workload.tokens import Tokens
from fedsim.workload.traces.trace import Trace
from fedsim.workload.traffic import Traffic

PROMPTS_AND_ANSWERS = Tokens(
    Lognormal.from_median_p99(1020, 4142), Lognormal.from_median_p99(129, 601)
)
CHAT = Traffic(
    name="chat",
    origins=(("us-east", 5.0), ("eu-west", 3.0), ("ap-south", 2.0)),
    arrivals=Poisson(50.0),
    sizes=Sizes(PROMPTS_AND_ANSWERS),
    tenants=Tenants(count=500, zipf=1.1),
)
REPLAY = TraceReplay(Trace(np.array([0.0, 1.0, 5.0]), np.array([10, 20, 60]), np.array([1, 2, 9])))


def with_prompts(prompt):
    """Return chat with other prompts, and answers of unknown length."""
    return dataclasses.replace(CHAT, sizes=Sizes(Tokens(prompt)))


def collect(traffic, seed=7, until_s=20.0, **options):
    """Return all arrivals as one block of lists."""
    names = [field.name for field in dataclasses.fields(ArrivalBlock)]
    together = ArrivalBlock(**{name: [] for name in names})
    for block in traffic.blocks(Streams(seed), until_s, **options):
        for name in names:
            values = getattr(block, name)
            if values is None:  # no request has details
                values = [None] * len(block)
            assert len(values) == len(block) > 0
            getattr(together, name).extend(values)
    return together


class TestBlocks:
    def test_are_lists_of_python_numbers(self):
        """Nothing of numpy reaches the world, where it would be slow."""
        block = collect(CHAT)

        assert {type(value) for value in block.times_s + block.service_uniforms} == {float}
        counts = block.origins + block.tenants + block.prompt_tokens + block.output_tokens
        assert {type(value) for value in counts + block.keys} == {int}

    @pytest.mark.parametrize("block_size", [1, 7, 300])
    def test_block_size(self, block_size):
        """The size of the blocks changes nothing."""
        assert collect(CHAT, block_size=block_size) == collect(CHAT)

    def test_end(self):
        """A longer run begins with the arrivals of a shorter one."""
        short, long = collect(CHAT, until_s=5.0), collect(CHAT, until_s=120.0)

        for field in dataclasses.fields(ArrivalBlock):
            part = getattr(short, field.name)
            assert getattr(long, field.name)[: len(part)] == part

    def test_seed(self):
        """Another seed changes every part."""
        one, other = collect(CHAT, seed=1), collect(CHAT, seed=2)

        for field in dataclasses.fields(ArrivalBlock):
            assert getattr(one, field.name) != getattr(other, field.name)

    def test_name(self):
        """Two streams that differ in nothing but their name draw nothing in common."""
        one, other = collect(CHAT), collect(dataclasses.replace(CHAT, name="code"))

        assert one.times_s != other.times_s
        assert not set(one.keys) & set(other.keys)

    @pytest.mark.parametrize(
        ("change", "unlike"),
        [
            ({"tenants": None}, {"tenants"}),
            ({"tenants": Tenants(3)}, {"tenants"}),
            ({"sizes": Sizes(Tokens(None, PROMPTS_AND_ANSWERS.output))}, {"prompt_tokens"}),
            (
                {"sizes": Sizes(Tokens(PROMPTS_AND_ANSWERS.prompt, Constant(5.0)))},
                {"output_tokens"},
            ),
            ({"origins": (("us-east", 1.0),)}, {"origins"}),
            ({"arrivals": Poisson(50.0)}, set()),
        ],
    )
    def test_parts_are_independent(self, change, unlike):
        """To change one part of the traffic leaves all the others as they were."""
        before, after = collect(CHAT), collect(dataclasses.replace(CHAT, **change))

        differing = {
            field.name
            for field in dataclasses.fields(ArrivalBlock)
            if getattr(before, field.name) != getattr(after, field.name)
        }
        assert differing == unlike

    def test_rate_leaves_the_requests(self):
        """At another rate the n-th request is the same request at another time."""
        before, after = collect(CHAT), collect(dataclasses.replace(CHAT, arrivals=Poisson(25.0)))

        count = len(after)
        assert count < len(before)
        assert after.keys == before.keys[:count]
        assert after.prompt_tokens == before.prompt_tokens[:count]
        assert after.origins == before.origins[:count]

    def test_service_uniforms_belong_to_the_keys(self):
        """The luck that comes with a block is that of the first attempt."""
        block = collect(CHAT)

        assert block.service_uniforms == [keyed_uniform(key, SERVICE, 1) for key in block.keys]
        assert len(set(block.keys)) == len(block)

    def test_repeats_and_pickles(self):
        """Traffic holds no state: a second pass, or a pass elsewhere, gives the same."""
        assert collect(CHAT) == collect(CHAT)
        assert collect(pickle.loads(pickle.dumps(CHAT))) == collect(CHAT)


class TestOrigins:
    def test_without_weight(self):
        """A region without weight sends nothing, wherever it stands."""
        traffic = dataclasses.replace(
            CHAT, origins=(("a", 0.0), ("b", 1.0), ("c", 0.0), ("d", 1.0), ("e", 0.0))
        )

        assert set(collect(traffic).origins) == {1, 3}

    @pytest.mark.parametrize(
        ("origins", "message"),
        [
            ((), "the weights of the origins of chat add up to 0: give one a share"),
            ((("a", 0.0), ("b", 0.0)), "add up to 0"),
            ((("a", 1.0), ("b", -0.5)), "the weight of b among the origins of chat must be at"),
            ((("a", math.nan),), "the weight of a among the origins of chat"),
        ],
    )
    def test_refusals(self, origins, message):
        """Weights that are no shares are refused, by the name of the region."""
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(CHAT, origins=origins)


class TestTokens:
    def test_are_whole_and_positive(self):
        """A request has at least one token of each kind, and whole ones."""
        block = collect(with_prompts(Exponential(0.3)))

        assert min(block.prompt_tokens) == 1
        assert collect(with_prompts(Constant(2.6))).prompt_tokens[0] == 3

    def test_are_bounded(self):
        """Also the heaviest tail gives a count that fits in 32 bits."""
        block = collect(with_prompts(Pareto(1e9, 0.1)))

        assert max(block.prompt_tokens) == 2**31 - 1

    def test_unknown(self):
        """What is not given is -1, and its mean missing."""
        traffic = dataclasses.replace(CHAT, sizes=Sizes(), tenants=None)
        block = collect(traffic)

        assert set(block.prompt_tokens) == set(block.output_tokens) == set(block.tenants) == {-1}
        assert math.isnan(traffic.mean_sizes.prompt_tokens)
        assert math.isnan(traffic.mean_sizes.output_tokens)
        assert not traffic.has_tokens

    def test_half_known(self):
        """Prompts alone are not enough to say that tokens are known."""
        traffic = with_prompts(PROMPTS_AND_ANSWERS.prompt)

        assert not traffic.has_tokens
        assert traffic.mean_sizes.prompt_tokens == CHAT.mean_sizes.prompt_tokens

    def test_means(self):
        """The means are those of the distributions, and the draws have them."""
        block = collect(CHAT, until_s=2000.0)

        assert CHAT.has_tokens
        assert np.mean(block.prompt_tokens) == pytest.approx(
            CHAT.mean_sizes.prompt_tokens, rel=0.01
        )
        assert np.mean(block.output_tokens) == pytest.approx(
            CHAT.mean_sizes.output_tokens, rel=0.01
        )


class TestReplay:
    def test_rows(self):
        """The sizes are the rows' own; all else is drawn as ever."""
        traffic = Traffic("replay", (("a", 1.0), ("b", 1.0)), REPLAY, tenants=Tenants(9))
        block = collect(traffic)

        assert block.times_s == [0.0, 1.0, 5.0]
        assert block.prompt_tokens == [10, 20, 60]
        assert block.output_tokens == [1, 2, 9]
        assert len(set(block.keys)) == 3
        assert collect(traffic, block_size=2) == block

    def test_means(self):
        """The means are those of the whole trace."""
        traffic = Traffic("replay", (("a", 1.0),), REPLAY)

        assert traffic.has_tokens
        assert traffic.mean_sizes == MeanSizes(30.0, 4.0, math.nan, math.nan)

    def test_refuses_other_tokens(self):
        """A trace and a distribution of tokens contradict each other."""
        with pytest.raises(ValueError, match=r"replay replays a trace, .*: leave out tokens"):
            Traffic("replay", (("a", 1.0),), REPLAY, Sizes(Tokens(Constant(1.0))))


class TestTenants:
    def test_shares(self):
        """With exponent 1 and three tenants the shares are 6, 3 and 2 elevenths."""
        assert Tenants(3, 1.0).shares == pytest.approx([6 / 11, 3 / 11, 2 / 11])
        assert Tenants(4).shares.tolist() == [0.25] * 4

    def test_docstring(self):
        """The shares that the documentation quotes are right."""
        shares = Tenants(500, 1.1).shares

        assert shares[0] == pytest.approx(0.19, abs=0.005)
        assert shares[:10].sum() == pytest.approx(0.51, abs=0.005)

    def test_names(self):
        """Tenants that are alike are numbered, and the stream names them."""
        assert Tenants(20).names is None

    def test_refusals(self):
        """No tenants, or an exponent below 0, are refused."""
        with pytest.raises(ValueError, match="the count of tenants must be at least 1, not 0"):
            Tenants(0)
        with pytest.raises(ValueError, match="the zipf of tenants must be at least 0"):
            Tenants(3, -1.0)
