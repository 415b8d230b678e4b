"""Recorded requests: when they came, how large they were, and what their prompts had in common.

``read_trace`` reads what was recorded, ``transform`` cuts, spreads, thins and multiplies it.
"""

from fedsim.workload.traces.errors import TraceError
from fedsim.workload.traces.formats import FORMATS, OWN_FORMATS, Columns, recognised
from fedsim.workload.traces.reading import read_azure, read_trace
from fedsim.workload.traces.trace import Blocks, Labels, Trace
from fedsim.workload.traces.transform import at_rate, cut, spread

__all__ = [
    "FORMATS",
    "OWN_FORMATS",
    "Blocks",
    "Columns",
    "Labels",
    "Trace",
    "TraceError",
    "at_rate",
    "cut",
    "read_azure",
    "read_trace",
    "recognised",
    "spread",
]
