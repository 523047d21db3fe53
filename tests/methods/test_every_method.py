"""The contract of every registered method: one row in `CASES` for each of its forms.

A method without a row fails here. What is special to one method stands in its own file.
"""

import dataclasses
import functools
import inspect
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import Noisy, NoisyInFloat32, Slope, bits, differences

from asyncsim import METHODS, Constant, Exponential, Gradient, Quadratic, QuadraticSum, Record, Stop, Workers, simulate
from asyncsim.allocation import ATA, ATAEmpirical, Uniform
from asyncsim.parameters import described
from asyncsim.streams import Stream
from asyncsim.testing import adversarial, resumed
from asyncsim.testing.holds import broken
from asyncsim.update_rules import Adam, Momentum, Muon

CASES = {
    "asynchronous_sgd": ("asynchronous_sgd", {"stepsize": 0.1}),
    "asynchronous_sgd, delay-adaptive": ("asynchronous_sgd", {"stepsize": 0.1, "delay_adaptive": True}),
    "minibatch_sgd": ("minibatch_sgd", {"stepsize": 0.5}),
    "minibatch_sgd, 3 each": ("minibatch_sgd", {"stepsize": 0.5, "batch_size": 3}),
    "hero_sgd": ("hero_sgd", {"stepsize": 0.3, "worker": 0}),
    "hero_sgd, 3 local steps": ("hero_sgd", {"stepsize": 0.2, "worker": 0, "local_steps": 3}),
    "rennala_sgd": ("rennala_sgd", {"stepsize": 0.5, "batch_size": 3}),
    "rennala_sgd, stops": ("rennala_sgd", {"stepsize": 0.5, "batch_size": 3, "stops": True}),
    "rennala_sgd, uniform": ("rennala_sgd", {"stepsize": 0.5, "batch_size": 3, "allocation": Uniform()}),
    "rennala_sgd, ata": ("rennala_sgd", {"stepsize": 0.5, "batch_size": 3, "allocation": ATA(alpha=0.5)}),
    "rennala_sgd, ata_empirical": ("rennala_sgd", {"stepsize": 0.5, "batch_size": 3, "allocation": ATAEmpirical()}),
    "ringmaster_asgd": ("ringmaster_asgd", {"stepsize": 0.1, "threshold": 3}),
    "ringmaster_asgd, stops": ("ringmaster_asgd", {"stepsize": 0.1, "threshold": 3, "stops": True}),
    "naive_optimal_asgd": ("naive_optimal_asgd", {"stepsize": 0.1, "workers": (0,)}),
    "malenia_sgd": ("malenia_sgd", {"stepsize": 0.5}),
    "malenia_sgd, stops": ("malenia_sgd", {"stepsize": 0.5, "stops": True}),
    "malenia_sgd, 8 collected": ("malenia_sgd", {"stepsize": 0.5, "batch_size": 8}),
    "malenia_sgd, 8 collected, stops": ("malenia_sgd", {"stepsize": 0.5, "batch_size": 8, "stops": True}),
    "ringleader_asgd": ("ringleader_asgd", {"stepsize": 0.1}),
    "ringleader_asgd, latest": ("ringleader_asgd", {"stepsize": 0.1, "resend": "latest"}),
    "ringleader_asgd, rows of 2": ("ringleader_asgd", {"stepsize": 0.1, "harmonic_mean": 2.0}),
    "ia2_sgd": ("ia2_sgd", {"stepsize": 0.05}),
    "rescaled_asgd": ("rescaled_asgd", {"stepsize": 0.05}),
    "random_assignment_asgd": ("random_assignment_asgd", {"stepsize": 0.1}),
    "freya_page": ("freya_page", {"stepsize": 0.5, "batch_size": 2, "probability": 0.3, "components": 4}),
    "freya_page, ata_empirical": (
        "freya_page",
        {"stepsize": 0.5, "batch_size": 3, "probability": 0.3, "components": 4, "allocation": ATAEmpirical()},
    ),
    "freya_sgd": ("freya_sgd", {"stepsize": 0.5, "batch_size": 3, "components": 4}),
    "freya_sgd, uniform": (
        "freya_sgd",
        {"stepsize": 0.5, "batch_size": 3, "components": 4, "allocation": Uniform()},
    ),
    "soviet_page": ("soviet_page", {"stepsize": 0.5, "batch_size": 2, "probability": 0.3, "components": 4}),
    "hero_page": ("hero_page", {"stepsize": 0.5, "batch_size": 2, "probability": 0.3, "components": 4, "worker": 0}),
    "page": (
        "page",
        {"stepsize": 0.5, "batch_size": 4, "difference_batch_size": 2, "probability": 0.3, "components": 4},
    ),
    "page, fresh minibatches": (
        "page",
        {"stepsize": 0.3, "batch_size": 3, "difference_batch_size": 2, "probability": 0.5, "components": 4},
    ),
    "local_sgd": ("local_sgd", {"stepsize": 0.5, "local_steps": 1}),
    "local_sgd, 3 steps": ("local_sgd", {"stepsize": 0.2, "local_steps": 3}),
    "dual_local_sgd": ("dual_local_sgd", {"stepsize": 0.1, "local_steps": 1}),
    "dual_local_sgd, 3 steps": ("dual_local_sgd", {"stepsize": 0.03, "local_steps": 3}),
    "decaying_local_sgd": ("decaying_local_sgd", {"stepsize": 0.1, "local_steps": 1}),
    "decaying_local_sgd, 3 steps": ("decaying_local_sgd", {"stepsize": 0.03, "local_steps": 3}),
    "decaying_local_sgd, 3 steps, log of b": (
        "decaying_local_sgd",
        {"stepsize": 0.03, "local_steps": 3, "log_of": "b"},
    ),
    "async_local_sgd": ("async_local_sgd", {"stepsize": 0.1, "local_steps": 1, "threshold": 3}),
    "async_local_sgd, 3 steps": ("async_local_sgd", {"stepsize": 0.05, "local_steps": 3, "threshold": 8}),
    "async_batch_sgd": ("async_batch_sgd", {"stepsize": 0.1, "batch_size": 1, "threshold": 3}),
    "async_batch_sgd, 3 each": ("async_batch_sgd", {"stepsize": 0.05, "batch_size": 3, "threshold": 8}),
    "mindflayer_sgd": (
        "mindflayer_sgd",
        {"stepsize": 0.5, "allotted_times": 6.0, "trials": 1, "success_probabilities": 1.0},
    ),
    "mindflayer_sgd, 2 trials": (
        "mindflayer_sgd",
        {"stepsize": 0.5, "allotted_times": 2.5, "trials": 2, "success_probabilities": 0.6},
    ),
}

# those that wait for every worker they have given work: one that never returns ends them
WAITS_FOR_ALL = {
    "minibatch_sgd", "random_assignment_asgd", "soviet_page", "page", "local_sgd", "dual_local_sgd", "decaying_local_sgd",
}  # fmt: skip
# and the forms that do, as an allocation gives every worker tasks before it knows them
WAITS_FOR_ALL |= {case for case, (_, parameters) in CASES.items() if "allocation" in parameters}
# those that wait for the one worker of theirs
WAITS_FOR_ITS_OWN = {"hero_sgd", "naive_optimal_asgd", "hero_page"}
# those that go on receiving from the others while they wait for every worker
WAITS_RECEIVING = {"malenia_sgd", "ringleader_asgd", "ia2_sgd"}
# those whose sums run on from step to step, so that one worker's gradients come out to rounding only
TO_ROUNDING = {"ia2_sgd"}
# those that draw components of a finite sum by luck of their own, in place of the workers' gradients
OF_FINITE_SUMS = [case for case, (_, parameters) in CASES.items() if "components" in parameters]
# those whose step is not γ·(the mean of gradients at x): sums, local steps, expected numbers
OTHER_STEPS = {
    "local_sgd, 3 steps", "dual_local_sgd, 3 steps", "decaying_local_sgd, 3 steps", "async_local_sgd, 3 steps",
    "decaying_local_sgd, 3 steps, log of b", "async_batch_sgd, 3 each", "mindflayer_sgd, 2 trials",
    "hero_sgd, 3 local steps", "ringleader_asgd, rows of 2",
}  # fmt: skip

# those whose workers send means of their own, of which the server makes the sum and the mean again
SEND_MEANS = {"minibatch_sgd, 3 each", "rennala_sgd, uniform", "rennala_sgd, ata", "rennala_sgd, ata_empirical"}

NAMES = list(dict.fromkeys(name for name, _ in CASES.values()))

STEPS = Stop(iterations=40)
FEW_RECORDS = Record(iterations=10)


def make(case: str):
    name, parameters = CASES[case]
    return METHODS[name](**parameters)


def every_case(test):
    return pytest.mark.parametrize("case", CASES)(test)


def sgd_case(test):
    return pytest.mark.parametrize("case", [case for case in CASES if case not in {*OF_FINITE_SUMS, *OTHER_STEPS}])(
        test
    )


def quadratic(case: str):
    if case in OF_FINITE_SUMS:
        return QuadraticSum(components=4, dimension=10, heterogeneity=0.01, mu=0.02).build(seed=1)
    return Quadratic(10, noise=0.001)


def unequal(n: int = 5) -> Workers:
    return Workers(n, lambda worker: Exponential(1.0 + worker), uplink=0.1)


def test_every_registered_method_has_a_row():
    assert {name for name, _ in CASES.values()} == set(METHODS)


def test_the_scenarios_homogeneous_and_heterogeneous_show_every_method():
    from asyncsim.catalogue import starters

    named = [(starters() / f"{which}.yaml").read_text(encoding="utf-8") for which in ("homogeneous", "heterogeneous")]
    assert [name for name in METHODS if not any(f"name: {name}," in text for text in named)] == []


@every_case
def test_it_converges_on_a_quadratic(case):
    run = simulate(make(case), quadratic(case), unequal(), stop=Stop(iterations=1500), record=Record(iterations=500))
    norms = run.curves["squared_gradient_norm"]
    assert run.status == "finished"
    assert norms[-1] < 1e-3 * norms[0]


@every_case
def test_the_same_seed_gives_the_same_bits_and_another_does_not(case):
    def run(seed: int):
        return simulate(make(case), Noisy(), unequal(), stop=STEPS, seed=seed, record=FEW_RECORDS)

    assert differences(run(7), run(7)) == []
    assert run(7).event_hash != run(8).event_hash
    assert run(7).curves["value"][-1] != run(8).curves["value"][-1]


@every_case
@given(choices=st.lists(st.integers(0, 100), max_size=120), n=st.integers(1, 6))
@settings(max_examples=30)
def test_it_survives_every_fair_order_of_arrivals(case, choices, n):
    trace = adversarial(make(case), choices, n=n, x0=[1.0, -1.0])
    assert trace.reason == "the adversary has no more choices"
    assert trace.workers("arrived") != [] or not choices
    assert all(np.isfinite(x).all() for x in trace.iterates)


@every_case
def test_a_fair_order_brings_it_on(case):
    """Round robin, 300 arrivals: nobody can be stuck."""
    assert len(adversarial(make(case), [0] * 300, n=4).iterates) > 20


@sgd_case
def test_with_one_worker_it_is_sgd_bit_by_bit(case):
    """x ← x − γ·(mean of the batch), the m-th gradient with the luck of (seed, "data", 0, m)."""
    method = make(case)
    problem, seed = Noisy(), 11
    batch = {"every": 1}.get(asked := getattr(method, "batch_size", 1), asked)
    data, x = Stream(seed, "data"), problem.x0
    by_hand = [problem.value(x)]
    for k in range(20):
        gradients = [problem.gradient(x, data.at(0, m), 0) for m in range(k * batch, (k + 1) * batch)]
        added = functools.reduce(np.add, gradients)
        direction = added if batch == 1 else added / batch
        if case in SEND_MEANS:
            direction = batch * direction / batch
        x = x - method.stepsize * direction
        by_hand.append(problem.value(x))
    run = simulate(method, problem, Workers(1, 1.0), stop=Stop(iterations=20), seed=seed, record=Record(iterations=1))
    if case in TO_ROUNDING:
        assert run.curves["value"] == pytest.approx(by_hand, rel=1e-12)
    else:
        assert bits(run.curves["value"]) == bits(np.array(by_hand))
    assert run.largest_delay == 0


@every_case
@given(at=st.sets(st.integers(1, 39), min_size=1, max_size=3))
@settings(max_examples=8)
def test_killed_and_taken_up_again_it_ends_with_the_same_bits(case, at):
    options = {"stop": STEPS, "seed": 3, "record": FEW_RECORDS}
    alone = simulate(make(case), Noisy(), unequal(), **options)
    assert differences(alone, resumed(make(case), Noisy(), unequal(), at=at, **options)) == []


@every_case
def test_taken_up_at_every_single_step_it_ends_with_the_same_bits(case):
    """Entering `run` anew at each iteration: nothing may live in a local variable."""
    options = {"stop": Stop(iterations=15), "seed": 4, "record": FEW_RECORDS}
    alone = simulate(make(case), Noisy(), unequal(), **options)
    assert differences(alone, resumed(make(case), Noisy(), unequal(), at=range(1, 15), **options)) == []


@every_case
def test_under_an_update_rule_the_events_stay_and_its_memory_survives_a_kill(case):
    options = {"stop": Stop(iterations=15), "seed": 4, "record": FEW_RECORDS}
    plain = simulate(make(case), Noisy(), unequal(), **options)
    alone = simulate(make(case), Noisy(), unequal(), update_rule=Momentum(beta=0.5), **options)
    again = resumed(make(case), Noisy(), unequal(), update_rule=Momentum(beta=0.5), at=[1, 2, 9], **options)
    assert alone.event_hash == plain.event_hash
    assert alone.curves["value"][-1] != plain.curves["value"][-1]
    assert differences(alone, again) == []


class OwnLaw:
    def sample(self, rng, size):
        return 0.5 + rng.random(size)


@every_case
def test_a_law_of_ones_own_is_enough_for_it_also_when_taken_up_again(case):
    options = {"stop": STEPS, "seed": 5, "record": FEW_RECORDS}
    run = simulate(make(case), Noisy(), Workers(5, OwnLaw()), **options)
    assert run.status == "finished"
    assert differences(run, resumed(make(case), Noisy(), Workers(5, OwnLaw()), at=[3], **options)) == []


@every_case
def test_every_gradient_sent_is_accounted_for(case):
    run = simulate(make(case), Noisy(), unequal(), stop=Stop(time=60.0), record=FEW_RECORDS)
    counts = run.workers
    ways = sum(counts[name] for name in ("used", "discarded", "stopped", "timed_out", "lost", "in_flight"))
    assert counts["sent"].tolist() == ways.tolist()
    assert run.used > 0


@every_case
def test_on_timing_only_runs_the_events_are_the_same_as_with_a_problem(case):
    from asyncsim import NoProblem

    problems = (Noisy(), NoProblem())
    runs = [simulate(make(case), p, unequal(), stop=Stop(time=60.0), record=FEW_RECORDS) for p in problems]
    assert runs[0].event_hash == runs[1].event_hash
    assert runs[0].used == runs[1].used


@every_case
def test_what_is_discarded_or_stopped_is_never_computed(case):
    problem = Slope()
    run = simulate(make(case), problem, unequal(), stop=Stop(time=60.0), record=FEW_RECORDS)
    assert len(problem.evaluated) == run.used


@every_case
def test_a_worker_that_never_returns_stalls_only_those_that_wait_for_it(case):
    name = CASES[case][0]
    for dead in (0, 2):
        times = [1.0, 1.5, 2.0]
        times[dead] = np.inf
        stop = Stop(time=1e6 if name in WAITS_RECEIVING else 200.0)
        run = simulate(make(case), Slope(), Workers(3, times), stop=stop, record=FEW_RECORDS)
        if name in WAITS_RECEIVING:
            assert run.status == "stalled"
            assert run.reason.startswith(f"stalled: waiting for workers {{{dead}}}: no step over the last 10,000 ")
            continue
        waits = {name, case} & WAITS_FOR_ALL or (name in WAITS_FOR_ITS_OWN and dead == 0)  # their own is worker 0
        assert run.status == ("stalled" if waits else "finished")
        if waits:
            assert run.reason == f"stalled: waiting for workers {{{dead}}}, who never return"
        else:
            assert run.iterations > 10


@every_case
def test_a_run_of_no_time_is_one_record(case):
    run = simulate(make(case), quadratic(case), unequal(), stop=Stop(time=0.0), record=Record(points=5))
    assert (run.status, run.time, run.iterations) == ("finished", 0.0, 0)
    assert run.curves["time"].tolist() == [0.0]
    assert run.workers["sent"].tolist() == run.workers["in_flight"].tolist()


@every_case
@pytest.mark.parametrize("corner", ["a batch larger than n", "equal speeds", "one worker", "one very slow"])
def test_at_its_corners_it_keeps_all_rules(case, corner):
    """Played twice and taken up, with every invariant of a run (asyncsim/testing/holds.py)."""
    method, n, times = make(case), 3, [1.0, 1.5, 2.0]
    if corner == "a batch larger than n":
        times = [1.0, 1.1, 1.3]
        if isinstance(getattr(method, "batch_size", None), int):
            method = dataclasses.replace(method, batch_size=8)
    elif corner == "equal speeds":
        times = [1.0] * n
    elif corner == "one worker":
        n, times = 1, [1.0]
    else:
        times = [1.0, 1.5, 60.0]
    options = {"stop": Stop(iterations=8, time=1e5), "seed": 2, "record": Record(iterations=3, events="all")}
    alone = simulate(method, quadratic(case), Workers(n, times), **options)
    assert alone.status == "finished"
    assert alone.iterations == 8
    assert broken(alone) == []
    assert differences(alone, resumed(method, quadratic(case), Workers(n, times), at=[1, 3], **options)) == []


@every_case
def test_its_gradients_are_evaluated_together_with_the_same_bits(case):
    from asyncsim.running import execute

    problem = quadratic(case)
    one, many = (
        execute(make(case), problem, unequal(), STEPS, 5, None, FEW_RECORDS, case, evaluation=evaluation)
        for evaluation in ("single", "batched")
    )
    assert differences(one, many) == []


@pytest.mark.parametrize("name", METHODS)
def test_its_docstring_tells_parameters_source_and_when_not_to_use_it(name):
    text = inspect.getdoc(METHODS[name])
    assert [p.name for p in described(METHODS[name]) if not p.meaning] == []
    assert re.search(r"arXiv:\d{4}\.\d{5}", text)
    assert "When not to use it: " in text
    assert ">>> " in text


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_frozen_description_and_its_file_is_called_as_it_is(name):
    cls = METHODS[name]
    assert cls.__module__ == f"asyncsim.methods.{name}"
    method = make(next(case for case, (of, _) in CASES.items() if of == name))
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.stepsize = 1.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stepsize", [0.0, -1.0, np.nan, np.inf, "big", None, True])
def test_an_impossible_stepsize_is_refused(name, stepsize):
    parameters = next(p for of, p in CASES.values() if of == name) | {"stepsize": stepsize}
    with pytest.raises(ValueError, match=r"stepsize = .*, but a number > 0( or 'theory')? is needed"):
        METHODS[name](**parameters)


def test_equal_constant_times_and_equal_seeds_give_all_methods_the_same_first_gradient():
    """Worker 0's first gradient is the same for each method: same luck, same x⁰."""
    first = set()
    for case in CASES.keys() - {*OF_FINITE_SUMS}:
        problem = Noisy()
        simulate(make(case), problem, Workers(3, Constant(1.0)), stop=Stop(iterations=1), seed=9, record=FEW_RECORDS)
        first.add(problem.drawn[0])
    assert len(first) == 1


@every_case
@given(choices=st.lists(st.integers(0, 100), max_size=120), n=st.integers(1, 6))
@settings(max_examples=20)
def test_it_keeps_what_its_paper_promises_in_every_fair_order(case, choices, n):
    trace = adversarial(make(case), choices, n=n, x0=[1.0, -1.0], gradient=lambda x, who: x + 0.1 * who, verify=True)
    assert trace.verification["iterations"] == len(trace.iterates) - 1


@every_case
def test_the_self_check_finds_no_breach_and_changes_no_bit_also_when_taken_up_again(case):
    options = {"stop": STEPS, "seed": 5, "record": FEW_RECORDS}
    alone = simulate(make(case), Noisy(), unequal(), **options)
    checked = simulate(make(case), Noisy(), unequal(), verify=True, **options)
    again = resumed(make(case), Noisy(), unequal(), at=[3, 4, 17], verify=True, **options)
    assert differences(alone, checked) == differences(alone, again) == []
    assert checked.verification == again.verification


class Watching:
    """The plain rule, which notes the types of the directions and points it is given."""

    def __init__(self):
        self.seen = set()

    def start(self, x0, state):
        return self

    def step(self, x, stepsize, direction):
        self.seen |= {x.dtype, direction.dtype}
        return x - stepsize * direction

    def state(self):
        return None


@every_case
def test_it_keeps_float32(case):
    rule = Watching()
    options = {"stop": STEPS, "seed": 5, "record": FEW_RECORDS}
    run = simulate(make(case), NoisyInFloat32(), unequal(), update_rule=rule, **options)
    assert run.status == "finished"
    assert rule.seen <= {np.dtype(np.float32)}  # methods that set x outright never ask the rule
    double = simulate(make(case), Noisy(), unequal(), **options)
    assert run.curves["value"][-1] == pytest.approx(double.curves["value"][-1], rel=1e-4)
    again = resumed(make(case), NoisyInFloat32(), unequal(), at=[3, 17], **options)
    plain = simulate(make(case), NoisyInFloat32(), unequal(), **options)
    assert differences(plain, again) == []


@pytest.mark.parametrize("rule", [Momentum(), Momentum(nesterov=True), Adam(), Muon(), Muon(shape=(1, 2), norm="sign")])
def test_every_update_rule_keeps_float32(rule):
    x = np.array([1.0, -2.0, 3.0], np.float32)
    run = rule.start(x, None)
    for _ in range(3):
        x = run.step(x, 0.1, x)
        assert x.dtype == np.float32
    assert {value.dtype for value in run.state().values() if hasattr(value, "dtype")} == {np.dtype(np.float32)}


def test_an_iterate_in_float32_stays_one_also_under_a_method_that_mixes_types():
    class Mixes:
        def run(self, server):
            while True:
                server.broadcast(Gradient(server.x))
                server.step(0.1, np.float64(1.0) * server.receive().gradient)

    run = simulate(Mixes(), NoisyInFloat32(), unequal(), stop=STEPS, record=FEW_RECORDS)
    assert run.status == "finished"
