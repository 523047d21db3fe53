"""`simulate` and `compare`, with what a user brings from Python: methods, laws, problems as plain objects."""

import numpy as np
import pytest
from toys import Noisy, Slope, differences

from asyncsim import (
    AsynchronousSGD,
    Exponential,
    Gradient,
    HeroSGD,
    NoProblem,
    Quadratic,
    Record,
    RennalaSGD,
    Stop,
    Workers,
    compare,
    simulate,
)
from asyncsim.running import evaluation_of, execute, facts, name_of

SHORT = Stop(time=10.0)


class SignSGD:
    """A method of the user's own: no base class, no registration."""

    def __init__(self, stepsize: float) -> None:
        self.stepsize = stepsize

    def run(self, server) -> None:
        while True:
            server.broadcast(Gradient(server.x))
            server.step(self.stepsize, np.sign(server.receive().gradient))


class Bare:
    """A problem of the user's own with no more than a problem must have."""

    dimension = 2
    x0 = np.array([3.0, -4.0])

    def gradient(self, x, rng, worker):
        return x + 0.1 * rng.standard_normal(2)


class Clockwork:
    """A law of the user's own."""

    def sample(self, rng, size):
        return np.full(size, 2.0)


def test_a_method_of_ones_own_needs_a_run_and_nothing_else():
    run = simulate(SignSGD(1.0), Slope(), Workers(1, 1.0), stop=Stop(iterations=3), record=Record(iterations=1))
    assert run.curves["value"].tolist() == [32.0, 24.5, 18.0, 12.5]
    assert (run.method, run.label, run.parameters) == ("SignSGD", "SignSGD", {})


def test_a_problem_of_ones_own_needs_dimension_x0_and_gradient():
    run = simulate(AsynchronousSGD(0.1), Bare(), Workers(2, 1.0), stop=SHORT)
    assert run.status == "finished"
    assert np.isnan(run.curves["value"]).all()
    assert Bare.x0.flags.writeable


def test_a_law_of_ones_own_needs_a_sample():
    assert simulate(AsynchronousSGD(0.1), Slope(), Workers(1, Clockwork()), stop=SHORT).iterations == 5


def test_a_law_may_be_anything_that_workers_take():
    for compute_time in (2.0, [2.0], "2 * i", lambda worker: Clockwork(), lambda rng, worker, start: 2.0,
                         {"distribution": "constant", "value": 2.0}):  # fmt: skip
        assert simulate(AsynchronousSGD(0.1), Slope(), Workers(1, compute_time), stop=SHORT).iterations == 5


def test_a_method_may_have_a_name_and_a_run_a_label():
    method = SignSGD(1.0)
    method.name = "sign"
    assert name_of(method) == "sign"
    assert simulate(method, Slope(), Workers(1, 1.0), stop=SHORT, label="mine").label == "mine"
    assert name_of(RennalaSGD(1.0, 2)) == "rennala_sgd"


def test_parameters_stand_in_the_run_as_they_were_run():
    run = simulate(HeroSGD(0.5), Slope(), Workers(2, [2.0, 1.0]), stop=SHORT)
    assert run.parameters == {"stepsize": 0.5, "worker": 1, "local_steps": 1}


# ---- compare


def test_compare_runs_every_method_with_every_seed_on_the_same_luck():
    result = compare(
        [AsynchronousSGD(0.1), HeroSGD(0.1, worker=0)], Noisy(), Workers(1, Exponential(1.0)), stop=SHORT, seeds=[3, 5]
    )
    assert result.labels == ["asynchronous_sgd", "hero_sgd"]
    assert [(run.label, run.seed) for run in result.runs] == [
        ("asynchronous_sgd", 3), ("asynchronous_sgd", 5), ("hero_sgd", 3), ("hero_sgd", 5),
    ]  # fmt: skip
    assert result.runs[0].event_hash == result.runs[2].event_hash


def test_seeds_may_come_from_a_generator():
    result = compare(
        [AsynchronousSGD(0.1), SignSGD(0.1)], Slope(), Workers(1, 1.0), stop=SHORT, seeds=(s for s in (1, 2))
    )
    assert len(result.runs) == 4


def test_equal_methods_get_labels_that_tell_them_apart_or_those_that_are_given():
    workers = Workers(1, 1.0)
    assert compare([SignSGD(0.1), SignSGD(0.2)], Slope(), workers, stop=SHORT).labels == ["SignSGD", "SignSGD 2"]
    assert compare({"small": SignSGD(0.1), "large": SignSGD(0.2)}, Slope(), workers, stop=SHORT).labels == [
        "small",
        "large",
    ]


def test_a_result_knows_its_problem_and_target():
    result = compare(
        [HeroSGD(0.5)], Quadratic(10), Workers(1, 1.0), stop=SHORT, target={"squared_gradient_norm": 1e-3}, name="study"
    )
    assert result.name == "study"
    assert result.target == {"squared_gradient_norm": 1e-3}
    assert (result.problem["name"], result.problem["dimension"], result.problem["estimated"]) == ("quadratic", 10, [])
    assert facts(Bare())["name"] == "Bare"
    assert facts(Bare())["L"] is None


def test_no_methods_are_an_error():
    with pytest.raises(ValueError, match="no methods are given"):
        compare([], Slope(), Workers(1, 1.0), stop=SHORT)


# ---- what cannot be run


class Gradientless:
    dimension, x0 = 1, np.zeros(1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": RennalaSGD}, r"RennalaSGD is a class; give an object, RennalaSGD\(…\)"),
        ({"method": 3}, r"a method needs run\(server\); int has none"),
        ({"problem": Gradientless()}, "has no method gradient"),
        ({"problem": Quadratic}, "Quadratic is a class"),
        ({"workers": 4}, r"Workers\(count, compute_time\) is needed, not 4"),
        ({"target": {"accuracy": 0.9}}, "'accuracy' is unknown; allowed: squared_gradient_norm, suboptimality"),
        ({"target": {"squared_gradient_norm": 0.0}}, "but a number > 0 is needed"),
        ({"target": {"suboptimality": 1.0}, "problem": Bare()}, "needs a problem with a known f"),
        ({"stop": Stop(target=True)}, "no target is given"),
        (
            {"stop": Stop(target=True), "target": {"squared_gradient_norm": 1.0}, "problem": Bare()},
            "would never end the run",
        ),
        (
            {"method": AsynchronousSGD("theory"), "problem": Bare()},
            "AsynchronousSGD: stepsize = theory is not possible here",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_with_what_is_needed(changes, words):
    given = {"method": AsynchronousSGD(0.1), "problem": Slope(), "workers": Workers(1, 1.0), "stop": SHORT} | changes
    with pytest.raises(ValueError, match=words):
        simulate(given.pop("method"), given.pop("problem"), given.pop("workers"), **given)


def test_an_own_error_of_the_method_can_be_described_in_place_of_raised():
    class Broken:
        def run(self, server):
            server.broadcast(Gradient(server.x))
            server.receive()
            raise KeyError("oops")

    run = execute(Broken(), Slope(), Workers(1, 1.0), SHORT, 0, None, Record(), "broken", on_error=repr)
    assert (run.status, run.reason, run.time) == ("failed", "KeyError('oops')", 1.0)
    assert run.curves["time"][-1] <= 1.0


def test_a_divergence_is_a_status_not_an_error():
    run = simulate(AsynchronousSGD(1e30), Quadratic(5), Workers(1, 1.0), stop=Stop(time=1e4))
    assert run.status == "diverged"
    assert "try a smaller stepsize" in run.reason
    assert not np.isfinite(run.curves["squared_gradient_norm"][-1]) or run.curves["squared_gradient_norm"][-1] > 1e100


# ---- how gradients are evaluated


class Sloppy(Quadratic):
    """Its batch is not what its single gradients are."""

    def gradients(self, X, rngs, workers):
        return super().gradients(X, rngs, workers) * (1 + 1e-16) + 1e-18


def test_gradients_are_evaluated_together_only_where_that_changes_no_bit():
    assert evaluation_of(Quadratic(10), "auto") == "batched"
    assert evaluation_of(Sloppy(10), "auto") == "single"
    assert evaluation_of(Bare(), "auto") == "single"
    assert evaluation_of(NoProblem(), "auto") == "batched"
    assert evaluation_of(Quadratic(10), "single") == "single"
    with pytest.raises(ValueError, match=r"batched needs a problem with gradients\(X, rngs, workers\); Bare has none"):
        evaluation_of(Bare(), "batched")


def test_a_large_batch_is_evaluated_in_slices_with_the_same_bits():
    options = (Workers(3, Exponential(1.0)), Stop(iterations=3), 1, None, Record(iterations=1), "x")
    runs = [
        execute(RennalaSGD(0.5, batch_size=150), Quadratic(7), *options, evaluation=e) for e in ("single", "batched")
    ]
    assert differences(*runs) == []
    assert runs[0].used == 450
