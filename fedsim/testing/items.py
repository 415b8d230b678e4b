"""Scenario files as pytest collects them: an item for each key of ``expect``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fedsim.document import Document
from fedsim.errors import FedsimError
from fedsim.testing.assertions import decisions_text
from fedsim.testing.expectations import Tested, load_expecting, run_expectations
from fedsim.testing.fixtures import session_of
from fedsim.testing.judging import finding_text


class ScenarioFile(pytest.File):
    """A scenario file with an ``expect``."""

    _tested: Tested | None = None

    def collect(self) -> Iterator[pytest.Item]:
        """Yield an item for each key of ``expect``."""
        try:
            spec = load_expecting(self.path).expect
        except FedsimError as error:
            raise self.CollectError(str(error)) from error
        assert spec is not None
        keys = {
            "slo": spec.slo,
            "best": spec.best,
            "no_worse": spec.no_worse,
            "measures": spec.measures,
            "decisions": spec.golden,
            "known_failure": spec.known_failure,
        }
        for key, asked in keys.items():
            if asked:
                item: pytest.Item = ExpectationItem.from_parent(self, name=key)
                yield item

    def tested(self) -> Tested:
        """Return what came of the expectations, which are tested once."""
        if self._tested is None:
            session = session_of(self.config)
            scenario = load_expecting(self.path)
            self._tested = run_expectations(scenario, cache=session.cache, how=session.how)
        return self._tested


class ExpectationItem(pytest.Item):
    """One key of ``expect``."""

    parent: ScenarioFile

    def runtest(self) -> None:
        """Fail where the expectation is not held; what is known to fail is an expected failure."""
        tested = self.parent.tested()
        mine = [each for each in tested.findings if each.expectation == self.name]
        failing = [each for each in mine if each.result in {"failed", "not decided"}]
        if failing:
            texts = [finding_text(each) for each in failing]
            if self.name == "decisions":
                texts = [decisions_text(failing[0], Document(tested.blocks))]
            raise AssertionError("\n".join(texts))
        known = [each for each in mine if each.result == "known failure"]
        if known:
            pytest.xfail(finding_text(known[0]))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return what is wrong, without a traceback where it is the scenario or its routing."""
        if isinstance(excinfo.value, AssertionError | FedsimError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Return where the item is, for the heading of its failure."""
        return self.path, None, f"{self.path.name}: {self.name}"
