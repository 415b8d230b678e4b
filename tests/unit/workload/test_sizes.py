"""Sizes beyond token counts: pairs, audio, pictures, system prompts and tenants of their own."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from fedsim.kernel.streams import Streams
from fedsim.workload.arrivals import Poisson
from fedsim.workload.details import Audio, Pictures
from fedsim.workload.distributions import Constant, Empirical, Exponential, Lognormal
from fedsim.workload.pictures import BaseModels, PictureSizes
from fedsim.workload.prefixes import Prefixes
from fedsim.workload.sizes import Sizes
from fedsim.workload.tenants import NamedTenants, Tenant, Tenants
from fedsim.workload.tokens import Tokens, TokenSamples
from fedsim.workload.traffic import Traffic
from tests.unit.workload.test_traffic import CHAT, collect

PREFIXES = Prefixes(20, 1.0, Lognormal.from_median_p99(600, 3000))
PICTURES = PictureSizes(
    Empirical((20, 30, 50)), Empirical((1, 1, 4)), BaseModels(86, 1.0, 0.72), Empirical((0, 1))
)


def with_sizes(**changes):
    """Return chat with other sizes."""
    return dataclasses.replace(CHAT, sizes=dataclasses.replace(CHAT.sizes, **changes))


ALL_KINDS = [
    with_sizes(prefixes=PREFIXES),
    with_sizes(audio_s=Exponential(30.0)),
    with_sizes(pictures=PICTURES),
]


class TestDetails:
    @pytest.mark.parametrize("traffic", ALL_KINDS)
    @pytest.mark.parametrize("block_size", [1, 7, 300])
    def test_block_size(self, traffic, block_size):
        """The size of the blocks changes nothing, not even who repeats whose model."""
        assert collect(traffic, block_size=block_size) == collect(traffic)

    @pytest.mark.parametrize("traffic", ALL_KINDS)
    def test_leave_the_rest_alone(self, traffic):
        """A stream that gets details keeps its times, origins, answers and luck."""
        before, after = collect(CHAT), collect(traffic)

        for part in ("times_s", "origins", "tenants", "output_tokens", "keys"):
            assert getattr(after, part) == getattr(before, part)
        assert None not in after.details

    def test_audio(self):
        """Audio has the length of its distribution, and its mean is known."""
        traffic = with_sizes(audio_s=Constant(30.0))

        assert set(collect(traffic).details) == {Audio(30.0)}
        assert traffic.mean_sizes.audio_s == 30.0
        assert math.isnan(CHAT.mean_sizes.audio_s)

    def test_pictures(self):
        """Counts are whole, and in the range of their distributions."""
        traffic = with_sizes(pictures=PICTURES)
        pictures = collect(traffic).details

        assert {type(each) for each in pictures} == {Pictures}
        assert {each.steps for each in pictures} == {20, 30, 50}
        assert {each.images for each in pictures} == {1, 4}
        assert {each.adapters for each in pictures} == {0, 1}
        assert traffic.mean_sizes.picture_steps == pytest.approx(100 / 3 * 2)

    def test_one_kind(self):
        """A request cannot be of two kinds."""
        with pytest.raises(ValueError, match="a request is one of audio, pictures and a prompt"):
            Sizes(audio_s=Constant(1.0), pictures=PICTURES)


class TestPrefixes:
    def test_come_on_top(self):
        """A prompt is its system prompt and what was drawn before there was one."""
        before, after = collect(CHAT), collect(with_sizes(prefixes=PREFIXES))
        added = {
            (prompt.blocks[0], more - less)
            for less, more, prompt in zip(
                before.prompt_tokens, after.prompt_tokens, after.details, strict=True
            )
        }

        assert len(added) == len({first for first, _ in added}) == 20

    def test_are_shared(self):
        """Requests share the full blocks of their system prompt, and nothing else."""
        before, after = collect(CHAT), collect(with_sizes(prefixes=PREFIXES))
        owners: dict[int, set[int]] = {}
        shared = 0
        for number, (own, tokens, prompt) in enumerate(
            zip(before.prompt_tokens, after.prompt_tokens, after.details, strict=True)
        ):
            assert prompt.block_tokens == 16
            assert len(prompt.blocks) == math.ceil(tokens / 16)
            full = (tokens - own) // 16
            shared += full
            for block in prompt.blocks[full:]:
                assert owners.setdefault(block, {number}) == {number}
            for block in prompt.blocks[:full]:
                assert owners.setdefault(block, {-1}) == {-1}
        lengths = {block for block, owner in owners.items() if owner == {-1}}

        assert 0 < len(lengths) < shared

    def test_mean(self):
        """The mean prompt counts them."""
        traffic = with_sizes(prefixes=Prefixes(5, 0.0, Constant(700.0)))

        assert traffic.mean_sizes.prompt_tokens == CHAT.mean_sizes.prompt_tokens + 700.0

    def test_refusals(self):
        """No system prompts, no blocks, or prompts of unknown length are refused."""
        with pytest.raises(ValueError, match="the count of prefixes must be at least 1, not 0"):
            Prefixes(0, 1.0, Constant(1.0))
        with pytest.raises(ValueError, match="the block_tokens of prefixes must be at least 1"):
            Prefixes(1, 1.0, Constant(1.0), 0)
        with pytest.raises(ValueError, match="the zipf of prefixes must be at least 0"):
            Prefixes(1, -1.0, Constant(1.0))
        with pytest.raises(ValueError, match="prefixes need to know how long prompts are"):
            Sizes(prefixes=PREFIXES)


class TestSamples:
    ROWS = TokenSamples(np.array([10, 200, 3000]), np.array([900, 80, 7]))

    def test_rows_stay_together(self):
        """A request has both counts of one row."""
        block = collect(with_sizes(tokens=self.ROWS))

        pairs = set(zip(block.prompt_tokens, block.output_tokens, strict=True))
        assert pairs == {(10, 900), (200, 80), (3000, 7)}

    def test_means(self):
        """The means are the sample's."""
        means = with_sizes(tokens=self.ROWS).mean_sizes

        assert (means.prompt_tokens, means.output_tokens) == (1070.0, 329.0)

    def test_refusals(self):
        """No rows, or counts that do not pair up, are refused."""
        none = np.array([], dtype=np.int64)
        with pytest.raises(ValueError, match="token samples need at least one row"):
            TokenSamples(none, none)
        with pytest.raises(ValueError, match="as many prompts as answers, not 3 and 0"):
            TokenSamples(self.ROWS.prompt_tokens, none)


class TestModels:
    def test_chance(self):
        """Two models asked for 2 : 1 coincide with probability 5/9."""
        models = BaseModels(2, 1.0, 0.72)

        assert models.chance == pytest.approx(5 / 9)
        assert models.copied + (1 - models.copied) * models.chance == pytest.approx(0.72)
        assert BaseModels(2).copied == BaseModels(1, 1.0, 1.0).copied == 0.0

    def test_always_the_same(self):
        """With a repeat of 1 each tenant asks for one model for ever."""
        pictures = dataclasses.replace(PICTURES, models=BaseModels(86, 0.5, 1.0))
        block = collect(with_sizes(pictures=pictures))
        by_tenant = {
            tenant: {
                each.model
                for each, its in zip(block.details, block.tenants, strict=True)
                if its == tenant
            }
            for tenant in set(block.tenants)
        }

        assert {len(models) for models in by_tenant.values()} == {1}
        assert len(set.union(*by_tenant.values())) > 10

    @pytest.mark.parametrize(
        ("count", "repeat", "message"),
        [
            (0, None, "the count of models must be at least 1, not 0"),
            (2, 0.5, "the repeat of models must be from 0.556, which popularity alone gives, to 1"),
            (2, 1.1, "the repeat of models"),
        ],
    )
    def test_refusals(self, count, repeat, message):
        """Models that nobody can ask for so are refused."""
        with pytest.raises(ValueError, match=message):
            BaseModels(count, 1.0, repeat)


class TestNamedTenants:
    OWN = Tokens(Constant(7.0), Constant(3.0))
    TENANTS = NamedTenants((Tenant("acme", 3.0), Tenant("globex", 1.0, OWN)))

    def test_own_sizes(self):
        """Who has sizes of its own gets those, and the others keep what they had."""
        plain = dataclasses.replace(
            CHAT, tenants=NamedTenants((Tenant("a", 3.0), Tenant("b", 1.0)))
        )
        before = collect(plain)
        after = collect(dataclasses.replace(CHAT, tenants=self.TENANTS))

        assert after.tenants == before.tenants
        rows = zip(
            before.prompt_tokens,
            after.prompt_tokens,
            after.output_tokens,
            after.tenants,
            strict=True,
        )
        for old, new, answer, tenant in rows:
            assert (new, answer) == (7, 3) if tenant else new == old

    def test_means(self):
        """The means weigh tenants by their shares."""
        means = dataclasses.replace(CHAT, tenants=self.TENANTS).mean_sizes
        stream = CHAT.mean_sizes

        assert means.prompt_tokens == pytest.approx(0.75 * stream.prompt_tokens + 0.25 * 7.0)
        assert means.output_tokens == pytest.approx(0.75 * stream.output_tokens + 0.25 * 3.0)

    def test_names(self):
        """The names are theirs; tenants that are alike have none."""
        traffic = dataclasses.replace(CHAT, tenants=self.TENANTS)

        assert traffic.tenant_names == ("acme", "globex")
        assert CHAT.tenant_names is None
        assert Traffic("x", (("a", 1.0),), Poisson(1.0)).tenant_names is None
        assert Tenants(3).tokens == ()

    def test_have_tokens_only_if_all_have(self):
        """Tokens are known where each tenant's are."""
        bare = dataclasses.replace(CHAT, sizes=Sizes(), tenants=self.TENANTS)
        every = NamedTenants((Tenant("globex", 1.0, self.OWN),))

        assert not bare.has_tokens
        assert dataclasses.replace(bare, tenants=every).has_tokens

    def test_refusals(self):
        """Shares that are none are refused, by name."""
        with pytest.raises(ValueError, match="the share of the tenant acme must be at least 0"):
            NamedTenants((Tenant("acme", -1.0),))
        with pytest.raises(ValueError, match="the shares of the tenants add up to 0"):
            NamedTenants((Tenant("acme", 0.0),))


def test_draws_do_not_depend_on_the_pass():
    """Two passes draw the same: nothing is kept between them."""
    traffic = with_sizes(pictures=PICTURES)
    first = next(traffic.blocks(Streams(1), 20.0))

    assert next(traffic.blocks(Streams(1), 20.0)) == first
