"""The command line, one file for each command.

Exit status: 0 done, 1 the objective was missed, 2 invalid input, 3 a bug in fedsim, 130
interrupted. Results go to standard output, all else to standard error.
"""

from fedsim.cli.app import app, main

__all__ = ["app", "main"]
