from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim.world.nodes.config import BatchConfig
from fedsim.world.service import TokenBatches
from tests.unit.world.scripted import Reader, Script, errors, outage, send, slowdown


def batching(rows, limits_s=None, *, max_batch=3, max_wait_s=0.0, **settings):
    """Return a script whose rows are times and prompts; a batch takes 1 s and 1 s a token."""
    service = TokenBatches(tokens_per_s=1.0, base_s=1.0)
    config = BatchConfig(max_batch, max_wait_s, service)
    return Script(
        [(time_s, 0) for time_s, _ in rows],
        limits_s or {},
        prompts=[prompt for _, prompt in rows],
        pool={"service": None, "slots": max_batch, "batching": config},
        **settings,
    )


class TestFormation:
    def test_an_idle_node_that_does_not_wait_begins_at_once(self):
        """The first request is a batch of its own; those that came meanwhile are the next."""
        played = batching([(0.0, 1), (0.5, 2), (1.0, 3)], leg_s=0.25).play()

        assert played.log == [(0, "ok", 2.5), (1, "ok", 8.5), (2, "ok", 8.5)]
        assert played.waits_s == [0.0, 1.5, 1.0]
        assert played.held_s == [2.0, 6.0, 6.0]
        assert played.busy_s == 14.0

    def test_a_full_batch_begins_at_once(self):
        """A node that may wait begins as soon as the batch is full, and no later."""
        played = batching([(0.0, 1), (1.0, 1), (2.0, 1), (3.0, 1)], max_wait_s=10.0).play()

        assert [when for _, _, when in played.log] == [6.0, 6.0, 6.0, 15.0]

    def test_the_first_of_a_batch_waits_no_longer_than_it_must(self):
        """A batch that does not fill begins when its first request has waited long enough."""
        played = batching([(0.0, 1), (1.0, 1), (9.0, 1)], max_wait_s=2.0).play()

        assert [when for _, _, when in played.log] == [5.0, 5.0, 13.0]
        assert played.waits_s == [2.0, 1.0, 2.0]

    def test_patience_counts_from_the_arrival(self):
        """Waiting behind a batch counts: what has waited long enough is next at its end."""
        played = batching([(0.0, 9), (3.0, 1), (12.5, 1)], max_wait_s=2.0).play()

        assert [when for _, _, when in played.log] == [12.0, 14.0, 16.5]
        assert played.waits_s == [2.0, 9.0, 2.0]

    def test_no_batch_is_larger_than_allowed(self):
        """Those beyond the largest batch wait for the one after it."""
        played = batching([(0.0, 1)] + [(0.5, 1)] * 4).play()

        assert [when for _, _, when in played.log] == [2.0, 6.0, 6.0, 6.0, 8.0]

    def test_a_full_queue_refuses(self):
        """The queue limit holds while a batch is at work; an idle node takes whoever comes."""
        rows = [(0.0, 1), (0.0, 1), (1.0, 1), (1.0, 1)]
        played = batching(rows, max_wait_s=0.5, queue_limit=1).play()

        outcomes = [outcome for _, outcome, _ in played.log]
        assert outcomes == ["ok", "ok", "ok", "no_capacity"]


class TestAbort:
    def test_in_the_batch(self):
        """An aborted request is gone at once; its batch takes as long as before."""
        played = batching([(0.0, 1), (0.0, 1), (1.0, 1)], {0: 1.5}, max_wait_s=0.25).play()

        assert played.log == [(0, "timeout", 1.5), (1, "ok", 3.25), (2, "ok", 5.25)]
        assert played.held_s == [1.25, 3.0, 2.0]
        assert played.wasted_s == 1.25
        assert played.busy_s == 6.25

    def test_of_the_whole_batch(self):
        """A batch that nobody waits for is finished all the same."""
        played = batching([(0.0, 3), (2.0, 1)], {0: 1.0}).play()

        assert played.log == [(0, "timeout", 1.0), (1, "ok", 6.0)]

    def test_of_the_one_that_the_batch_waited_for(self):
        """When the first of a forming batch leaves, the patience of the next one counts."""
        played = batching([(0.0, 1), (1.5, 1)], {0: 1.75}, max_wait_s=2.0).play()

        assert played.log == [(0, "timeout", 1.75), (1, "ok", 5.5)]

    def test_of_the_only_one(self):
        """A batch that nobody is left for does not begin."""
        played = batching([(0.0, 1), (5.0, 1)], {0: 1.0}, max_wait_s=2.0).play()

        assert played.log == [(0, "timeout", 1.0), (1, "ok", 9.0)]
        assert played.busy_s == 2.0

    def test_off(self):
        """Without aborts the node works in vain, and the time is wasted."""
        played = batching([(0.0, 3)], {0: 1.0}, abort=False).play()

        assert played.log == [(0, "timeout", 1.0)]
        assert played.held_s == [4.0]
        assert played.wasted_s == 4.0


class TestFaults:
    def test_a_crash_loses_the_batch_and_the_queue(self):
        """What is in the batch and what waits fails; the node comes back empty."""
        rows = [(0.0, 9), (1.0, 1), (6.0, 1)]
        played = batching(rows, faults=[outage(2.0, 3.0)]).play()

        assert [outcome for _, outcome, _ in played.log] == ["node_unreachable"] * 2 + ["ok"]
        assert [when for _, _, when in played.log] == [2.0, 2.0, 8.0]
        assert played.held_s == [2.0, None, 2.0]
        assert played.wasted_s == 2.0

    def test_a_crash_ends_the_patience_too(self):
        """A batch that was forming when the node went down does not begin later."""
        played = batching([(0.0, 1), (4.0, 1)], max_wait_s=3.0, faults=[outage(1.0, 1.0)]).play()

        assert played.log == [(0, "node_unreachable", 1.0), (1, "ok", 9.0)]

    def test_a_slowdown_stretches_what_is_left(self):
        """A batch under way takes longer from then on, and the next one from its start."""
        played = batching([(0.0, 3), (1.0, 1)], faults=[slowdown(2.0, 100.0, 2.0)]).play()

        assert [when for _, _, when in played.log] == [6.0, 10.0]

    def test_errors(self):
        """A request that meets an error never comes into a batch."""
        played = batching([(0.0, 1)], faults=[errors(0.0, 9.0, 1.0)]).play()

        assert played.log == [(0, "internal", 0.0)]


def test_samples_and_throughput():
    """A sample counts those in the batch and those that wait; throughput counts prompt tokens."""
    played = batching([(0.0, 4), (0.5, 4), (0.5, 4)], nodes_every_s=1.0).play()

    first = played.tables.nodes.iloc[0]
    assert (first["running"], first["queued"]) == (1, 2)
    assert first["utilization"] == pytest.approx(1 / 3)
    assert played.tables.nodes["kv_used_tokens"].isna().all()
    (node,) = played.world.nodes
    assert node._work() == (12, 14.0)


def test_probe():
    """The GPU was in use while a batch was at work, full or not."""
    seen = []

    async def act(site, target, request):
        if request.request_id == "chat-1":
            seen.append(await site.transport.probe(target.node_id))
        return await send(site, target, request)

    batching([(0.0, 4), (10.0, 1)], act=act).play()

    (health,) = seen
    assert health.gpu_utilization == 0.5
    assert health.throughput == round(4 / 5)
    assert health.kv_usage is None


def test_a_stream_comes_all_at_once():
    """All of an answer comes when its batch ends, also to a reader who waits for the first part."""
    reader = Reader()
    script = batching([(0.0, 4)], faults=[slowdown(3.0, 9.0, 2.0)], leg_s=0.25)

    replace(script, rows=[(0.0, 2)], act=reader).play()

    assert reader.log == [("open", 0.5), (1, 7.75), (2, 7.75), ("end", 7.75)]
