"""Users in the world: each waits for the outcome, thinks, and sends again, until the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from fedsim.kernel.environment import Environment
from fedsim.workload.reactive import Turn
from fedsim.world.users import LEAST_TURN_S, UserSource


class ScriptedUsers:
    """Users who do what the test says.

    Attributes:
        starts_s: When each begins.
        think_s: How long they think.
        released: Who has left.
    """

    def __init__(self, starts_s, think_s, turns=None, first=0):
        self.starts_s = starts_s
        self.think_s = think_s
        self.count = turns
        self.first = first
        self.released: list[int] = []

    def starts(self):
        """Yield the starts, one by one."""
        for start_s in self.starts_s:
            yield np.array([start_s])

    def turns(self, user):
        """Return the number of turns."""
        return self.count

    def turn(self, user, turn):
        """Return a turn whose sizes and key tell which one it is."""
        return Turn(user % 2, user, turn, 1, 100 * user + turn, 0.5, None, self.think_s)

    def first_turn(self, user):
        """Return the turn with which the user starts."""
        return self.first

    def release(self, user):
        """Note that the user has left."""
        self.released.append(user)


def play(users, until_s, served_s, outcome="ok"):
    """Return what arrives where every request is over *served_s* later."""
    env = Environment()
    seen: list[tuple[Any, ...]] = []

    class Live:
        def __init__(self, arrived_s):
            self.arrived_s = arrived_s

    def arrive(stream, index, origin, arrived_s, *facts):
        assert arrived_s == env.now
        *others, on_over, user, turn = facts
        seen.append((arrived_s, index, origin, *others, user, turn))
        live: Any = Live(arrived_s)
        if served_s == 0.0:
            on_over(live, outcome)
        else:
            env.call_at(env.now + served_s, lambda _: on_over(live, outcome))

    def stretch(key):
        return key / 1000.0

    UserSource(env, 4, users, until_s, [7, 8], stretch, arrive).start()
    env.run()
    return env, seen


class TestUserSource:
    def test_waits_and_thinks(self):
        """The next turn comes when the last is over and the think time has passed."""
        _, seen = play(ScriptedUsers([1.0], 2.0), 10.0, 0.5)

        assert [each[0] for each in seen] == [1.0, 3.5, 6.0, 8.5]
        assert [each[1] for each in seen] == [0, 1, 2, 3]

    def test_users_do_not_wait_for_each_other(self):
        """Each goes on by itself, from its own origin."""
        _, seen = play(ScriptedUsers([1.0, 1.25], 2.0), 6.0, 0.5)

        assert [(each[0], each[1], each[2]) for each in seen] == [
            (1.0, 0, 7),
            (1.25, 1, 8),
            (3.5, 2, 7),
            (3.75, 3, 8),
        ]

    def test_passes_on_the_turn(self):
        """Sender, sizes, key, luck and stretch are those of the turn."""
        _, seen = play(ScriptedUsers([1.0, 1.25], 2.0), 3.6, 0.5)

        assert seen[-1] == (3.5, 2, 7, 0, 1, 1, 1, 0.5, 0.001, None, 0, 1)

    def test_end(self):
        """Nobody sends at the end of arrivals or later, and all leave."""
        users = ScriptedUsers([1.0, 2.0], 1.0)
        env, seen = play(users, 4.0, 1.0)

        assert [each[0] for each in seen] == [1.0, 2.0, 3.0]
        assert sorted(users.released) == [0, 1]
        assert env.now == 4.0

    def test_last_turn(self):
        """Who has no more turns leaves."""
        users = ScriptedUsers([1.0], 1.0, turns=2)
        _, seen = play(users, 100.0, 1.0)

        assert [each[0] for each in seen] == [1.0, 3.0]
        assert users.released == [0]

    def test_under_way(self):
        """Who is under way starts with a later turn."""
        _, seen = play(ScriptedUsers([1.0], 1.0, turns=5, first=3), 100.0, 1.0)

        assert [(each[0], each[1], each[-1]) for each in seen] == [(1.0, 0, 3), (3.0, 1, 4)]

    def test_goes_on_after_an_error(self):
        """An outcome is an outcome."""
        _, seen = play(ScriptedUsers([1.0], 2.0), 10.0, 0.5, "timeout")

        assert len(seen) == 4

    def test_time_goes_on(self):
        """A user without think time, whom a gateway turns away at once, does not stop the clock."""
        _, seen = play(ScriptedUsers([1.0], 0.0), 1.0095, 0.0, "no_capacity")

        assert len(seen) == 10
        assert np.allclose(np.diff([each[0] for each in seen]), LEAST_TURN_S)

    def test_nobody(self):
        """Without users there is no entry at all."""
        env, seen = play(ScriptedUsers([], 1.0), 10.0, 1.0)

        assert (env.now, seen) == (0.0, [])
