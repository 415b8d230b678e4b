"""Capabilities are known by identity, wherever they come from."""

from __future__ import annotations

import copy
import pickle

import pytest

from fedsim.federation.contracts import (
    AllNodesUnhealthy,
    Capability,
    CircuitOpen,
    Internal,
    NoCapacity,
    NodeId,
    NodeUnreachable,
    PrivacyViolation,
    QoSViolation,
    Timeout,
)

OCR = Capability.custom("ocr")


@pytest.mark.parametrize("capability", [Capability.IMAGE_GEN, OCR])
def test_copies_are_the_same_object(capability):
    """Pickling, copying and asking again give the same object."""
    assert pickle.loads(pickle.dumps(capability)) is capability
    assert copy.deepcopy([capability])[0] is capability
    assert Capability(capability.key) is capability


def test_custom_capabilities_differ_by_name():
    """Two custom capabilities are equal if their names are, and none equals a known kind."""
    assert Capability.custom("ocr") is OCR
    assert Capability.custom("OCR") != OCR
    assert Capability.custom("code") != Capability.CODE
    assert str(OCR) == "custom:ocr"
    assert repr(OCR) == "Capability('custom:ocr')"


@pytest.mark.parametrize("key", ["", "Generate", "ocr", "custom:", "custom"])
def test_unknown_keys_are_refused(key):
    """What is no capability is refused with the list of those that are."""
    with pytest.raises(ValueError, match=r"use one of transcribe, .*, image_gen, or custom:<name>"):
        Capability(key)


def test_immutable():
    """A capability cannot be changed, as all share it."""
    with pytest.raises(AttributeError, match="immutable"):
        OCR.key = "custom:other"
    with pytest.raises(AttributeError, match="immutable"):
        del OCR.key


@pytest.mark.parametrize(
    "error",
    [
        NoCapacity(OCR),
        AllNodesUnhealthy(OCR),
        QoSViolation("too slow"),
        PrivacyViolation("public region"),
        NodeUnreachable(NodeId("a")),
        Timeout(2.5),
        CircuitOpen(NodeId("a")),
        Internal("out of memory"),
    ],
)
def test_errors_survive_pickling(error):
    """An error crosses processes with its payload and its text."""
    again = pickle.loads(pickle.dumps(error))

    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    if error.args == (OCR,):
        assert again.capability is OCR
