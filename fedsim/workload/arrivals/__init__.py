"""Arrival processes: when requests come.

A process hands out its times in ascending blocks, so that a run of any length needs the memory of
one block and pays the cost of a vectorised draw. The n-th arrival depends on the generator's seed
and n alone: neither the size of the blocks nor the end of the run moves it.
"""

from fedsim.workload.arrivals.process import BLOCK, ArrivalProcess
from fedsim.workload.arrivals.renewal import Poisson
from fedsim.workload.arrivals.replay import TraceReplay

__all__ = ["BLOCK", "ArrivalProcess", "Poisson", "TraceReplay"]
