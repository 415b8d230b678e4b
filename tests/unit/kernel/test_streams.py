"""Named streams and keyed uniforms."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from fedsim.kernel.streams import (
    ERROR,
    JITTER,
    SERVICE,
    Streams,
    generator,
    keyed_uniform,
    keyed_uniforms,
    keyed_words,
    python_random,
)

# The first three outputs of SplitMix64 seeded with 0, from Vigna's reference implementation.
SPLITMIX64 = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


class TestGenerator:
    def test_repeats(self):
        """The same seed and name give the same draws."""
        first = generator(7, "workload/chat/arrivals").random(5)

        assert first.tolist() == generator(7, "workload/chat/arrivals").random(5).tolist()

    def test_needs_no_other(self):
        """A stream is the same whether or not other streams are drawn from before it."""
        alone = Streams(7).generator("b").random(5).tolist()
        streams = Streams(7)
        streams.generator("a").random(1000)
        streams.python_random("c").random()

        assert streams.generator("b").random(5).tolist() == alone

    @pytest.mark.parametrize(
        ("seed", "name"), [(8, "a/1"), (7, "a/2"), (7, "1/a"), (71, "/1"), (7, "a/1 ")]
    )
    def test_differs(self, seed, name):
        """Another seed or another name, however alike, gives other draws."""
        assert generator(seed, name).random() != generator(7, "a/1").random()

    def test_seed_and_name_do_not_run_together(self):
        """A digit moved from the seed to the name makes another stream."""
        assert generator(71, "2").random() != generator(7, "12").random()

    def test_takes_large_seeds(self):
        """A seed of more than 64 bits counts in full."""
        assert generator(2**100, "a").random() != generator(0, "a").random()

    @pytest.mark.parametrize("make", [Streams, lambda seed: generator(seed, "a")])
    def test_refuses_negative_seeds(self, make):
        """A negative seed is refused with what to give instead."""
        with pytest.raises(ValueError, match="a seed is a whole number from 0 on, not -1"):
            make(-1)


class TestPythonRandom:
    def test_repeats(self):
        """The same seed and name give the same draws."""
        assert python_random(7, "a").random() == Streams(7).python_random("a").random()

    def test_differs_from_the_generator_of_that_name(self):
        """The two interfaces do not draw the same numbers."""
        assert python_random(7, "a").random() != generator(7, "a").random()


class TestKeyedUniform:
    @pytest.mark.parametrize(("purpose", "word"), list(enumerate(SPLITMIX64, start=1)))
    def test_mixes_as_splitmix64_does(self, purpose, word):
        """With key and attempt 0, the purposes count off SplitMix64's published outputs."""
        assert keyed_uniform(0, purpose, 0) == ((word >> 12) + 0.5) / 2**52

    def test_scalar_equals_vector(self):
        """The vectorised form gives the same bits for every key, purpose and attempt."""
        keys = np.concatenate(
            [
                np.array([0, 1, 2**63, 2**64 - 1], dtype=np.uint64),
                generator(1, "keys").integers(0, 2**64, 1000, dtype=np.uint64),
            ]
        )
        for purpose in (SERVICE, ERROR, JITTER, 17):
            for attempt in (1, 2, 1000):
                expected = [keyed_uniform(key, purpose, attempt) for key in keys.tolist()]
                assert keyed_uniforms(keys, purpose, attempt).tolist() == expected

    def test_keeps_its_argument(self):
        """The vectorised form leaves the keys as they were."""
        keys = np.arange(3, dtype=np.uint64)
        keyed_uniforms(keys, SERVICE, 1)

        assert keys.tolist() == [0, 1, 2]

    def test_takes_no_keys(self):
        """An empty block of keys gives an empty block of uniforms."""
        assert len(keyed_uniforms(np.array([], dtype=np.uint64), SERVICE, 1)) == 0


class TestKeyedWords:
    def test_are_behind_the_uniforms(self):
        """A uniform is made of the upper 52 bits of the word."""
        words = keyed_words(np.arange(100, dtype=np.uint64), ERROR, 3)
        uniforms = keyed_uniforms(np.arange(100, dtype=np.uint64), ERROR, 3)

        assert [(word >> 12) + 0.5 for word in words.tolist()] == (uniforms * 2**52).tolist()

    def test_take_a_number_for_each_key(self):
        """One key with many numbers, or as many of both, give what each pair gives by itself."""
        keys, numbers = np.array([5, 2**64 - 1], dtype=np.uint64), np.array([0, 7], dtype=np.uint64)
        alone = [
            keyed_words(keys[place : place + 1], 30, number).item()
            for place, number in enumerate([0, 7])
        ]

        assert keyed_words(keys, 30, numbers).tolist() == alone
        assert keyed_words(keys[:1], 30, numbers).tolist() == [
            alone[0],
            keyed_words(keys[:1], 30, 7).item(),
        ]


class TestStreams:
    def test_offers_the_keyed_uniforms(self):
        """A run's streams hand out the same keyed uniforms as the functions."""
        streams, keys = Streams(3), np.arange(4, dtype=np.uint64)

        assert streams.keyed_uniform(5, ERROR, 2) == keyed_uniform(5, ERROR, 2)
        assert streams.keyed_uniforms(keys, ERROR, 2).tolist() == [
            keyed_uniform(key, ERROR, 2) for key in range(4)
        ]
        assert streams.service_uniforms(keys, 2).tolist() == [
            keyed_uniform(key, SERVICE, 2) for key in range(4)
        ]

    def test_can_be_pickled(self):
        """A worker process draws what this one draws."""
        copy = pickle.loads(pickle.dumps(Streams(3)))

        assert repr(copy) == "Streams(3)"
        assert copy.generator("a").random() == Streams(3).generator("a").random()

    def test_is_the_same_in_every_process(self):
        """Draws do not depend on ``PYTHONHASHSEED``."""
        script = (
            "from fedsim.kernel.streams import *; "
            "print(Streams(7).generator('a').random(), python_random(7, 'a').random())"
        )
        answers = {
            subprocess.run(
                [sys.executable, "-c", script],
                env={
                    **os.environ,
                    "PYTHONHASHSEED": hash_seed,
                    "PYTHONPATH": os.pathsep.join(sys.path),
                },
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for hash_seed in ("0", "1")
        }

        assert answers == {f"{generator(7, 'a').random()} {python_random(7, 'a').random()}\n"}
