"""Allocations: who does how many of the B tasks of a round.

A method that collects B results a round (Rennala SGD, Freya PAGE's differences …) takes an allocation
as a parameter and collects through `collect`. An allocation is a frozen description, like a method;
`start(n, rng, state)` gives the object of one run:

    begin(B)                 a round begins in which B results are wanted
    next(worker) -> int      how many tasks an idle worker is given now; 0 leaves it idle
    observe(worker, times)   the compute times of tasks that came back, in seconds
    state()                  what the run needs to be taken up again; start gets it back

To add one: its file, its line below.
"""

from asyncsim.allocation.ata import ATA, ATAEmpirical
from asyncsim.allocation.collect import Allocation, AllocationRun, collect
from asyncsim.allocation.fixed_optimal import FixedOptimal
from asyncsim.allocation.greedy import Greedy
from asyncsim.allocation.ras import recursive_allocation_selection
from asyncsim.allocation.uniform import Uniform

ALLOCATIONS: dict[str, type] = {
    "greedy": Greedy,
    "uniform": Uniform,
    "fixed_optimal": FixedOptimal,
    "ata": ATA,
    "ata_empirical": ATAEmpirical,
}

__all__ = [
    "ALLOCATIONS",
    "ATA",
    "ATAEmpirical",
    "Allocation",
    "AllocationRun",
    "FixedOptimal",
    "Greedy",
    "Uniform",
    "collect",
    "recursive_allocation_selection",
]
