"""Results that are odd but can happen; each must have a page."""

import dataclasses

import numpy as np
from factories import METHODS, make_result

from asyncsim.result import Run, no_intervals

HOSTILE = "</script><script>alert(1)</script><!-- ]]> \"'&\u2028\u2029 <img src=x onerror=alert(2)>"


def curves_of(run, change):
    return dataclasses.replace(run, curves={key: change(key, column) for key, column in run.curves.items()})


def every_run(result, change):
    return dataclasses.replace(result, runs=tuple(change(run) for run in result.runs))


def odd_results():
    plain = make_result(n=3)
    unknown = ("value", "suboptimality", "squared_gradient_norm", "mean_squared_gradient_norm")
    timing = make_result(target=None, n=3)
    return {
        "one seed": make_result(seeds=(7,)),
        "one worker": make_result(n=1),
        "one method": make_result(methods=("rennala_sgd",)),
        "one record point": every_run(plain, lambda run: curves_of(run, lambda key, column: column[:1])),
        "nobody reached the target": make_result(reached=False),
        "no target": make_result(target=None),
        "no iteration": every_run(
            plain,
            lambda run: curves_of(
                dataclasses.replace(run, iterations=0), lambda key, column: 0 * column if key == "iteration" else column
            ),
        ),
        "no time passed": every_run(
            plain, lambda run: curves_of(dataclasses.replace(run, time=0.0), lambda key, column: column[:1])
        ),
        "curves of nan": every_run(
            plain, lambda run: curves_of(run, lambda key, column: column * (np.nan if key in unknown else 1))
        ),
        "diverged": make_result(status={"asynchronous_sgd": "diverged"}),
        "no intervals": every_run(plain, lambda run: dataclasses.replace(run, intervals=no_intervals())),
        "timing only": dataclasses.replace(
            every_run(
                timing, lambda run: curves_of(run, lambda key, column: column * (np.nan if key in unknown else 1))
            ),
            problem={"name": "none", "dimension": 0},
        ),
        "killed at once": dataclasses.replace(
            plain, runs=(Run(label="hero_sgd", method="hero_sgd", parameters={}, seed=0, n=3),)
        ),
        "one run killed": dataclasses.replace(
            plain, runs=(*plain.runs, Run(label=METHODS[0], method=METHODS[0], parameters={}, seed=9, n=3))
        ),
        "nothing known of the problem": dataclasses.replace(plain, problem={}, manifest={}, scenario={}),
    }


ODD = odd_results()
