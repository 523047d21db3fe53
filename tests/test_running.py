"""What is written down of a problem before its runs."""

import json

import numpy as np

from asyncsim import Quadratic, SoftmaxRegression
from asyncsim.running import SPLIT_CLASSES, SPLIT_WORKERS, facts


def test_a_split_of_the_data_is_told_with_its_counts():
    problem = SoftmaxRegression("digits", split="dirichlet", alpha=0.3).build(1, n=4)
    split = facts(problem)["split"]
    keys = ("split", "alpha", "problem_seed", "workers", "left_out")
    assert [split[key] for key in keys] == ["dirichlet", 0.3, None, 4, 1]
    assert split["classes"] == [str(digit) for digit in range(10)]
    assert split["counts"] == problem.split_table.tolist()
    assert split["samples"] == np.sum(split["counts"]) == 1796


def test_of_a_large_split_only_a_corner_is_kept():
    class Large:
        dimension = 1
        x0 = np.zeros(1)
        split_table = np.ones((1000, 50), int)

    split = facts(Large())["split"]
    assert np.shape(split["counts"]) == (SPLIT_WORKERS, SPLIT_CLASSES)
    assert (split["workers"], split["labels"], len(split["classes"])) == (1000, 50, SPLIT_CLASSES)
    assert len(json.dumps(split)) < 20_000


def test_where_all_workers_share_the_data_there_is_no_split():
    assert "split" not in facts(Quadratic(3))
    assert "split" not in facts(SoftmaxRegression("digits"))
