"""Arrival processes: when requests come.

A process hands out its times in ascending blocks, so that a run of any length needs the memory of
one block and pays the cost of a vectorised draw. The n-th arrival depends on the generator's seed
and n alone: neither the size of the blocks nor the end of the run moves it.

    steady      Poisson, GammaRenewal, WeibullRenewal, Regular, Mmpp
    curves      Diurnal, Steps, Spike; Modulated drives a steady process along their product
    recorded    TraceReplay
    reactive    ClosedLoop, whose users' later requests depend on the answers to earlier ones
"""

from fedsim.workload.arrivals.closed_loop import ClosedLoop
from fedsim.workload.arrivals.curves import Curve, Diurnal, Spike, Steps
from fedsim.workload.arrivals.intensity import Zone
from fedsim.workload.arrivals.mmpp import Mmpp
from fedsim.workload.arrivals.modulated import Modulated, Steady
from fedsim.workload.arrivals.process import BLOCK, ArrivalProcess
from fedsim.workload.arrivals.renewal import GammaRenewal, Poisson, Regular, WeibullRenewal
from fedsim.workload.arrivals.replay import TraceReplay

__all__ = [
    "BLOCK",
    "ArrivalProcess",
    "ClosedLoop",
    "Curve",
    "Diurnal",
    "GammaRenewal",
    "Mmpp",
    "Modulated",
    "Poisson",
    "Regular",
    "Spike",
    "Steady",
    "Steps",
    "TraceReplay",
    "WeibullRenewal",
    "Zone",
]
