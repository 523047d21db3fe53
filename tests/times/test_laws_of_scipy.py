"""Laws of scipy.stats, the frozen ones and those of the new kind (scipy >= 1.15), with scipy itself.

Only Python can hand them over; nothing of asyncsim needs scipy, `asyncsim fit` neither.
"""

import subprocess
import sys

import numpy as np
import pytest

from asyncsim import AsynchronousSGD, Exponential, NoProblem, Stop, Workers, simulate
from asyncsim.scenario import from_data
from asyncsim.testing import resumed
from asyncsim.times.composed import Scaled, Shifted, Truncated, mixture
from asyncsim.times.known import as_law, estimated_of
from asyncsim.yaml_file import ScenarioError

pytestmark = pytest.mark.scipy
pytest.importorskip("scipy", "1.15", reason="needs the extra scipy: pip install 'asyncsim[scipy]'")
stats = pytest.importorskip("scipy.stats", reason="needs the extra scipy")

OLD = {
    "exponential": lambda: stats.expon(scale=2),
    "gamma": lambda: stats.gamma(2, scale=3),
    "truncated normal": lambda: stats.truncnorm(0, 3, loc=1, scale=2),
    "dice": lambda: stats.randint(1, 7),
    "histogram": lambda: stats.rv_histogram(np.histogram([1.0, 2.0, 3.0], bins=3)),
}
NEW = {
    "normal": lambda: stats.Normal(mu=10, sigma=1),
    "uniform": lambda: stats.Uniform(a=1, b=3),
    "truncated": lambda: stats.truncate(stats.Normal(mu=1, sigma=1), lb=0),
    "made": lambda: stats.make_distribution(stats.gamma)(a=2.0),
    "shifted": lambda: 3 * stats.make_distribution(stats.expon)() + 1,
    "absolute": lambda: abs(stats.Normal()),
    "exponentiated": lambda: stats.exp(stats.Normal(mu=0, sigma=0.5)),
    "mixture": lambda: stats.Mixture([stats.Normal(mu=10, sigma=1), stats.Normal(mu=20, sigma=2)], weights=[0.5, 0.5]),
    "second of three": lambda: stats.order_statistic(stats.Uniform(a=1, b=2), n=3, r=2),
}


@pytest.mark.parametrize("name", [*OLD, *NEW])
def test_it_tells_mean_cdf_and_quantiles_of_what_it_draws(name):
    law = as_law({**OLD, **NEW}[name]())
    drawn = law.sample(np.random.default_rng(0), 4000)
    assert (drawn.dtype, drawn.shape) == (np.float64, (4000,))
    assert (drawn == law.sample(np.random.default_rng(0), 4000)).all()
    assert estimated_of(law) == frozenset()
    assert drawn.mean() == pytest.approx(law.mean, rel=0.05)
    for q in (0.1, 0.5, 0.9):
        assert law.cdf(law.quantile(q)) >= q - 1e-9
        assert (drawn <= law.quantile(q)).mean() >= q - 0.03


@pytest.mark.parametrize("name", ["exponential", "dice", "normal", "truncated", "made", "mixture"])
def test_laws_of_ours_are_made_of_it_and_know_as_much(name):
    frozen = {**OLD, **NEW}[name]()
    law = as_law(frozen)
    assert Scaled(2.0, frozen).mean == pytest.approx(2 * law.mean)
    assert (2 * law + 1).quantile(0.5) == pytest.approx(2 * law.quantile(0.5) + 1)
    assert Shifted(1.0, frozen).cdf(law.quantile(0.5) + 1) == pytest.approx(law.cdf(law.quantile(0.5)))
    assert mixture([(1, frozen), (1, frozen)]).cdf(law.mean) == pytest.approx(law.cdf(law.mean))
    assert Truncated(law=frozen, high=law.quantile(0.5)).quantile(1.0) <= law.quantile(0.5)
    both = Exponential(1.0) + frozen
    assert both.mean == pytest.approx((law + Exponential(1.0)).mean) == pytest.approx(1 + law.mean)


@pytest.mark.parametrize("name", ["gamma", "truncated", "made"])
def test_a_run_with_it_is_taken_up_bit_for_bit(name):
    workers, stop = Workers(3, {**OLD, **NEW}[name]()), Stop(iterations=100)
    whole = simulate(AsynchronousSGD(0.1), NoProblem(), workers, stop=stop)
    again = resumed(AsynchronousSGD(0.1), NoProblem(), workers, stop=stop, at=[7, 60])
    assert again.event_hash == whole.event_hash


def test_its_repr_says_what_it_is_and_no_address():
    assert repr(as_law(stats.expon(scale=2))) == "Frozen(scipy.stats.expon(scale=2))"
    assert repr(as_law(stats.gamma(2, scale=3))) == "Frozen(scipy.stats.gamma(2, scale=3))"
    assert "Normal(mu=" in repr(as_law(stats.Normal(mu=10, sigma=1)))


def test_a_negative_time_of_it_is_an_error_that_names_worker_and_law():
    workers = Workers(2, stats.Normal(mu=0, sigma=1))
    with pytest.raises(ValueError, match=r"worker .*Normal\(mu="):
        simulate(AsynchronousSGD(0.1), NoProblem(), workers, stop=Stop(iterations=100))


def test_a_scenario_cannot_name_it():
    law = {"distribution": "scipy.stats:expon", "scale": 2}
    data = {
        "workers": {"count": 2, "compute_time": law},
        "problem": "none",
        "methods": [{"name": "asynchronous_sgd", "stepsize": 0.1}],
        "stop": {"time": 5},
    }
    with pytest.raises(ScenarioError, match="is code, which a scenario may not run"):
        from_data(data)
    data["workers"]["compute_time"] = {"distribution": "expon", "scale": 2}
    with pytest.raises(ScenarioError, match="no law is called 'expon'"):
        from_data(data)


def test_a_fit_needs_no_scipy():
    code = (
        "import sys, numpy as np; from asyncsim.fitting import candidates; "
        "candidates(np.random.default_rng(0).gamma(2, 1, 100)); print('scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
