"""Users' plug-ins: their names, and how they are built."""

from __future__ import annotations

import inspect
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any

from fedsim.errors import PlugInError, in_words


def plugin_name(plugin: object) -> str:
    """Return the name of a plug-in, such as ``my_routers:Sticky``."""
    # An object that answers for every attribute has a `__qualname__` too, which is no text.
    own = isinstance(getattr(plugin, "__qualname__", None), str)
    named: Any = plugin if own else type(plugin)
    return f"{named.__module__}:{named.__qualname__}"


_OF_GATEWAY = "catalog, health, breaker, policies, clock, tasks, rng, region"


def build_plugin(plugin: Any, context: object, holds: str = _OF_GATEWAY) -> Any:
    """Return a plug-in's object; a class is called with *context*, or with nothing.

    Args:
        plugin: A class or an object.
        context: What a class may take.
        holds: What the context has, for the message that it is the one argument.

    Raises:
        PlugInError: The class raised, or takes more than one argument.
    """
    if not isinstance(plugin, type):
        return plugin
    wanted = _required_arguments(plugin)
    if wanted > 1:
        problem = (
            f"its constructor needs {wanted} arguments; it may take one, the context ({holds}), "
            "or none"
        )
        raise PlugInError(plugin_name(plugin), problem)
    try:
        return plugin(context) if _takes_context(plugin) else plugin()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        problem = f"its constructor raised {in_words(error)}"
        raise PlugInError(plugin_name(plugin), problem) from error


@contextmanager
def exits_reported() -> Generator[None]:
    """Raise what may not leave the block, such as ``SystemExit``, as a `PlugInError`.

    fedsim never exits by itself: whatever does and comes past the guards (a property, a
    ``__bool__``, a callback of a library) is a plug-in's, and would end the process silently.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        frames = [frame for frame, _ in walk_tb(error.__traceback__)]
        where = frames[-1]
        name = f"{where.f_globals.get('__name__')}:{where.f_code.co_qualname}"
        raise PlugInError(name, f"raised {in_words(error)}") from error


def _parameters(plugin: type) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(plugin).parameters.values()
    except (TypeError, ValueError):
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [parameter for parameter in parameters if parameter.kind in positional]


def _required_arguments(plugin: type) -> int:
    return sum(parameter.default is parameter.empty for parameter in _parameters(plugin))


def _takes_context(plugin: type) -> bool:
    """Return whether the first argument is meant for the context: required, or called so."""
    parameters = _parameters(plugin)
    return bool(parameters) and (
        parameters[0].default is inspect.Parameter.empty or parameters[0].name == "context"
    )


def check_methods(plugin: Any, methods: Sequence[str], what: str) -> None:
    """Check that a plug-in has the methods of its contract.

    Raises:
        PlugInError: It lacks one.
    """
    missing = [method for method in methods if not callable(getattr(plugin, method, None))]
    if missing:
        problem = f"it is no {what}: it lacks {', '.join(f'{method}()' for method in missing)}"
        raise PlugInError(plugin_name(plugin), problem)
