"""Predictions: no proven bound is broken by a simulation, and what is not proven is said."""

import dataclasses
import math
import re

import numpy as np
import pytest

from asyncsim import (
    IA2SGD,
    PAGE,
    Adam,
    AsyncBatchSGD,
    AsynchronousSGD,
    AsyncLocalSGD,
    DecayingLocalSGD,
    DualLocalSGD,
    Exponential,
    FreyaPAGE,
    FreyaSGD,
    HeroPAGE,
    HeroSGD,
    LocalSGD,
    MaleniaSGD,
    MindFlayerSGD,
    MinibatchSGD,
    NaiveOptimalASGD,
    Quadratic,
    QuadraticSum,
    Record,
    RennalaSGD,
    RescaledASGD,
    RingleaderASGD,
    RingmasterASGD,
    SeparateQuadratics,
    SharedLink,
    SovietPAGE,
    Stop,
    Uniform,
    Workers,
    allocation,
    simulate,
)
from asyncsim.methods import METHODS
from asyncsim.running import knowledge
from asyncsim.theory import equilibrium_time, ringleader_round
from asyncsim.theory.predictions import Prediction, choice, predict, resolved, table, with_theory

TIMES = [1.0, 1.5, 3.0, 5.0]
NOISY, TARGET = Quadratic(6, noise=0.25), {"squared_gradient_norm": 0.15}
CONSTANT = Workers(4, TIMES)
RANDOM = Workers(4, [Exponential(τ) for τ in TIMES])
WITH_MESSAGES = Workers(4, TIMES, uplink=2.0, downlink=1.0)

HOMOGENEOUS = [
    RennalaSGD("theory", "theory"),
    RennalaSGD("theory", "theory", stops=True),
    RingmasterASGD("theory", "theory"),
    RingmasterASGD("theory", "theory", stops=True),
    HeroSGD("theory"),
    MinibatchSGD("theory", batch_size=2),
    LocalSGD("theory", local_steps=3),
    DualLocalSGD("theory", local_steps=3),
    DecayingLocalSGD("theory", local_steps=3),
    AsyncBatchSGD("theory", batch_size=2, threshold=4),
    MindFlayerSGD("theory"),
]
ONLY_CONSTANT = [
    AsynchronousSGD("theory"),
    NaiveOptimalASGD("theory"),
    MaleniaSGD("theory", "theory"),
    MaleniaSGD("theory", "every", stops=True),
    RingleaderASGD("theory"),
    RingleaderASGD("theory", harmonic_mean=2.0),
]


def held(method, problem, workers, seeds=(0,)):
    """The prediction, after runs that last as long as it says: the mean of ‖∇f‖² is then at most ε."""
    known = knowledge(problem, workers, TARGET)
    method = resolved(method, known)
    found = predict(method, known)
    assert found.seconds is not None, found.missing
    # time passes in steps of the clock; the bound is reached exactly where the proof is tight
    stop = Stop(time=found.seconds * (1 + 1e-9))
    means = []
    for seed in seeds:
        run = simulate(method, problem, workers, stop=stop, seed=seed, target=TARGET, record=Record(iterations=1))
        means.append(run.curves["mean_squared_gradient_norm"][-1])
        if workers is not RANDOM and not found.expected:
            assert run.iterations >= found.iterations
    assert np.mean(means) <= TARGET["squared_gradient_norm"]
    return found


def names(method):
    return type(method).__name__


@pytest.mark.parametrize("method", [*HOMOGENEOUS, *ONLY_CONSTANT], ids=names)
def test_no_simulation_with_constant_times_breaks_a_bound(method):
    found = held(method, NOISY, CONSTANT)
    assert found.proven
    assert not found.missing


@pytest.mark.parametrize("method", HOMOGENEOUS, ids=names)
def test_no_simulation_with_random_times_breaks_a_bound(method):
    found = held(method, NOISY, RANDOM, seeds=(0, 1))
    assert found.expected


@pytest.mark.parametrize("method", [*HOMOGENEOUS, *ONLY_CONSTANT], ids=names)
def test_messages_count(method):
    held(method, NOISY, WITH_MESSAGES)


@pytest.mark.parametrize(
    "method",
    [FreyaPAGE("theory"), SovietPAGE("theory"), HeroPAGE("theory"), PAGE("theory", batch_size=40)],
    ids=names,
)
def test_differences_wait_for_two_points_where_points_take_time_by_their_size(method):
    problem = QuadraticSum(components=40, dimension=6, mu=0.1).build(seed=1)
    workers = Workers(2, 0.1, downlink={"latency": 0.5, "bandwidth": 0.6})
    # hardly ever an exact gradient but the first, and a target that is reached in some 150 differences
    method = dataclasses.replace(method, probability=1e-9)
    known = knowledge(problem, workers, TARGET)
    stepsize = resolved(method, known).stepsize
    known = dataclasses.replace(known, epsilon=2 * known.Delta / (150 * stepsize))
    method = resolved(method, known)
    found = predict(method, known)
    run = simulate(method, problem, workers, stop=Stop(iterations=found.iterations))
    assert found.proven
    assert 100 < run.iterations < 200
    if isinstance(method, FreyaPAGE):
        assert run.time <= found.seconds
    else:
        assert [run.time, found.complexity] == pytest.approx([found.seconds] * 2, rel=1e-6)


def test_of_the_two_points_of_a_difference_only_the_size_counts_twice():
    problem = QuadraticSum(components=4, dimension=6).build(seed=1)
    for workers, seconds in (
        (Workers(2, 0.1, downlink={"latency": 0.5, "bandwidth": 0.6}), 10.0),
        (Workers(2, 0.1, shared_link=SharedLink(capacity=3.0, broadcast="counted")), 2.0),
        (Workers(2, 0.1, downlink={"bandwidth": 6.0}, shared_link=SharedLink(capacity=3.0)), 1.0),
    ):
        assert knowledge(problem, workers, TARGET).point_times.tolist() == [seconds, seconds]
    assert knowledge(problem, Workers(2, 0.1, uplink={"bandwidth": 0.6}, downlink=3.0), TARGET).point_times is None


LATE_STOPS = ["after_current_gradient", {"after": 0.5}, {"after": 9.0}]


@pytest.mark.parametrize("late", LATE_STOPS, ids=str)
@pytest.mark.parametrize("messages", [0.0, 0.4])
def test_stops_that_take_effect_later_break_no_bound_of_malenia(late, messages):
    workers = Workers(2, [2.1, 3.0], uplink=messages, stop_takes_effect=late)
    assert held(MaleniaSGD(0.5, "every", stops=True), Quadratic(5), workers).proven
    assert held(MaleniaSGD("theory", "theory", stops=True), NOISY, workers).proven


@pytest.mark.parametrize("late", LATE_STOPS, ids=str)
def test_stops_that_take_effect_later_leave_the_bounds_of_methods_that_lose_a_gradient_anyway(late):
    workers = Workers(4, TIMES, stop_takes_effect=late)
    for method in (RennalaSGD("theory", "theory", stops=True), RingmasterASGD("theory", "theory", stops=True)):
        assert held(method, NOISY, workers).proven


def test_freya_page_has_no_bound_where_stops_take_effect_later():
    problem = QuadraticSum(components=40, dimension=6, mu=0.1).build(seed=1)
    known = knowledge(problem, Workers(4, TIMES, stop_takes_effect="after_current_gradient"), TARGET)
    found = predict(resolved(FreyaPAGE("theory"), known), known)
    assert found.seconds is None
    assert found.complexity is not None
    assert found.missing == ("the time of a sum has a bound only where stops take effect at once",)


@pytest.mark.parametrize("method", [MinibatchSGD("theory"), MaleniaSGD("theory"), RingleaderASGD("theory")], ids=names)
def test_no_simulation_with_heterogeneous_data_breaks_a_bound(method):
    problem = SeparateQuadratics(dimension=2, spread=2, noise=0.3, start=2.0).build(n=4)
    assert held(method, problem, CONSTANT).proven


@pytest.mark.parametrize(
    "method", [FreyaPAGE("theory"), SovietPAGE("theory"), HeroPAGE("theory"), PAGE("theory")], ids=names
)
def test_no_simulation_of_page_breaks_a_bound(method):
    problem = QuadraticSum(components=40, dimension=6, mu=0.1).build(seed=1)
    assert held(method, problem, CONSTANT, seeds=(0, 1)).expected


@pytest.mark.parametrize("noise", [0.0, 0.1, 1.0])
def test_at_theorys_parameters_the_seconds_are_at_most_the_papers(noise):
    known = knowledge(Quadratic(6, noise=noise), CONSTANT, TARGET)
    scale, n, τ = known.L * known.Delta / known.epsilon, 4, np.array(TIMES)
    ringleader = predict(resolved(RingleaderASGD("theory"), known), known)
    mean_time = 160 * τ.mean() * known.sigma2 / (n * known.epsilon) * scale
    assert ringleader.seconds <= 64 * τ.max() * scale + mean_time + ringleader_round(τ)
    rennala = resolved(RennalaSGD("theory", "theory"), known)
    assert predict(rennala, known).seconds <= (8 * scale + 1) * equilibrium_time(τ, rennala.batch_size)


def test_tuned_parameters_have_bounds_as_far_as_the_proofs_go():
    known = knowledge(NOISY, CONSTANT, TARGET)
    assert predict(RennalaSGD(0.1, 3), known).seconds > predict(RennalaSGD(0.3, 3), known).seconds
    assert predict(RennalaSGD(1.5, 3), known).missing == (
        "nothing is proven for a stepsize of 1.5; it must be below 1.14774",
    )


def test_each_method_has_a_prediction_or_says_why_not():
    known = knowledge(NOISY, CONSTANT, TARGET)
    for name, cls in METHODS.items():
        needed = [field.name for field in dataclasses.fields(cls) if field.default is dataclasses.MISSING]
        try:
            method = cls(**dict.fromkeys(needed, "theory"))
        except ValueError:
            method = cls(**dict.fromkeys(needed, 0.1))
        (row,) = table({name: method}, known)
        assert row.prediction.seconds is not None or row.prediction.missing, name


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (RennalaSGD(0.1, 2), "unknown: Delta .* L .* sigma2 .* epsilon"),
        (IA2SGD(0.1), "no upper bound with constants is known here"),
        (RescaledASGD(0.1), "no time complexity is known here"),
    ],
    ids=names,
)
def test_what_is_unknown_is_said(method, words):
    found = predict(method, dataclasses.replace(knowledge(NOISY, CONSTANT, None), L=None, sigma2=None, Delta=None))
    assert found.seconds is None
    assert any(re.search(words, why) for why in found.missing)


def test_what_is_not_proven_is_no_bound():
    known = knowledge(NOISY, CONSTANT, TARGET)
    random = knowledge(NOISY, RANDOM, TARGET)
    changing = dataclasses.replace(random, independent_times=False)
    different = dataclasses.replace(known, heterogeneous=True)
    method = RennalaSGD(0.1, 2)
    assert "the update rule is another one" in predict(method, known, Adam()).missing[0]
    assert "greedy allocation" in predict(RennalaSGD(0.1, 2, allocation=allocation.Uniform()), known).missing[0]
    assert "the workers' data differ" in predict(method, different).missing[0]
    assert "no independent draws" in predict(method, changing).missing[0]
    assert "delays are bounded only for constant times" in predict(AsynchronousSGD(0.01), random).missing[0]
    assert "resend: own" in predict(RingleaderASGD(0.01, resend="latest"), known).missing[0]
    assert (
        "may never return"
        in predict(MinibatchSGD(0.1), knowledge(NOISY, Workers(2, [1.0, math.inf]), TARGET)).missing[0]
    )
    assert "not those of the workers' laws" in predict(MindFlayerSGD(0.1, 1.0, 2, 0.9), random).missing[0]
    assert not predict(AsyncLocalSGD(*_birch(known), 2, 4), known).recorded


def _birch(known):
    return (resolved(AsyncLocalSGD("theory", 2, 4), known).stepsize,)


def test_methods_whose_workers_reach_all_data_have_no_bound_where_each_has_its_own():
    known = knowledge(NOISY, CONSTANT, TARGET)
    whole = dataclasses.replace(known, components=10, L_minus=1.0, L_plus=1.0, L_plus_minus=0.5)
    method = resolved(FreyaPAGE("theory"), whole)
    assert predict(method, whole).complexity is not None
    different = predict(method, dataclasses.replace(whole, heterogeneous=True))
    assert (different.seconds, different.complexity) == (None, None)
    assert "needs every worker to reach all of the data" in different.missing[0]


def test_what_rests_on_estimates_is_not_proven():
    known = dataclasses.replace(knowledge(NOISY, CONSTANT, TARGET), estimated=frozenset({"sigma2", "L_plus"}))
    found = predict(RennalaSGD(0.1, 2), known)
    assert (found.estimated, found.proven) == (("sigma2",), False)
    sampled = predict(MinibatchSGD(0.1), knowledge(NOISY, Workers(2, Uniform(1.0, 2.0)), TARGET))
    assert sampled.estimated == ("the slowest worker's time",)
    assert sampled.seconds / sampled.iterations == pytest.approx(5 / 3, rel=0.03)  # of two uniform on [1, 2]


def test_a_method_of_ones_own_says_its_time_itself():
    class Mine:
        def run(self, server): ...

        def predicted_time(self, knowledge):
            return Prediction(seconds=1.0)

    assert predict(Mine(), knowledge(NOISY, CONSTANT, TARGET)).seconds == 1.0


def test_asked_for_theory_everything_that_can_be_is_and_nothing_else():
    assert with_theory(RennalaSGD(0.5, 3, stops=True)) == RennalaSGD("theory", "theory", stops=True)
    assert with_theory(RingleaderASGD(0.5)) == RingleaderASGD("theory")
    assert with_theory(MinibatchSGD(0.5, batch_size=4)) == MinibatchSGD("theory", batch_size=4)
    assert with_theory(FreyaSGD(0.5)).components == "theory"


def test_rennala_and_ringmaster_are_optimal_and_minibatch_is_not():
    known = knowledge(NOISY, CONSTANT, TARGET)
    order = {type(m): predict(resolved(m, known), known) for m in HOMOGENEOUS}
    assert order[RennalaSGD].complexity == order[RingmasterASGD].complexity == order[RennalaSGD].lower_bound
    assert order[MinibatchSGD].complexity > order[RennalaSGD].complexity


def test_the_choice_names_the_least_bound_and_those_that_are_equal():
    known = knowledge(NOISY, CONSTANT, TARGET)
    said = choice(table({"a": RennalaSGD(1.0, 1), "b": RingmasterASGD(1.0, 1), "c": MinibatchSGD(1.0)}, known), known)
    assert said.startswith("Theory would take a: within ")
    assert "Up to constants a and b are equal and no other is better." in said


@pytest.mark.parametrize(
    ("uplink", "who"), [(100.0, "Hero SGD wins"), (0.01, "rounds of all workers win over Hero SGD")]
)
def test_the_choice_tells_the_crossover_of_hero(uplink, who):
    known = knowledge(NOISY, Workers(4, 1.0, uplink=uplink), TARGET)
    assert who in choice(table({"hero": HeroSGD(1.0), "dual": DualLocalSGD(1.0, 1)}, known), known)


def test_where_nothing_is_known_the_choice_says_so():
    known = dataclasses.replace(knowledge(NOISY, CONSTANT, None), L=None)
    assert choice(table({"a": RennalaSGD(1.0, 1)}, known), known).startswith("Theory can say nothing here: ")
