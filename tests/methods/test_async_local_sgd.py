import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import Noisy, differences, differing_numbers

from asyncsim import (
    AsyncBatchSGD,
    AsynchronousSGD,
    AsyncLocalSGD,
    Exponential,
    Knowledge,
    Record,
    RingmasterASGD,
    Stop,
    Workers,
    simulate,
)
from asyncsim.testing import resumed, scripted
from asyncsim.theory import birch_stepsize, threshold_distance

EVERY = Record(iterations=1)
UNEQUAL = Workers(5, lambda worker: Exponential(1.0 + 2 * worker), uplink=1.0)


def test_sums_are_applied_as_they_come_and_the_worker_goes_on_at_the_newest_point():
    """M = 2, γ = ½: a chain from x has gradients x + x/2 and moves x to x/4."""
    trace = scripted(AsyncLocalSGD(0.5, local_steps=2, threshold=9), [0, 0, 1], n=2, x0=[8.0])
    assert [x.item() for x in trace.iterates] == [8.0, 2.0, 0.5, 0.5 - 6.0]
    assert trace.delays == [0, 0, 2]


@pytest.mark.parametrize(("B", "accepted"), [(3, False), (4, False), (5, True)])
def test_the_delay_is_counted_in_gradients_and_must_be_below_the_threshold(B, accepted):
    """Worker 1 began two updates ago; of two gradients each that are δ = 4, not 2."""
    trace = scripted(AsyncLocalSGD(0.5, local_steps=2, threshold=B), [0, 0, 1, 1], n=2, x0=[8.0])
    assert trace.workers("used") == ([0, 0, 1, 1] if accepted else [0, 0, 1])
    assert [x.item() for x in trace.iterates[:3]] == [8.0, 2.0, 0.5]
    assert trace.iterates[3].item() == (-5.5 if accepted else 0.125)


@given(M=st.integers(1, 6), B=st.integers(1, 40), seed=st.integers(0, 10))
@settings(max_examples=20)
def test_no_gradient_is_applied_further_than_the_tree_distance_from_its_point(M, B, seed):
    run = simulate(AsyncLocalSGD(1e-3, M, B), Noisy(), UNEQUAL, stop=Stop(iterations=60), seed=seed, verify=True)
    assert M * run.largest_delay < B
    assert M * run.largest_delay + M - 1 <= threshold_distance(M, B) <= B + M - 2


@pytest.mark.parametrize("method", [AsyncLocalSGD(0.1, 1, 3), AsyncBatchSGD(0.1, 1, 3)], ids=repr)
def test_with_one_gradient_a_message_it_is_ringmaster_asgd_bit_by_bit(method):
    options = {"stop": Stop(time=100.0), "seed": 1, "record": EVERY}
    found, ringmaster = (simulate(m, Noisy(), UNEQUAL, **options) for m in (method, RingmasterASGD(0.1, 3)))
    assert found.discarded > 0
    assert differing_numbers(found, ringmaster) == []


def test_with_one_gradient_a_message_and_no_threshold_it_is_asynchronous_sgd_bit_by_bit():
    options = {"stop": Stop(time=100.0), "seed": 1, "record": EVERY}
    found, vanilla = (
        simulate(m, Noisy(), UNEQUAL, **options) for m in (AsyncLocalSGD(0.05, 1, 10**9), AsynchronousSGD(0.05))
    )
    assert differing_numbers(found, vanilla) == []


@pytest.mark.parametrize("method", [AsyncLocalSGD(0.02, 3, 7), AsyncBatchSGD(0.02, 3, 7)], ids=repr)
def test_killed_at_several_iterations_it_ends_with_the_same_bits(method):
    """Chains in flight are taken up with their point, their stepsize and their own number of gradients."""
    options = {"stop": Stop(time=150.0), "seed": 2, "record": EVERY}
    alone = simulate(method, Noisy(), UNEQUAL, **options)
    assert alone.discarded > 0
    assert differences(alone, resumed(method, Noisy(), UNEQUAL, at=[1, 2, 7, 20], **options)) == []


def test_a_worker_that_never_returns_does_not_hold_it_up():
    run = simulate(AsyncLocalSGD(0.02, 3, 20), Noisy(), Workers(3, [1.0, 2.0, float("inf")]), stop=Stop(time=100.0))
    assert (run.status, run.iterations) == ("finished", 33 + 16)


def test_a_message_carries_all_gradients_of_its_chain():
    run = simulate(
        AsyncLocalSGD(0.02, 5, 100), Noisy(), Workers(1, 1.0, uplink=7.0, downlink=2.0), stop=Stop(time=140.0)
    )
    assert (run.iterations, run.used) == (10, 50)


@pytest.mark.parametrize(("method", "M"), [(AsyncLocalSGD, "local_steps"), (AsyncBatchSGD, "batch_size")])
def test_theory_takes_the_stepsize_from_the_tree_distance(method, M):
    found = method("theory", "theory", "theory").theory(Knowledge(n=16, L=1.0, sigma2=10.0, epsilon=0.05))
    assert found == {
        M: 13,
        "threshold": 200,
        "stepsize": birch_stepsize(1.0, 10.0, 0.05, R=threshold_distance(13, 200)),
    }
