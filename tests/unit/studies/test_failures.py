"""The failure of a plug-in, as its author needs to see it."""

from __future__ import annotations

import os
import pickle

import pytest

from fedsim.errors import PlugInError, Problem, ScenarioError
from fedsim.scenario.plugins import find_plugin
from fedsim.studies.failures import note_traceback, plugin_traceback


def failure() -> PlugInError:
    """Return what a guard raises when a plug-in does."""
    found = PlugInError("mine:Router", "route() raised", "chat-3", 1.25)
    try:
        os.environ["MISSING"]
    except KeyError as error:
        found.__cause__ = error
    return found


def test_the_traceback_is_the_plugins_own(tmp_path):
    """The lines are those of the user's files, without fedsim's and without the importer's."""
    (tmp_path / "broken_plugin.py").write_text("import math\n\nmath.nothing\n")
    with pytest.raises(PlugInError) as caught:
        find_plugin("broken_plugin:Router", tmp_path)
    text = "\n".join(plugin_traceback(caught.value))
    assert f'"{tmp_path / "broken_plugin.py"}", line 3' in text
    assert "AttributeError: module 'math' has no attribute 'nothing'" in text
    assert "fedsim/scenario" not in text
    assert "importlib" not in text


def test_the_traceback_survives_the_way_from_a_worker():
    """A pickled error has lost its cause, and its note still holds the lines."""
    error = failure()
    lines = plugin_traceback(error)
    assert lines[-1] == "KeyError: 'MISSING'"
    note_traceback(error)
    note_traceback(error)
    arrived = pickle.loads(pickle.dumps(error))
    assert arrived.__cause__ is None
    assert plugin_traceback(arrived) == lines
    assert len(arrived.__notes__) == 1


def test_a_wrong_return_has_no_traceback():
    """A plug-in that raised nothing has no lines to show, and gets no note."""
    error = PlugInError("mine:Router", "route() returned None")
    note_traceback(error)
    assert plugin_traceback(error) == []
    assert not hasattr(error, "__notes__")


def test_errors_are_the_same_after_the_way_from_a_worker():
    """The errors that a user must see keep class, fields and text through pickle."""
    plugin = PlugInError("mine:Router", "did wrong", "chat-3", 1.25)
    arrived = pickle.loads(pickle.dumps(plugin))
    assert str(arrived) == str(plugin)
    assert (arrived.plugin, arrived.request_id, arrived.time_s) == ("mine:Router", "chat-3", 1.25)
    problems = [Problem("Wrong.", "Right it.", "pools.a", "x.yaml", 3, 4), Problem("Too.")]
    scenario = ScenarioError(problems)
    returned = pickle.loads(pickle.dumps(scenario))
    assert returned.problems == tuple(problems)
    assert str(returned) == str(scenario)
