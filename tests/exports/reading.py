"""A small run folder that kept all its events, for the tests of exports."""

from pathlib import Path

import asyncsim

SCENARIO = {
    "name": "both ways",
    "workers": {
        "count": 6,
        "compute_time": {"distribution": "exponential", "mean": "sqrt(i)"},
        "communication_time": {"uplink": 0.1, "downlink": 0.05},
    },
    "problem": {"name": "quadratic", "dimension": 12},
    "methods": [
        {"name": "ringmaster_asgd", "stepsize": 0.2, "threshold": 2},
        {"name": "minibatch_sgd", "stepsize": 0.5, "batch_size": 1},
    ],
    "stop": {"time": 40},
    "seeds": [3, 4],
    "record": {"events": "all", "points": 20},
}


def recorded(folder: Path, **changes: object) -> Path:
    """The run folder of `SCENARIO` with these changes."""
    asyncsim.run({**SCENARIO, **changes}, output=folder, processes=1)
    return folder
