"""Named random streams and keyed uniforms: every draw of a run, from one seed.

Two kinds of randomness, so that two runs which differ in one decision differ in nothing else:

- A *stream* is a generator named by what it is for, such as ``workload/chat/arrivals``. It depends
  on the seed and its own name alone: another stream more or less leaves it as it was.
- A *keyed uniform* is a pure function of a request's 64-bit key, a purpose and the number of the
  attempt. A retry or a hedge draws its own uniforms, and the same ones wherever it is sent.
"""

from __future__ import annotations

import random
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

SERVICE = 1
"""Purpose: how long an attempt holds its slot."""

ERROR = 2
"""Purpose: whether an attempt meets an error fault."""

JITTER = 3
"""Purpose: how far an attempt's round trip departs from its median."""

MODEL_LOAD = 4
"""Purpose: how long an attempt waits for its base model to be loaded."""

ADAPTER_LOAD = 5
"""Purpose: how long an attempt waits for its adapters to be loaded."""

REQUEST_LOSS = 6
"""Purpose: whether the request of an attempt is lost on a bad link."""

ANSWER_LOSS = 7
"""Purpose: whether the answer to an attempt is lost on a bad link."""

ABORT_LOSS = 8
"""Purpose: whether the abort of an attempt is lost on a bad link."""

REQUEST_DELAY = 9
"""Purpose: how far the request of an attempt is delayed on a bad link."""

ANSWER_DELAY = 10
"""Purpose: how far the answer to an attempt is delayed on a bad link."""

GATEWAY = 11
"""Purpose: which gateway of its region a request goes to."""

# The finalizer of SplitMix64 (Steele, Lea and Flood 2014, with Stafford's variant 13), applied to
# the key plus odd multiples of purpose and attempt. The multiples are the increments of SplitMix64
# and of the LXM family (Steele and Vigna 2021).
_MASK = (1 << 64) - 1
_PURPOSE = 0x9E3779B97F4A7C15
_ATTEMPT = 0xD1B54A32D192ED03
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB

# 52 bits and a half, not 53: (2**53 - 0.5) / 2**53 would round to 1.0, which no quantile takes.
_SCALE = 2.0**-52


def keyed_uniform(key: int, purpose: int, attempt: int) -> float:
    """Return the uniform that belongs to a request's key, a purpose and an attempt.

    Args:
        key: The request's key, a 64-bit word drawn at random, 0 <= key < 2**64.
        purpose: What the draw is for: ``SERVICE``, ``ERROR``, ``JITTER`` or another number.
        attempt: Number of the attempt, from 1; a hedge has its own.

    Returns:
        A multiple of 2**-53 in the open interval (0, 1).
    """
    word = (key + purpose * _PURPOSE + attempt * _ATTEMPT) & _MASK
    word = ((word ^ (word >> 30)) * _FIRST) & _MASK
    word = ((word ^ (word >> 27)) * _SECOND) & _MASK
    return (((word ^ (word >> 31)) >> 12) + 0.5) * _SCALE


def keyed_words(
    keys: NDArray[np.uint64], purpose: int, number: int | NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Return a 64-bit word for each of *keys*, a purpose and a number, as if drawn at random.

    Args:
        keys: Words drawn at random.
        purpose: What the words are for.
        number: A number from 0, such as an attempt's, or one for each of *keys*.
    """
    numbers = np.array(number, dtype=np.uint64, ndmin=1)
    offsets = numbers * np.uint64(_ATTEMPT) + np.uint64((purpose * _PURPOSE) & _MASK)
    word: NDArray[np.uint64] = keys + offsets
    word = (word ^ (word >> np.uint64(30))) * np.uint64(_FIRST)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(_SECOND)
    return word ^ (word >> np.uint64(31))


def keyed_uniforms(keys: NDArray[np.uint64], purpose: int, attempt: int) -> NDArray[np.float64]:
    """Return ``keyed_uniform`` of each of *keys*, bit for bit, at a few nanoseconds apiece."""
    word = keyed_words(keys, purpose, attempt) >> np.uint64(12)
    return (word.astype(np.float64) + 0.5) * _SCALE


def generator(seed: int, name: str) -> np.random.Generator:
    """Return a new generator at the start of the stream *name*.

    Args:
        seed: The run's seed, >= 0 and of any size.
        name: What the stream is for, such as ``workload/chat/arrivals``.

    Raises:
        ValueError: The seed is negative.
    """
    sequence = np.random.SeedSequence(_entropy(seed, name, b"numpy"))
    return np.random.Generator(np.random.PCG64DXSM(sequence))


def python_random(seed: int, name: str) -> random.Random:
    """Return a new ``random.Random`` at the start of the stream *name*.

    It is for code that wants the standard library's interface, such as a federation's strategies.
    It shares nothing with the ``generator`` of the same name.

    Args:
        seed: The run's seed, >= 0 and of any size.
        name: What the stream is for, such as ``federation/us-east/0/strategy``.

    Raises:
        ValueError: The seed is negative.
    """
    return random.Random(_entropy(seed, name, b"python"))


class Streams:
    """All random streams of one run.

    It holds the seed and no state: two calls with one name give two generators that draw the same.

    Args:
        seed: The run's seed, >= 0 and of any size.

    Raises:
        ValueError: The seed is negative.
    """

    __slots__ = ("seed",)

    def __init__(self, seed: int) -> None:
        _check(seed)
        self.seed = seed

    def __repr__(self) -> str:
        return f"Streams({self.seed})"

    def generator(self, name: str) -> np.random.Generator:
        """Return a new numpy generator at the start of the stream *name*."""
        return generator(self.seed, name)

    def python_random(self, name: str) -> random.Random:
        """Return a new ``random.Random`` at the start of the stream *name*."""
        return python_random(self.seed, name)

    keyed_uniform = staticmethod(keyed_uniform)
    keyed_uniforms = staticmethod(keyed_uniforms)
    keyed_words = staticmethod(keyed_words)

    @staticmethod
    def service_uniforms(keys: NDArray[np.uint64], attempt: int) -> NDArray[np.float64]:
        """Return the service uniforms of one attempt of each of the requests with *keys*."""
        return keyed_uniforms(keys, SERVICE, attempt)


def _entropy(seed: int, name: str, person: bytes) -> int:
    """Return 256 bits that depend on all arguments; ``hash`` would change with the process."""
    _check(seed)
    digest = blake2b(f"{seed}/{name}".encode(), digest_size=32, person=person)
    return int.from_bytes(digest.digest(), "little")


def _check(seed: int) -> None:
    if seed < 0:
        message = f"a seed is a whole number from 0 on, not {seed}"
        raise ValueError(message)
