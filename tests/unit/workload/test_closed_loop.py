"""The users of a closed loop: when they begin, who they are, and what they send."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from fedsim.kernel.streams import SERVICE, Streams, keyed_uniform
from fedsim.workload.arrivals import ClosedLoop
from fedsim.workload.distributions import Constant, Exponential, Lognormal
from fedsim.workload.sizes import Sizes
from fedsim.workload.tenants import Tenants
from fedsim.workload.tokens import Tokens
from fedsim.workload.traffic import Traffic

THINK = Exponential(5.0)
LOOP = ClosedLoop(10, THINK)
TRAFFIC = Traffic(
    "chat",
    (("us", 2.0), ("eu", 1.0), ("ap", 2.0)),
    LOOP,
    Sizes(Tokens(Lognormal.from_mean_cv(300.0, 1.0), Exponential(50.0))),
    Tenants(4, 1.0),
)


def users_of(traffic=TRAFFIC, seed=1, until_s=1000.0):
    """Return the users of a run."""
    return traffic.users(Streams(seed), until_s)


def turns_of(users, user, count):
    """Return the first turns of a user."""
    return [users.turn(user, turn) for turn in range(count)]


class TestStarts:
    def test_within_a_think_time(self):
        """Every user begins once, within a think time; the first to come has number 0."""
        (starts_s,) = users_of().starts()

        assert len(starts_s) == 10
        assert np.all(np.diff(starts_s) >= 0.0)
        assert 0.0 < starts_s[0] < starts_s[-1] < 50.0

    @pytest.mark.parametrize(
        ("think", "answer_s"),
        [(Constant(4.0), 0.0), (Lognormal.from_mean_cv(4.0, 2.0), 0.0), (Constant(4.0), 1.0)],
    )
    def test_in_equilibrium(self, think, answer_s):
        """As many come per second as ever: users over think and answer, while all are to come.

        The number that comes within t is binomial: a share of the mean of min(gap, t) over that of
        the gap (Cox, 1962, section 5.4).
        """
        count, until_s = 20_000, 2.0
        traffic = dataclasses.replace(TRAFFIC, arrivals=ClosedLoop(count, think))
        users = traffic.users(Streams(3), until_s, answer_s=answer_s)
        came = sum(len(block) for block in users.starts())
        gaps_s = think.quantiles((np.arange(100_000) + 0.5) / 100_000) + answer_s
        share = np.mean(np.minimum(gaps_s, until_s)) / np.mean(gaps_s)

        assert abs(came - count * share) < 3.5 * math.sqrt(count * share * (1.0 - share))

    def test_end(self):
        """Who would begin after the end does not come, and the others begin as they would."""
        (whole,) = users_of().starts()
        (part,) = users_of(until_s=float(whole[4])).starts()

        assert part.tolist() == whole[:4].tolist()
        assert list(users_of(until_s=1e-9).starts()) == []


class TestTurns:
    def test_do_not_depend_on_their_order(self):
        """What a user sends is the same whenever the others send theirs."""
        one_by_one, in_turns = users_of(), users_of()
        expected = {user: turns_of(one_by_one, user, 150) for user in range(10)}

        seen: dict[int, list] = {user: [] for user in range(10)}
        for turn in range(150):
            for user in (3, 0, 9, 4, 1, 2, 8, 7, 5, 6):
                seen[user].append(in_turns.turn(user, turn))
        assert seen == expected

    @pytest.mark.parametrize("count", [1, 1024, 5000, 70_000])
    def test_do_not_depend_on_what_is_drawn_together(self, count):
        """Also of many users, each has the turns that belong to user and turn alone."""
        many = dataclasses.replace(TRAFFIC, arrivals=ClosedLoop(count, THINK))
        users = [0] if count == 1 else [count - 1, 3, 0, 2, 1]
        once, again = users_of(many), users_of(many)
        expected = {user: turns_of(once, user, 70) for user in users}

        seen = [[again.turn(user, turn) for user in reversed(users)] for turn in range(70)]
        assert [list(each) for each in zip(*seen, strict=True)] == [
            expected[user] for user in reversed(users)
        ]
        assert len({turn.key for turns in expected.values() for turn in turns}) == 70 * len(users)

    def test_begin_as_in_a_smaller_loop(self):
        """The first user of a larger loop sends the same requests."""
        small, large = (
            turns_of(users_of(dataclasses.replace(TRAFFIC, arrivals=ClosedLoop(n, THINK))), 0, 90)
            for n in (10, 5000)
        )

        assert [turn.key for turn in small] == [turn.key for turn in large]
        assert [turn.think_s for turn in small] == [turn.think_s for turn in large]

    def test_are_all_different(self):
        """No two turns share their luck, and the luck in service is that of the key."""
        users = users_of()
        turns = [turn for user in range(10) for turn in turns_of(users, user, 100)]

        assert len({turn.key for turn in turns}) == 1000
        assert {type(turn.prompt_tokens) for turn in turns} == {int}
        assert turns[77].service_uniform == keyed_uniform(turns[77].key, SERVICE, 1)

    def test_sizes_and_think_times(self):
        """They have the distributions that the stream gives them."""
        users = users_of()
        turns = [turn for user in range(10) for turn in turns_of(users, user, 1000)]
        error = 3.5 / math.sqrt(len(turns))

        assert np.mean([turn.think_s for turn in turns]) == pytest.approx(5.0, rel=error)
        assert np.mean([turn.prompt_tokens for turn in turns]) == pytest.approx(300.0, rel=error)
        assert {turn.details for turn in turns} == {None}

    def test_without_end(self):
        """Users do not leave; one who is released is forgotten."""
        users = users_of()
        users.turn(3, 0)
        users.release(3)
        users.release(4)

        assert users.turns(3) is None
        with pytest.raises(LookupError):
            users.turn(3, 1)

    def test_another_seed(self):
        """Another seed changes what they send."""
        assert turns_of(users_of(seed=1), 0, 5) != turns_of(users_of(seed=2), 0, 5)


class TestWhoTheyAre:
    def test_origins(self):
        """The numbers of users are in proportion to the weights, in no particular order."""
        users = users_of()
        origins = [users.turn(user, 0).origin for user in range(10)]

        assert np.bincount(origins).tolist() == [4, 2, 4]
        assert origins != sorted(origins)
        assert {turn.origin for turn in turns_of(users_of(), 5, 50)} == {origins[5]}

    def test_tenants(self):
        """A user belongs to one tenant; without tenants to none."""
        users, nobody = users_of(), users_of(dataclasses.replace(TRAFFIC, tenants=None))

        tenants = {user: {turn.tenant for turn in turns_of(users, user, 80)} for user in range(10)}
        assert all(len(each) == 1 for each in tenants.values())
        assert len(set().union(*tenants.values())) > 1
        assert nobody.turn(0, 0).tenant == -1


class TestClosedLoop:
    def test_rates(self):
        """The most that users can send is what they would if answers took no time."""
        assert LOOP.mean_rps(60.0) == LOOP.peak_rps(60.0) == 2.0
        assert ClosedLoop(3, Constant(0.0)).mean_rps(60.0) == math.inf

    def test_refuses_nobody(self):
        """A loop without users is refused."""
        with pytest.raises(ValueError, match="a closed loop needs at least one user, not 0"):
            ClosedLoop(0, Constant(1.0))
