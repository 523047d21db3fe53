"""The regret of an allocation, measured from what arrived."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim import Constant, FreyaPAGE, NoProblem, RennalaSGD, ShiftedExponential, Stop, Workers, simulate
from asyncsim.allocation import ATAEmpirical, FixedOptimal, Uniform
from asyncsim.allocation.regret import Regret
from asyncsim.testing import resumed


def test_the_fixed_optimum_has_no_regret():
    workers = Workers(5, lambda worker: ShiftedExponential(worker + 1.0, 1.0))
    run = simulate(RennalaSGD(0.1, 6, allocation=FixedOptimal()), NoProblem(), workers, stop=Stop(iterations=50))
    assert run.curves["regret"].tolist() == [0.0] * len(run.curves["regret"])


def test_the_regret_of_uniform_by_hand():
    """Times 1 and 3, B = 2: uniform is (1, 1) with 3 s, the optimum (2, 0) with 2 s; one second a round."""
    workers = Workers(2, [Constant(1.0), Constant(3.0)])
    run = simulate(RennalaSGD(0.1, 2, allocation=Uniform()), NoProblem(), workers, stop=Stop(iterations=10))
    assert run.curves["regret"][-1] == 10.0


def test_atas_regret_grows_slower_than_uniforms():
    workers = Workers(8, lambda worker: ShiftedExponential(worker + 1.0, 0.5))
    stop = Stop(iterations=400)
    ata, uniform = (
        simulate(RennalaSGD(0.1, 6, allocation=allocation), NoProblem(), workers, stop=stop).curves["regret"]
        for allocation in (ATAEmpirical(eta=0.5), Uniform())
    )
    assert ata[-1] < 0.5 * uniform[-1]


def test_a_task_of_freya_page_is_a_difference_and_the_exact_gradients_are_no_rounds():
    """Means 1, 2, 3.5 of a gradient, five differences of two: optimum (3, 1, 1) with 7 s; uniform differs by draws."""
    workers = Workers(3, [1.0, 2.0, 3.5])

    def last(allocation, probability):
        method = FreyaPAGE(1.0, batch_size=5, probability=probability, components=20, allocation=allocation)
        return simulate(method, NoProblem(), workers, stop=Stop(iterations=40)).curves["regret"][-1]

    assert last(FixedOptimal(), 1e-9) == last(FixedOptimal(), 0.5) == 0.0
    # after the first iteration, uniform gives two workers two differences: (2, 2, 1) takes 8 s, the others 14 s
    assert 39 * 1 <= last(Uniform(), 1e-9) <= 39 * 7
    assert 0 < last(Uniform(), 0.5) < last(Uniform(), 1e-9)
    assert last(Uniform(), 1.0) == 0.0


def test_messages_are_in_nobodys_times_as_in_the_papers_model():
    """Times 1, 1, 1 of a task; messages take 0, 5, 50 s: all workers are alike to who learns the times of tasks."""
    workers = Workers(3, 1.0, uplink=[0.0, 5.0, 50.0])
    stop = Stop(iterations=30)
    fixed, ata = (
        simulate(RennalaSGD(0.1, 6, allocation=allocation), NoProblem(), workers, stop=stop)
        for allocation in (FixedOptimal(), ATAEmpirical())
    )
    assert fixed.parameters["allocation"]["means"] == (1.0, 1.0, 1.0)
    assert fixed.workers["used"].tolist() == [60, 60, 60]
    assert fixed.curves["regret"][-1] == 0.0
    # ATA gives all workers its six tasks evenly as soon as it has seen their times
    assert ata.curves["regret"][-1] == 0.0
    assert ata.workers["used"].tolist() == [60, 60, 60]


def test_what_slows_the_computing_is_in_the_times_of_tasks():
    from asyncsim.times.availability import Dropout

    workers = Workers(2, 1.0, uplink=3.0, speed=[1.0, 0.5], availability=Dropout(up=9.0, down=1.0, policy="paused"))
    assert workers.mean_compute_times == pytest.approx([1 / 0.9, 2 / 0.9])
    assert workers.mean_times() == pytest.approx([4 / 0.9, 5 / 0.9])


def test_methods_without_an_allocation_have_none():
    from asyncsim import HeroSGD

    run = simulate(HeroSGD(0.1), NoProblem(), Workers(2, Constant(1.0)), stop=Stop(iterations=3))
    assert np.isnan(run.curves["regret"]).all()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(1, 3)), max_size=30), st.integers(1, 5))
def test_it_does_not_matter_in_which_parts_the_events_come(events, size):
    rows = np.array(sorted(events), dtype=np.int64).reshape(-1, 3)
    whole, parts = Regret(np.array([1.0, 2.0, 4.0])), Regret(np.array([1.0, 2.0, 4.0]))
    whole.add(*rows.T)
    for start in range(0, len(rows), size):
        parts.add(*rows[start : start + size].T)
    assert whole.before(4) == pytest.approx(parts.before(4))
    assert whole.before(4) >= 0


def test_it_survives_being_killed():
    workers = Workers(4, lambda worker: ShiftedExponential(worker + 1.0, 0.5))
    method = RennalaSGD(0.1, 5, allocation=ATAEmpirical())
    whole = simulate(method, NoProblem(), workers, stop=Stop(iterations=60))
    again = resumed(method, NoProblem(), workers, stop=Stop(iterations=60), at=[7, 30])
    assert (whole.curves["regret"] == again.curves["regret"]).all()
