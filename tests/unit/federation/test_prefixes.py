from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsim.federation.contracts import Capability, InferenceRequest, NodeId, QoSRequirements
from fedsim.federation.prefixes import PrefixIndex, depth_of

A, B = NodeId("a"), NodeId("b")


def prompt(*blocks, block_tokens=16):
    """Return a request whose prompt has these blocks."""
    return InferenceRequest(
        Capability.GENERATE, b"", QoSRequirements(), "chat-0", None, blocks, block_tokens
    )


def test_nothing_is_known_at_first():
    """A node to which nothing was sent has nothing."""
    assert PrefixIndex().hit_tokens(A, prompt(1, 2)) == 0


def test_what_was_sent_to_a_node_is_there():
    """The longest known run from the beginning counts, on the node that it was sent to."""
    index = PrefixIndex()
    index.sent(A, prompt(1, 2, 3))

    assert index.hit_tokens(A, prompt(1, 2, 3)) == 48
    assert index.hit_tokens(A, prompt(1, 2, 7, 3)) == 32
    assert index.hit_tokens(A, prompt(2, 3)) == 32
    assert index.hit_tokens(A, prompt(7, 1, 2, 3)) == 0
    assert index.hit_tokens(B, prompt(1, 2, 3)) == 0


def test_requests_without_blocks_leave_no_trace():
    """A request whose content is unknown hits nothing."""
    index = PrefixIndex()
    index.sent(A, prompt(block_tokens=0))

    assert index.hit_tokens(A, prompt(block_tokens=0)) == 0


def test_the_end_of_a_prompt_is_forgotten_first():
    """Of a prompt that does not fit, the beginning stays; an older one makes room for a newer."""
    index = PrefixIndex(capacity_blocks=3)
    index.sent(A, prompt(1, 2, 3, 4))
    assert index.hit_tokens(A, prompt(1, 2, 3, 4)) == 48

    index.sent(A, prompt(5))
    assert index.hit_tokens(A, prompt(1, 2, 3)) == 32
    assert index.hit_tokens(A, prompt(5)) == 16


def test_needs_room():
    """An index that may remember nothing is refused."""
    with pytest.raises(ValueError, match="needs room for a block, not for 0"):
        PrefixIndex(0)


@given(
    st.integers(1, 6), st.lists(st.lists(st.integers(0, 9), max_size=8, unique=True), max_size=12)
)
def test_is_a_cache_of_the_blocks_used_last(capacity, prompts):
    """It knows what a plain cache knows that is told of one block at a time, from the last on."""
    index = PrefixIndex(capacity)
    cache: OrderedDict[int, None] = OrderedDict()
    for blocks in prompts:
        index.sent(A, prompt(*blocks))
        for block in reversed(blocks):
            cache.pop(block, None)
            cache[block] = None
            while len(cache) > capacity:
                cache.popitem(last=False)

    assert {block for block in range(10) if index.hit_tokens(A, prompt(block))} == set(cache)


def chained(letters):
    """Return the blocks of a prompt, each of which stands for all that comes before it too."""
    return tuple(int.from_bytes(letters[: end + 1].encode()) for end in range(len(letters)))


@given(st.integers(1, 6), st.lists(st.text("xyz", min_size=1, max_size=8), min_size=1, max_size=12))
def test_bisection_agrees_with_looking_at_each_block(capacity, prompts):
    """What is found for all nodes at once is what is found for each of them block by block."""
    index = PrefixIndex(capacity)
    for number, letters in enumerate(prompts):
        index.sent(NodeId("ab"[number % 2]), prompt(*chained(letters)))
    for letters in (*prompts, "x", "zyx"):
        asked = prompt(*chained(letters), block_tokens=1)
        hits = {node: hit for node in (A, B) if (hit := index.hit_tokens(node, asked))}
        assert index.matches(asked) == hits


def test_size_and_matches():
    """A prompt without blocks matches nothing; blocks are counted once."""
    index = PrefixIndex()
    index.sent(A, prompt(1, 2, 3))
    index.sent(A, prompt(1, 2, 4))

    assert (index.size_blocks(A), index.size_blocks(B)) == (4, 0)
    assert index.matches(prompt()) == {}
    assert index.matches(prompt(1, 2, 9)) == {A: 2}


@given(st.integers(0, 9), st.data())
def test_a_guess_changes_nothing(depth, data):
    """Whatever is guessed, the depth that is found is the same."""
    blocks = tuple(range(data.draw(st.integers(depth, 9))))
    guess = data.draw(st.integers(0, len(blocks)))

    assert depth_of(dict.fromkeys(blocks[:depth]), blocks, guess) == depth
