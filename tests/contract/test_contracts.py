"""Our contracts against the federation's Rust definition: nothing left out, nothing renamed."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import typing
from pathlib import Path

import pytest
import yaml

from fedsim.federation import contracts
from fedsim.federation.builder import FederationBuilder
from tests.conftest import ROOT
from tests.contract.rust_traits import read

LISTED = yaml.safe_load(Path(__file__).with_name("contracts.yaml").read_text(encoding="utf-8"))
VALUES = [name for name in LISTED["structs"] if name != "FederationBuilder"]

SCALARS = {
    "String": "str",
    "bool": "bool",
    "u8": "int",
    "u32": "int",
    "u64": "int",
    "f32": "float",
    "f64": "float",
    "Duration": "float",
    "std::time::Instant": "float",
    "Vec<u8>": "bytes",
    "()": "None",
}
RETURNS = {
    "GatewayMiddleware.before_route": "InferenceRequest | None",
    "GatewayMiddleware.after_infer": "InferenceResponse | None",
    "TokenStream.next_token": "bytes | None",
}
"""What changes a value in place there returns it here, and an error is raised, not returned."""


def python_name(name, rust_type):
    """Return the name of a field or parameter here: durations and instants end in their unit."""
    return f"{name}_s" if re.search(r"Duration|Instant", rust_type) else name


def python_type(rust_type):
    """Return the annotation here of what is *rust_type* there."""
    rust_type = re.sub(r"&(mut |'\w+ )?", "", rust_type).strip()
    if rust_type in SCALARS:
        return SCALARS[rust_type]
    for wrapper in (r"BoxFuture<'_, (.*)>", r"FederationResult<(.*)>", r"Box<dyn (\w+)>"):
        wrapped = re.fullmatch(wrapper, rust_type)
        if wrapped:
            return python_type(wrapped[1])
    option = re.fullmatch(r"Option<(.*)>", rust_type)
    if option:
        return f"{python_type(option[1])} | None"
    vector = re.fullmatch(r"Vec<(.*)>", rust_type)
    if vector:
        return f"list[{python_type(vector[1])}]"
    pair = re.fullmatch(r"\((\w+), (\w+)\)", rust_type)
    return f"tuple[{pair[1]}, {pair[2]}]" if pair else rust_type


def plain(annotation):
    """Return an annotation with all kinds of sequences written as lists."""
    text = annotation if isinstance(annotation, str) else annotation.__name__
    text = re.sub(r"tuple\[(\w+), \.\.\.\]", r"list[\1]", text)
    return text.replace("Sequence[", "list[")


def upper_snake(name):
    """Return a variant's name here: ``ImageGen`` is ``IMAGE_GEN``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


def members(kind):
    """Return the pairs of one kind of entry, for parametrising by name."""
    return pytest.mark.parametrize(("name", "wanted"), LISTED[kind].items(), ids=LISTED[kind])


def test_the_list_is_that_of_the_rust_definition():
    """The list in the repository says what the Rust file says, where that is at hand."""
    named = os.environ.get("FEDSIM_SPEC")
    folder = Path(named) if named else ROOT.parent / "shared" / "spec"
    path = folder / "traits.rs"
    if not path.is_file():
        pytest.skip(f"no Rust definition at {path}; FEDSIM_SPEC can name its folder")

    assert read(path.read_text(encoding="utf-8")) == LISTED


def test_the_list_is_whole():
    """The list has every trait, type and error, so that no test of it is empty."""
    counts = {kind: len(LISTED[kind]) for kind in LISTED}

    assert counts == {
        "newtypes": 3,
        "structs": 10,
        "enums": 5,
        "errors": 8,
        "traits": 8,
        "defaults": 2,
        "builder": 7,
    }
    assert sum(len(methods) for methods in LISTED["traits"].values()) == 26


@members("newtypes")
def test_ids(name, wanted):
    """Each id is a type of its own over a string."""
    assert getattr(contracts, name).__supertype__ is {"String": str}[wanted]


@pytest.mark.parametrize("name", VALUES)
def test_fields(name):
    """Every value type has the same fields in the same order, of the same types.

    What ours has beyond them comes last, and may be left out.
    """
    wanted = LISTED["structs"][name]
    fields = dataclasses.fields(getattr(contracts, name))
    ours = [(each.name, plain(each.type)) for each in fields]
    theirs = [(python_name(field, of), python_type(of)) for field, of in wanted.items()]

    assert ours[: len(theirs)] == theirs
    assert all(each.default is not dataclasses.MISSING for each in fields[len(theirs) :])


@pytest.mark.parametrize("name", VALUES)
def test_values_are_frozen(name):
    """Value types are frozen and slotted."""
    of = getattr(contracts, name)

    assert of.__dataclass_params__.frozen
    assert "__slots__" in vars(of)


@members("defaults")
def test_defaults(name, wanted):
    """Default values are the same."""
    made = getattr(contracts, name)()
    kinds = LISTED["structs"][name]
    for field, value in wanted.items():
        ours = getattr(made, python_name(field, kinds[field]))
        theirs = str(ours)
        if isinstance(ours, bool):
            theirs = theirs.lower()
        elif isinstance(ours, contracts.PrivacyLevel):
            theirs = f"PrivacyLevel::{ours.name.title()}"
        assert theirs == value


def test_statistics_begin_at_zero():
    """The derived default of statistics is zero in all fields."""
    assert set(dataclasses.astuple(contracts.GatewayStats())) == {0}


@members("enums")
def test_variants(name, wanted):
    """Every enum has the same variants, and no others."""
    of = getattr(contracts, name)
    plain_variants = [variant for variant, details in wanted.items() if "of" not in details]
    for variant in plain_variants:
        assert isinstance(getattr(of, upper_snake(variant)), of)
    if name == "Capability":
        assert of.custom("ocr").key == "custom:ocr"
        return
    assert [each.name for each in of] == [upper_snake(variant) for variant in plain_variants]
    for variant, details in wanted.items():
        if "value" in details:
            assert getattr(of, upper_snake(variant)) == int(details["value"])
        if "default" in details:
            assert of.default() is getattr(of, upper_snake(variant))


def test_privacy_is_ordered():
    """A stricter level is greater, as the derived order there has it."""
    levels = contracts.PrivacyLevel

    assert levels.PUBLIC < levels.INTERNAL < levels.CONFIDENTIAL < levels.RESTRICTED


@members("errors")
def test_errors(name, wanted):
    """Every error has its message, its payload, and its name in snake case as its kind."""
    payload = {
        "Capability": contracts.Capability.GENERATE,
        "NodeId": contracts.NodeId("node-1"),
        "Duration": 1.5,
        "String": "because",
    }[wanted["of"]]
    shown = "1.5 s" if wanted["of"] == "Duration" else str(payload)
    error = getattr(contracts, name)(payload)

    assert isinstance(error, contracts.FederationError)
    assert error.kind == upper_snake(name.replace("QoS", "Qos")).lower()
    assert str(error) == re.sub(r"\{0(:\?)?\}", shown, wanted["message"])
    assert error.args == (payload,)


def test_there_are_no_other_errors():
    """The eight errors are all that there are."""
    kinds = contracts.FederationError.__subclasses__()

    assert {each.__name__ for each in kinds if each.__module__ == contracts.__name__} == set(
        LISTED["errors"]
    )


@members("traits")
def test_methods(name, wanted):
    """Every trait is a Protocol of the same methods, async where a boxed future is returned."""
    of = getattr(contracts, name)
    ours = [each for each in vars(of) if not each.startswith("_")]
    assert of._is_protocol
    assert ours == list(wanted)
    for method, details in wanted.items():
        found = getattr(of, method)
        assert inspect.iscoroutinefunction(found) == details["async"]
        signature = inspect.signature(found)
        parameters = {
            each.name: plain(each.annotation)
            for each in signature.parameters.values()
            if each.name != "self"
        }
        assert parameters == {
            python_name(parameter, of): python_type(of)
            for parameter, of in details["parameters"].items()
        }
        returns = RETURNS.get(f"{name}.{method}", python_type(details["returns"] or "()"))
        assert plain(signature.return_annotation) == returns.replace("'static str", "str")


def test_builder():
    """The builder has the same parts and setters, and builds in addition."""
    hints = typing.get_type_hints(FederationBuilder)
    setters = [name for name in LISTED["builder"] if name != "new"]

    assert set(LISTED["structs"]["FederationBuilder"]) <= set(hints)
    assert FederationBuilder().load_balance is contracts.LoadBalanceStrategy.default()
    for name in setters:
        (argument,) = list(inspect.signature(getattr(FederationBuilder, name)).parameters)[1:]
        builder = FederationBuilder()
        assert getattr(builder, name)(**{argument: None}) is builder
