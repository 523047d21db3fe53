"""The loop of asyncsim/counting.py, for numba. Its first call on a machine compiles; numba keeps the result."""

from __future__ import annotations

from numba import njit

from asyncsim.log import ARRIVED, STEP, USED

EACH, BELOW, COLLECT = range(3)


@njit(cache=True)
def go_on(  # type: ignore[no-untyped-def]
    rule, threshold, start, stop, look_at, k, versions, batch, collected,
    time, worker, m, sent, begins, ends_, ends, marks,
):  # fmt: skip
    """The arrivals start…stop of a block, or up to the step that makes k = look_at.

    How many came, how many marks were made, k, and how many are collected; the rows are in `ends` and `marks`.
    """
    made = 0
    for p in range(start, stop):
        i, t = worker[p], time[p]
        version = versions[i]
        delay = k - version
        row = ends[p - start]
        row[0], row[1], row[2], row[3], row[4], row[5] = t, i, m[p], ARRIVED, k, version
        row[6], row[7], row[8], row[9], row[10] = sent[p], begins[p], ends_[p], 1.0, 1.0
        if rule == COLLECT:
            if delay == 0:
                batch[collected, 0], batch[collected, 1] = i, m[p]
                collected += 1
            step = collected == threshold
        else:
            batch[0, 0], batch[0, 1] = i, m[p]
            step = rule == EACH or delay < threshold
            collected = 1 if step else 0
        if step:
            for j in range(collected):
                mark = marks[made]
                mark[0], mark[1], mark[2], mark[3], mark[4] = t, batch[j, 0], batch[j, 1], USED, k
                mark[5], mark[6] = delay, 1.0
                made += 1
            collected = 0
            k += 1
            mark = marks[made]
            mark[0], mark[1], mark[2], mark[3], mark[4], mark[5], mark[6] = t, -1.0, 0.0, STEP, k, 0.0, 0.0
            made += 1
        versions[i] = k
        if step and k >= look_at:
            return p + 1 - start, made, k, collected
    return stop - start, made, k, collected
