from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, replace

import pytest

from fedsim.federation.contracts import (
    Capability,
    InferenceRequest,
    InferenceResponse,
    NodeId,
    QoSRequirements,
    RegionId,
    RouteTarget,
)
from fedsim.federation.values import quick


@dataclass(frozen=True, slots=True)
class Slow:
    """A value as dataclasses builds it."""

    name: str
    weight: float = 1.5
    note: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    """The same, built quickly."""

    name: str
    weight: float = 1.5
    note: str | None = None


VALUES = (
    InferenceRequest(Capability.CODE, b"x", QoSRequirements(), "chat-1", "tenant"),
    InferenceResponse(b"x", NodeId("a"), 0.5, 3),
    RouteTarget(NodeId("a"), RegionId("r"), score=0.5),
)


@pytest.mark.parametrize("value", [*VALUES, Quick("a")])
class TestAQuickValue:
    def test_is_frozen(self, value):
        """No field can be set, and no attribute added."""
        name = next(iter(value.__slots__))
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)
        with pytest.raises((AttributeError, TypeError)):
            value.other = 1

    def test_equals_its_copies(self, value):
        """Equality, hash, replacement, copies and pickles are those of any dataclass."""
        others = (replace(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value)))
        assert all(other == value and hash(other) == hash(value) for other in others)


class TestTheConstructor:
    def test_has_the_same_signature(self):
        """People, editors and type checkers see the constructor that dataclasses makes."""
        assert inspect.signature(Quick) == inspect.signature(Slow)

    @pytest.mark.parametrize("arguments", [(), ("a", 1.0, None, 4)])
    def test_refuses_what_does_not_fit(self, arguments):
        """Too few and too many arguments are refused."""
        with pytest.raises(TypeError, match="positional argument"):
            Quick(*arguments)

    def test_takes_names_and_defaults(self):
        """Fields can be given by name; those left out have their defaults."""
        assert repr(Quick(note="n", name="a")) == "Quick(name='a', weight=1.5, note='n')"
