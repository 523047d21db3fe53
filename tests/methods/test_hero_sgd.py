"""Hero SGD by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Noisy, differing_numbers, play

from asyncsim import HeroSGD, NoProblem, ProtocolError, Record, RennalaSGD, Stop, Workers, simulate
from asyncsim.running import knowledge
from asyncsim.testing import scripted
from asyncsim.theory import resolved


def test_one_worker_does_it_all():
    """γ = ½ halves x: 8, 4, 2; workers 0 and 2 are never sent anything."""
    trace = scripted(HeroSGD(0.5, worker=1), [1, 1], n=3, x0=[8.0])
    assert np.concatenate(trace.iterates).tolist() == [8.0, 4.0, 2.0]
    assert trace.workers("sent") == [1, 1, 1]


def test_theory_chooses_the_one_with_the_shortest_trip():
    """Compute times 3, 2, 2.5 and an uplink that makes the second one slow: worker 2 has the least sum."""
    workers = Workers(3, [3.0, 2.0, 2.5], uplink=[0.0, 1.5, 0.0])
    run = simulate(HeroSGD(0.5), Noisy(), workers, stop=Stop(iterations=4))
    assert run.parameters == {"stepsize": 0.5, "worker": 2, "local_steps": 1}
    assert run.workers["used"].tolist() == [0, 0, 4]
    assert run.time == 10.0


@given(st.integers(0, 100))
def test_on_one_worker_it_is_rennala_sgd_with_a_batch_of_one(seed):
    options = {"stop": Stop(iterations=15), "seed": seed, "record": Record(iterations=5)}
    hero = simulate(HeroSGD(0.3, worker=0), Noisy(), Workers(1, 1.0), **options)
    rennala = simulate(RennalaSGD(0.3, batch_size=1), Noisy(), Workers(1, 1.0), **options)
    assert differing_numbers(hero, rennala) == []


def test_theory_chooses_for_answers_of_many_gradients_the_one_who_computes_fastest():
    known = knowledge(NoProblem(), Workers(2, [1.0, 5.0], uplink=[10.0, 0.0]), None)
    assert [resolved(HeroSGD(0.1, local_steps=K), known).worker for K in (1, 100)] == [1, 0]


def test_local_steps_share_one_message():
    """γ = ½, K = 3: 8 → 4 → 2 → 1 on the worker, sent once; with 2 s a gradient and 1 s each way a round takes 8 s."""
    trace = scripted(HeroSGD(0.5, worker=0, local_steps=3), [0, 0], n=1, x0=[8.0])
    assert np.concatenate(trace.iterates).tolist() == [8.0, 1.0, 0.125]
    workers = Workers(1, 2.0, uplink=1.0, downlink=1.0)
    run = simulate(HeroSGD(0.1, worker=0, local_steps=3), Noisy(), workers, stop=Stop(iterations=4))
    assert (run.time, run.used) == (32.0, 12)


def test_a_hero_who_is_not_there_is_an_error():
    with pytest.raises(ProtocolError, match=r"send\(3, …\): workers are 0…1"):
        play(HeroSGD(0.5, worker=3), [1.0, 1.0])
