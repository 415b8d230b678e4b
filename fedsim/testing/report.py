"""The report of tested scenarios: a table of expectations, and why some are not held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET

from fedsim.document import Block, Code, Document, Heading, Sentence, Style, Table, words
from fedsim.testing.expectations import Tested
from fedsim.testing.judging import Finding, finding_text

_STYLES: dict[str, Style] = {
    "held": "good",
    "failed": "bad",
    "not decided": "bad",
    "known failure": "warning",
}
_LIMITS = (
    "Each end of an interval is a one-sided confidence limit; what is not decided counts as failed."
)


def tests_report(tests: Sequence[Tested], *, wall_s: float) -> Document:
    """Return the report of tested scenarios.

    Args:
        tests: What came of each.
        wall_s: What all took, in seconds.
    """
    rows = [(test, finding) for test in tests for finding in test.findings]
    failed = sum(not test.passed for test in tests)
    of_what = f"{len(tests)} scenarios" if len(tests) > 1 else tests[0].scenario.name
    number = f"{len(rows)} expectation{'' if len(rows) == 1 else 's'} of {of_what}"
    known = sum(finding.result == "known failure" for _, finding in rows)
    held = sum(finding.result == "held" for _, finding in rows)
    also = f", {known} known to fail" if known else ""
    text = f"{number}: {held} held, {len(rows) - held - known} not{also}; {wall_s:.1f} s."
    blocks: list[Block] = [
        Heading("Failed" if failed else "Passed", 1),
        Sentence(text, "bad" if failed else "good"),
        _table(rows, several=len(tests) > 1),
        Sentence(_LIMITS),
    ]
    for test in tests:
        blocks += _reasons(test)
    return Document(tuple(blocks))


def tests_json(tests: Sequence[Tested]) -> dict[str, Any]:
    """Return what came of scenarios as plain values."""
    return {
        "passed": all(test.passed for test in tests),
        "scenarios": [
            {
                "scenario": test.scenario.name,
                "file": str(test.scenario.path),
                "passed": test.passed,
                "wall_s": test.wall_s,
                "repeat": test.repeat,
                "expectations": [_plain(finding) for finding in test.findings],
            }
            for test in tests
        ],
    }


def junit(tests: Sequence[Tested]) -> str:
    """Return what came of scenarios as JUnit XML, a suite for each scenario."""
    root = ET.Element("testsuites")
    for test in tests:
        suite = ET.SubElement(root, "testsuite", name=str(test.scenario.path))
        suite.set("tests", str(len(test.findings)))
        failures = [each for each in test.findings if each.result in {"failed", "not decided"}]
        skipped = [each for each in test.findings if each.result == "known failure"]
        suite.set("failures", str(len(failures)))
        suite.set("skipped", str(len(skipped)))
        suite.set("time", f"{test.wall_s:.3f}")
        for finding in test.findings:
            case = ET.SubElement(suite, "testcase", classname=test.scenario.name)
            case.set("name", f"{finding.expectation}: {finding.expected}")
            if finding in failures:
                text = finding_text(finding)
                ET.SubElement(case, "failure", message=text).text = text
            elif finding in skipped:
                ET.SubElement(case, "skipped", message=finding.reason)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _table(rows: Sequence[tuple[Tested, Finding]], *, several: bool) -> Table:
    columns = [
        words("expectation", [finding.expectation for _, finding in rows]),
        words("expected", [finding.expected for _, finding in rows]),
        words("measured", [finding.measured for _, finding in rows]),
        words("verdict", [finding.result for _, finding in rows], styles=_STYLES),
    ]
    if several:
        columns[:1] = [words("scenario", [test.scenario.name for test, _ in rows]), columns[0]]
    return Table(tuple(columns), "fedsim test --json")


def _reasons(test: Tested) -> list[Block]:
    """Return why expectations of a scenario are not held, and the command of its first run."""
    failing = [finding for finding in test.findings if finding.result != "held"]
    if not failing:
        return []
    blocks: list[Block] = [Heading(f"{test.scenario.name} ({test.scenario.path})")]
    blocks += [
        Sentence(f"{each.expectation}: {each.expected}. {each.reason}".rstrip(), item=True)
        for each in failing
    ]
    blocks += test.blocks
    if any(each.expectation != "decisions" for each in failing):
        blocks += [Heading("The first run", 3), Code(test.repeat, "shell")]
    return blocks


def _plain(finding: Finding) -> dict[str, Any]:
    found = finding.estimate
    numbers = {} if found is None else {"mean": found.mean, "low": found.low, "high": found.high}
    return {
        "expectation": finding.expectation,
        "expected": finding.expected,
        "measured": finding.measured,
        "verdict": finding.result,
        "reason": finding.reason,
        **numbers,
    }
