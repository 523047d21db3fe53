"""The loops of asyncsim/counting.py, for numba. The first call on a machine compiles; numba keeps the result.

The arrivals of a block are gone through twice. `go_on` takes them in the order of time: delays, steps, the five columns
of each row that are hashed, and all columns of the rows that somebody wants to see. `settle` takes them in the order in
which they lie, worker after worker (asyncsim/compiled.py): what is kept of each worker is then touched once.
"""

# What numba compiles is written for it: flat arrays, functions with many arguments.
# ruff: noqa: C901, PLR0912, PLR0915

from __future__ import annotations

from numba import njit

from asyncsim.log import ARRIVED, STEP, USED

EACH, BELOW, COLLECT = range(3)


@njit(cache=True)
def go_on(  # type: ignore[no-untyped-def]
    rule, threshold, start, stop, look_at, k, first, versions, rank, batch, collected,
    order, times, worker, m, sent, begins, ends_,
    used, delays_arrived, delays_used, means, tasks, slowest, least, regret,
    wanted, all_wanted, hashed_ends, hashed_marks, ends, marks, at,
):  # fmt: skip
    """The arrivals start…stop of a block, or up to the step that makes k = look_at, or before a delay without a place.

    How many came, how many marks were made, how many rows of ends and marks are wanted, k, how many are collected, the
    slowest of their workers and the regret so far, and the delay that has no place in the histograms (or −1).
    """
    came = made = full_ends = full_marks = 0
    for p in range(start, stop):
        j, t = order[p], times[p]
        i, number = worker[j], m[j]
        version = versions[i]
        delay = k - version
        if delay >= len(delays_arrived):
            return came, made, full_ends, full_marks, k, collected, slowest, regret, delay
        delays_arrived[delay] += 1
        row = hashed_ends[came]
        row[0], row[1], row[2], row[3], row[4] = t, i, number, ARRIVED, k
        if wanted[i]:
            row = ends[full_ends]
            row[0], row[1], row[2], row[3], row[4], row[5] = t, i, number, ARRIVED, k, version
            row[6], row[7], row[8], row[9], row[10] = sent[j], begins[j], ends_[j], 1.0, 1.0
            at[full_ends] = came
            full_ends += 1
        came += 1
        if rule == COLLECT:
            if delay == 0:
                batch[collected, 0], batch[collected, 1] = i, number
                collected += 1
                if len(means) > 0:
                    tasks[i] += 1
                    slowest = max(slowest, tasks[i] * means[i])
            step = collected == threshold
        else:
            batch[0, 0], batch[0, 1] = i, number
            step = rule == EACH or delay < threshold
            collected = 1 if step else 0
        if step:
            delays_used[delay] += collected
            for c in range(collected):
                i_used = batch[c, 0]
                used[i_used] += 1
                mark = hashed_marks[made]
                mark[0], mark[1], mark[2], mark[3], mark[4] = t, i_used, batch[c, 1], USED, k
                made += 1
                if wanted[i_used]:
                    mark = marks[full_marks]
                    mark[0], mark[1], mark[2], mark[3], mark[4] = t, i_used, batch[c, 1], USED, k
                    mark[5], mark[6] = delay, 1.0
                    full_marks += 1
                if rule == COLLECT and len(means) > 0:
                    tasks[i_used] = 0
            if rule == COLLECT and len(means) > 0:
                regret += slowest - least
                slowest = 0.0
            collected = 0
            k += 1
            mark = hashed_marks[made]
            mark[0], mark[1], mark[2], mark[3], mark[4] = t, -1.0, 0.0, STEP, k
            made += 1
            if all_wanted:
                mark = marks[full_marks]
                mark[0], mark[1], mark[2], mark[3], mark[4], mark[5], mark[6] = t, -1.0, 0.0, STEP, k, 0.0, 0.0
                full_marks += 1
        versions[i] = k
        rank[i] = first + p
        if step and k >= look_at:
            break
    return came, made, full_ends, full_marks, k, collected, slowest, regret, -1


@njit(cache=True)
def settle(  # type: ignore[no-untyped-def]
    start, stop, after, until, silent, worker, m, time, begins, ends_, next_begins, next_ends, next_arrives, next_draw,
    m0, sent0, begins0, ends0, arrives0, draw0, arrived, busy, computing,
):  # fmt: skip
    """What came of the columns start…stop after one time and until another: who is at work with what, and sums.

    Seconds are added one by one, each worker's in their order: sums of sums would have other last bits.
    """
    for j in range(start, stop):
        t = time[j]
        if not after < t <= until:
            continue
        i = worker[j]
        m0[i], sent0[i], draw0[i], arrives0[i] = m[j] + 1, t, next_draw[j], next_arrives[j]
        if not silent:
            begins0[i], ends0[i] = next_begins[j], next_ends[j]
        arrived[i] += 1
        seconds = ends_[j] - begins[j]
        busy[i] += seconds
        computing[i] += seconds
