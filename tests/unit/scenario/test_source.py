"""Reading YAML with positions."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim.errors import ScenarioError
from fedsim.scenario.source import Place, parse_document, read_document


class TestScalars:
    """Plain scalars mean what YAML 1.2 says, which is what a person expects."""

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("no", "no"),
            ("off", "off"),
            ("yes", "yes"),
            ("y", "y"),
            ("1:30", "1:30"),
            ("2026-11-22", "2026-11-22"),
            ("1_000", "1_000"),
            ("=", "="),
            ("1e3", 1000.0),
            ("1.5e-3", 0.0015),
            (".5", 0.5),
            ("010", 10),
            ("0o17", 15),
            ("0x1F", 31),
            ("-7", -7),
            ("true", True),
            ("False", False),
            ("null", None),
            ("~", None),
            ("", None),
            ("'1e3'", "1e3"),
            ("!!str 5", "5"),
            ("250ms", "250ms"),
        ],
    )
    def test_scalar_has_its_yaml_1_2_meaning(self, text: str, value: object):
        """A scalar is read by the core schema of YAML 1.2."""
        read = parse_document(f"key: {text}", "f.yaml").tree["key"]

        assert read == value
        assert type(read) is type(value)

    def test_keys_are_always_text(self):
        """A key is its text, also where the same text would be a number or null as a value."""
        assert parse_document("{1: a, null: b, no: c}", "f").tree == {
            "1": "a",
            "null": "b",
            "no": "c",
        }


class TestPlaces:
    """Every value and key knows where it stands."""

    def test_places_are_one_based_lines_and_columns(self):
        """Values and keys have the positions that an editor shows."""
        document = parse_document("a:\n  b: [1,\n      x]\n", "f.yaml")

        assert document.place(("a", "b", 1)) == Place("f.yaml", 3, 7)
        assert document.place(("a", "b"), at_key=True) == Place("f.yaml", 2, 3)

    def test_missing_value_stands_where_its_surroundings_do(self):
        """The place of something that is not there is that of the nearest thing around it."""
        document = parse_document("a:\n  b: 1\n", "f.yaml")

        assert document.place(("a", "c", "d")) == Place("f.yaml", 2, 3)


class TestProblems:
    """What is not good YAML is a problem with a position and a remedy."""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a: [1,\n b: }", "f:2:5: The file is not YAML: while parsing a flow node"),
            ("a:\n\t- b", "f:2:1: The file is not YAML: while scanning for the next token"),
            ("a: *b", "f:1:4: The file is not YAML: found undefined alias"),
            ("a: b: c", "f:1:5: The file is not YAML: mapping values are not allowed"),
            ("a: 'b", "f:1:6: The file is not YAML: while scanning a quoted scalar"),
            ("--- 1\n--- 2", "f:2:1: The file is not YAML: expected a single document"),
            ("a: \x00", "f:1:4: The character U+0000 is not allowed in YAML. Remove it."),
            ("a: &x [*x]", "f:1:4: An alias contains itself. Write the values out."),
            ("[" * 90 + "]" * 90, "f:1:61: The values are nested more than 60 levels deep."),
        ],
    )
    def test_bad_yaml_is_refused_where_it_is_bad(self, text: str, message: str):
        """A syntax error names line and column."""
        with pytest.raises(ScenarioError) as caught:
            parse_document(text, "f")

        assert str(caught.value).startswith(message)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{a: 1, a: 2}", "f:1:8: a: The key 'a' stands twice; the first is in line 1."),
            ("? [1]\n: 2", "f:1:3: A key must be a plain word."),
            ("a: !!python/name:os x", "f:1:4: a: The tag 'tag:yaml.org,2002:python/name:os' is"),
            ("a: !!int x", "f:1:4: a: 'x' is not a value of type int."),
        ],
    )
    def test_other_problems_are_collected(self, text: str, message: str):
        """A problem that leaves the rest readable does not stop the reading."""
        (problem,) = parse_document(text, "f").problems

        assert str(problem).startswith(message)

    def test_aliases_cannot_blow_up_the_file(self):
        """Aliases of aliases are refused before they fill the memory."""
        levels = "".join(
            f"k{n}: &k{n} [{'*k' + str(n - 1) + ','}*k{n - 1}]\n" for n in range(1, 40)
        )

        with pytest.raises(ScenarioError, match="The file has too many values"):
            parse_document("k0: &k0 1\n" + levels, "f")

    def test_unreadable_files_are_problems(self, tmp_path: Path):
        """A missing file and one that is not UTF-8 are scenario errors."""
        latin = tmp_path / "latin.yaml"
        latin.write_bytes(b"name: caf\xe9")

        with pytest.raises(ScenarioError, match=r"cannot be read: No such file or directory\."):
            read_document(tmp_path / "none.yaml")
        for written, meant in (("latin", "latin"), ("latn.yaml", "latin")):
            with pytest.raises(ScenarioError, match=rf"Did you mean .*{meant}\.yaml\?"):
                read_document(tmp_path / written)
        with pytest.raises(ScenarioError, match=r"not UTF-8 text: byte 9 is wrong\. Save it as"):
            read_document(latin)
