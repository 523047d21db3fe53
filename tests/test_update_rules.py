"""Update rules: what a step makes of a direction, by hand and through runs."""

import numpy as np
import pytest
from toys import Noisy, bits, differences

from asyncsim import (
    Exponential,
    LocalSteps,
    MinibatchSGD,
    NoProblem,
    ProtocolError,
    RennalaSGD,
    RingmasterASGD,
    ScenarioError,
    Stop,
    Workers,
    compare,
    run,
    simulate,
)
from asyncsim.catalogue import describe, listed
from asyncsim.result import Result
from asyncsim.scenario import from_data
from asyncsim.testing import resumed, scripted
from asyncsim.update_rules import UPDATE_RULES, Adam, Momentum, Muon, Plain, orthogonalised

RULES = [
    Plain(),
    Momentum(),
    Momentum(beta=0.5, nesterov=True),
    Adam(),
    Muon(),
    Muon(norm="sign"),
    Muon(shape=(1, 2)),
    Muon(beta=0.5, shape=(3, 1), iterations=3),
]
METHODS = [RennalaSGD(0.05, 3), RingmasterASGD(0.02, 3)]
UNEQUAL = Workers(4, lambda worker: Exponential(1.0 + worker))
STOP = Stop(iterations=30)


def every_rule(test):
    return pytest.mark.parametrize("rule", RULES, ids=repr)(test)


def steps(rule, directions, x0=(0.0,), stepsize=1.0):
    """The iterates of a rule alone."""
    x = np.array(x0)
    going = rule.start(x, None)
    iterates = []
    for g in directions:
        x = going.step(x, stepsize, np.array(g))
        iterates.append(x.tolist())
    return iterates


# ---- the formulas


def test_heavy_ball_by_hand():
    """β = ½, γ = ½, g = x from 8: m = 8, x = 4; m = 4 + 4, x = 0; m = 4 + 0, x = −2."""
    trace = scripted(MinibatchSGD(0.5), [0, 0, 0], n=1, x0=[8.0], update_rule=Momentum(beta=0.5))
    assert [x.item() for x in trace.iterates] == [8.0, 4.0, 0.0, -2.0]


def test_nesterovs_form_by_hand():
    """β = ½, γ = ½, g = x from 8: m = 8, x = 8 − ½(8 + 4) = 2; m = 4 + 2, x = 2 − ½(2 + 3) = −½."""
    trace = scripted(MinibatchSGD(0.5), [0, 0], n=1, x0=[8.0], update_rule=Momentum(beta=0.5, nesterov=True))
    assert [x.item() for x in trace.iterates] == [8.0, 2.0, -0.5]


def test_adam_by_its_formulas():
    g = np.random.default_rng(1).normal(size=(6, 3))
    found = steps(Adam(beta1=0.8, beta2=0.9, epsilon=0.01), g, x0=(1.0, 2.0, 3.0), stepsize=0.1)
    x = np.array([1.0, 2.0, 3.0])
    for t in range(1, 7):
        m = sum(0.2 * 0.8 ** (t - s) * g[s - 1] for s in range(1, t + 1)) / (1 - 0.8**t)
        v = sum(0.1 * 0.9 ** (t - s) * g[s - 1] ** 2 for s in range(1, t + 1)) / (1 - 0.9**t)
        x = x - 0.1 * m / (np.sqrt(v) + 0.01)
        assert found[t - 1] == pytest.approx(x.tolist(), rel=1e-12)


def test_a_vector_moves_by_the_stepsize_in_the_chosen_norm():
    assert steps(Muon(beta=0.0), [[3.0, 4.0]], x0=(0.0, 0.0)) == [[-0.6, -0.8]]
    assert steps(Muon(beta=0.0, norm="sign"), [[3.0, -4.0, 0.0]], x0=(0.0, 0.0, 0.0)) == [[-1.0, 1.0, 0.0]]


def test_the_direction_of_the_momentum_counts():
    """β = ½: m = (2, 0), then (1, 0) + (−1, 1) = (0, 1)."""
    assert steps(Muon(beta=0.5), [[2.0, 0.0], [-1.0, 1.0]], x0=(0.0, 0.0)) == [[-1.0, 0.0], [-1.0, -1.0]]


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (1, 6)])
def test_a_matrix_becomes_nearly_orthogonal_and_keeps_its_singular_vectors(shape):
    matrix = np.random.default_rng(2).normal(size=shape)
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    assert s[-1] > np.linalg.norm(matrix) / 300
    core = u.T @ orthogonalised(matrix) @ vt.T
    assert np.abs(core - np.diag(np.diag(core))).max() < 1e-9
    assert (np.diag(core) > 0.68).all()
    assert (np.diag(core) < 1.21).all()


def test_what_the_shape_leaves_moves_as_a_vector():
    moved = steps(Muon(beta=0.0, shape=(2, 2)), [[2.0, 0.0, 0.0, 1.0, 3.0, 4.0]], x0=(0.0,) * 6)[0]
    assert moved[:4] == (-orthogonalised(np.diag([2.0, 1.0])).ravel()).tolist()
    assert moved[4:] == [-0.6, -0.8]


@every_rule
def test_a_direction_of_zeros_moves_nothing_and_divides_by_nothing(rule):
    assert steps(rule, [[0.0, 0.0, 0.0]], x0=(1.0, 2.0, 3.0)) == [[1.0, 2.0, 3.0]]


# ---- in runs


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_the_plain_rule_and_momentum_without_memory_are_no_rule_bit_by_bit(method):
    alone = simulate(method, Noisy(), UNEQUAL, stop=STOP)
    assert differences(alone, simulate(method, Noisy(), UNEQUAL, stop=STOP, update_rule=Plain())) == []
    without = simulate(method, Noisy(), UNEQUAL, stop=STOP, update_rule=Momentum(beta=0.0))
    assert bits(alone.curves["value"]) == bits(without.curves["value"])


@every_rule
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_rule_changes_no_event(rule, method):
    alone = simulate(method, Noisy(), UNEQUAL, stop=STOP)
    assert simulate(method, Noisy(), UNEQUAL, stop=STOP, update_rule=rule).event_hash == alone.event_hash


@every_rule
def test_its_memory_survives_a_kill_at_any_step(rule):
    options = {"stop": STOP, "update_rule": rule}
    alone = simulate(METHODS[1], Noisy(), UNEQUAL, **options)
    assert differences(alone, resumed(METHODS[1], Noisy(), UNEQUAL, at=range(1, 30), **options)) == []


@every_rule
def test_it_takes_a_run_without_numbers(rule):
    assert simulate(METHODS[0], NoProblem(), UNEQUAL, stop=STOP, update_rule=rule).iterations == 30


@every_rule
def test_it_brings_the_gradient_down(rule):
    stepsize = 0.05 if isinstance(rule, Plain) else 0.01
    found = simulate(RennalaSGD(stepsize, 4), Noisy(), UNEQUAL, stop=Stop(iterations=1500), update_rule=rule)
    norms = found.curves["squared_gradient_norm"]
    assert norms[-1] < 0.01 * norms[0]


def test_update_is_not_touched_by_a_rule():
    class Sets:
        def run(self, server):
            server.send(0, LocalSteps(server.x, 1, 0.5))
            server.update(server.receive().end_point.copy())

    trace = scripted(Sets(), [0], n=1, x0=[8.0], update_rule=Momentum())
    assert [x.item() for x in trace.iterates] == [8.0, 4.0]


def test_all_methods_of_a_comparison_step_by_it_and_their_parameters_say_so():
    result = compare(METHODS, Noisy(), UNEQUAL, stop=STOP, update_rule=Adam())
    assert {found.parameters["update_rule"]["name"] for found in result.runs} == {"adam"}
    assert "update_rule" not in simulate(METHODS[0], Noisy(), UNEQUAL, stop=STOP).parameters


# ---- rules of one's own


class Halved:
    """Half a step, and how many there were."""

    def start(self, x0, state):
        return _Halved(0 if state is None else state)


class _Halved:
    def __init__(self, count):
        self.count = count

    def step(self, x, stepsize, direction):
        self.count += 1
        return x - stepsize / 2 / self.count * direction

    def state(self):
        return self.count


def test_a_rule_of_ones_own_needs_start_step_and_state_only():
    options = {"stop": STOP, "update_rule": Halved()}
    alone = simulate(METHODS[0], Noisy(), UNEQUAL, **options)
    assert alone.parameters["update_rule"] == "Halved"
    assert differences(alone, resumed(METHODS[0], Noisy(), UNEQUAL, at=[5, 6, 20], **options)) == []


def test_a_class_or_something_else_in_place_of_a_rule_is_refused():
    for wrong in (Adam, "adam", 3):
        with pytest.raises(ValueError, match=r"update_rule: an object with start\(x0, state\) is needed"):
            simulate(METHODS[0], Noisy(), UNEQUAL, stop=STOP, update_rule=wrong)


def test_a_rule_that_gives_no_new_point_of_xs_shape_is_told():
    class Bad(_Halved):
        def step(self, x, stepsize, direction):
            return np.zeros(1) if stepsize > 1 else x

    class Rule:
        def start(self, x0, state):
            return Bad(0)

    for stepsize in (0.5, 2.0):
        with pytest.raises(ValueError, match=r"Bad.step gave shape .* at iteration 0, but a new array of shape \(3,\)"):
            simulate(RennalaSGD(stepsize, 1), Noisy(), UNEQUAL, stop=STOP, update_rule=Rule())


def test_a_rule_whose_state_cannot_be_kept_is_told_before_the_run():
    class Bad(_Halved):
        def state(self):
            return {1, 2}

    class Rule:
        def start(self, x0, state):
            return Bad(0)

    with pytest.raises(ValueError, match="the state 'update_rule' holds set"):
        simulate(METHODS[0], Noisy(), UNEQUAL, stop=STOP, update_rule=Rule())


def test_a_step_that_is_refused_leaves_the_memory_as_it_was():
    class Tries:
        def run(self, server):
            with pytest.raises(ProtocolError):
                server.step(0.5, np.ones(2))
            server.step(0.5, np.ones(1))
            assert server.snapshot()["update_rule"]["m"].tolist() == [1.0]

    scripted(Tries(), [], n=1, update_rule=Momentum())


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: Momentum(beta=1.0), "beta = 1.0, but a number >= 0 and < 1"),
        (lambda: Adam(epsilon=0.0), "epsilon = 0.0, but a number > 0"),
        (lambda: Muon(shape=(2, 0)), "shape = "),
        (lambda: Muon(shape=(2, 2, 2)), r"shape = \(2, 2, 2\), but \[rows, columns\] is needed"),
        (lambda: Muon(norm="spectral"), "'l2' or 'sign'"),
        (lambda: Muon(shape=(2, 2)).start(np.zeros(3), None), "has 4 numbers, but x has 3"),
    ],
)
def test_parameters_that_are_not_allowed_are_told(wrong, told):
    with pytest.raises(ValueError, match=told):
        wrong()


# ---- in scenarios

SCENARIO = {
    "workers": {"count": 3, "compute_time": "i"},
    "problem": {"name": "quadratic", "dimension": 6},
    "methods": [
        {"name": "rennala_sgd", "stepsize": 0.1, "batch_size": 2},
        {"name": "rennala_sgd", "label": "muon", "stepsize": 0.1, "batch_size": 2, "update_rule": {"name": "muon"}},
    ],
    "update_rule": "momentum",
    "stop": {"iterations": 20},
}


def test_a_scenario_names_a_rule_for_all_and_a_method_its_own():
    scenario = from_data(SCENARIO)
    assert scenario.build_update_rules() == {"rennala_sgd": Momentum(), "muon": Muon()}
    again = from_data(scenario.canonical())
    assert again.build_update_rules() == scenario.build_update_rules()
    assert again.canonical() == scenario.canonical()


def test_steps_are_plain_unless_a_scenario_says_otherwise():
    scenario = from_data({key: value for key, value in SCENARIO.items() if key != "update_rule"})
    assert scenario.build_update_rules() == {"rennala_sgd": Plain(), "muon": Muon()}


def test_a_run_folder_keeps_which_rule_it_was(tmp_path):
    result = run(SCENARIO, output=tmp_path / "run", progress=False)
    kept = Result.read(tmp_path / "run")
    for found in (result, kept):
        assert [one.parameters["update_rule"]["name"] for one in found.runs] == ["momentum", "muon"]
    assert differences(result.runs[0], simulate(
        RennalaSGD(0.1, 2), from_data(SCENARIO).build_problem(0), Workers(3, [1.0, 2.0, 3.0]),
        stop=Stop(iterations=20), update_rule=Momentum(),
    )) == []  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "place", "told"),
    [
        ("adamm", "update_rule.name", "did you mean 'adam'?"),
        ({"name": "adam", "beta": 0.5}, "update_rule.beta", "unknown key; allowed: name, beta1, beta2, epsilon"),
        ({"name": "momentum", "beta": 1.5}, "update_rule.beta", "a number >= 0 and < 1"),
    ],
)
def test_a_rule_that_is_not_allowed_is_told_with_its_place(rule, place, told):
    with pytest.raises(ScenarioError) as error:
        from_data(SCENARIO | {"update_rule": rule})
    assert place in str(error.value)
    assert told in str(error.value)


def test_a_matrix_that_does_not_fit_the_problem_is_told_before_the_run():
    with pytest.raises(ScenarioError, match=r"methods\.0: .*\[4, 4\] has 16 numbers, but x has 6"):
        run(SCENARIO | {"update_rule": {"name": "muon", "shape": [4, 4]}}, progress=False)


def test_list_and_describe_show_them():
    assert set(dict(listed("update_rules"))) == set(UPDATE_RULES)
    about = describe("adam")[0]
    assert about.kind == "update rule"
    assert about.example == "{name: adam}"
    assert all(meaning for _, _, _, meaning in about.parameters)


@pytest.mark.parametrize("name", [name for name in UPDATE_RULES if name != "plain"])
def test_each_rule_says_what_theory_does_not_cover(name):
    assert "theory" in UPDATE_RULES[name].__doc__ or "prove nothing" in UPDATE_RULES[name].__doc__
