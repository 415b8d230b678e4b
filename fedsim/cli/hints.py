"""What to write in place of a command or an option that does not exist."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

_COMMANDS = {
    "simulate": "run",
    "start": "run",
    "validate": "check",
    "lint": "check",
    "benchmark": "compare",
    "why": "explain",
    "fit": "calibrate",
    "init": "new",
    "create": "new",
    "catalog": "catalogue",
}

_ONE = "federation.strategy"
_SEVERAL = "Write --set 'compare.strategies=[round_robin, least_latency]'."
_OPTIONS = {
    ("compare", "--strategy"): _SEVERAL,
    ("compare", "--strategies"): _SEVERAL,
    ("run", "--strategies"): f"fedsim compare runs several; here, --set {_ONE}=NAME chooses one.",
    ("explain", "--strategy"): f"Explain a run that was made with --set {_ONE}=NAME.",
    ("run", "--router"): "Write --set federation.router=module:Class.",
    ("run", "--replications"): "fedsim compare runs several seeds; here, --seed chooses one.",
    ("check", "--seed"): "Write --set seed=N.",
}
_ANYWHERE = {
    "--strategy": f"Write --set {_ONE}=NAME.",
    "--strategies": "fedsim compare takes --set 'compare.strategies=[NAME, NAME]'.",
    "--duration": "Write --set duration=10min.",
    "--override": "Write --set PATH=VALUE.",
    "--output": "Write --out DIR.",
}


class Group(TyperGroup):
    """The commands, with a hint where one of another name is meant."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that *args* begin with."""
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            meant = _COMMANDS.get(args[0]) if args else None
            if meant is not None and hasattr(error, "message"):
                error.message = f"No such command {args[0]!r}. Did you mean {meant!r}?"
            raise


class Command(TyperCommand):
    """A command, with a hint where it has no such option, and another has."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return what is left of *args* once the options are taken."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            option = getattr(error, "option_name", None)
            hint = _OPTIONS.get((str(self.name), str(option)), _ANYWHERE.get(str(option)))
            if hint is not None and hasattr(error, "message"):
                error.message = f"{error.message}. {hint}"
                error.possibilities = None  # type: ignore[attr-defined]
            raise
