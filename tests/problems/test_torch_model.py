"""Any torch module as a problem: one flat vector, reproducible, refused where x would not be all there is."""

import copy
import sys

import numpy as np
import pytest

from asyncsim import AsynchronousSGD, Constant, Exponential, RennalaSGD, Stop, Workers, compare, simulate
from asyncsim.problems import CNN, MLP, TorchProblem, batch_matches_single, check_problem
from asyncsim.streams import Stream
from asyncsim.testing import resumed

torch = pytest.importorskip("torch", reason="needs the extra torch")
nn, F = torch.nn, torch.nn.functional

pytestmark = pytest.mark.torch

LUCK = np.random.default_rng(26)
SAMPLES = LUCK.standard_normal((30, 6)).astype(np.float32)
LABELS = np.arange(30) % 3


def network():
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def problem(module=network, loss=F.cross_entropy, data=(SAMPLES, LABELS), **given):
    return TorchProblem(module, loss, data, **{"batch_size": 4, "seed": 1} | given)


def somewhere(problem, seed=0):
    noise = np.random.default_rng(seed).standard_normal(problem.dimension)
    return (problem.x0 + 0.1 * noise).astype(problem.x0.dtype)


# -- one flat vector


def test_x0_is_the_modules_own_parameters_one_after_another():
    module = network()
    x0 = problem(module).x0
    assert x0.dtype == np.float32
    assert np.array_equal(x0, np.concatenate([p.detach().numpy().reshape(-1) for p in module.parameters()]))
    assert check_problem(problem(module)).dimension == 6 * 5 + 5 + 5 * 3 + 3


def test_gradients_are_those_of_torch_and_the_module_given_stays_as_it_was():
    module = network()
    before = copy.deepcopy(module.state_dict())
    made = problem(module, batch_size=30, replacement=False)
    x = somewhere(made)
    at_x = made.module_at(x)
    F.cross_entropy(at_x(torch.from_numpy(SAMPLES)), torch.from_numpy(LABELS)).backward()
    wanted = np.concatenate([p.grad.numpy().reshape(-1) for p in at_x.parameters()])
    assert np.allclose(made.full_gradient(x), wanted, atol=1e-6)
    assert np.allclose(made.gradient(x, np.random.default_rng(1), 0), wanted, atol=1e-6)
    assert np.array_equal(np.concatenate([p.detach().numpy().reshape(-1) for p in at_x.parameters()]), x)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_full_gradient_is_the_slope_of_the_value():
    made = problem(precision="float64", regularisation=0.1)
    x = somewhere(made)
    step = 1e-6 * np.eye(made.dimension)
    slope = [(made.value(x + e) - made.value(x - e)) / 2e-6 for e in step]
    assert made.x0.dtype == np.float64
    assert np.allclose(made.full_gradient(x), slope, atol=1e-8)


def test_a_module_made_by_a_function_comes_from_the_seed_and_leaves_torchs_luck_alone():
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    one, again, other = problem(seed=1), problem(seed=1), problem(seed=2)
    assert torch.equal(torch.rand(1), wanted)
    assert np.array_equal(one.x0, again.x0)
    assert not np.array_equal(one.x0, other.x0)


def test_parameters_that_are_frozen_or_shared_count_once_or_not_at_all():
    module = network()
    module[0].weight.requires_grad = False
    assert problem(module).dimension == 5 + 5 * 3 + 3

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.into, self.out = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
            self.out.weight = self.into.weight

        def forward(self, X):
            return self.out(torch.tanh(self.into(X)))

    tied = problem(Tied)
    assert tied.dimension == 36
    for kernel in ("torch", "vmap"):
        x = somewhere(tied)
        gradient = tied.with_kernel(kernel).gradient(x, Stream(1, "data").at(0, 0), 0)
        assert np.allclose(gradient, tied.gradient(x, Stream(1, "data").at(0, 0), 0), atol=1e-6)


def test_parameters_that_the_loss_does_not_reach_have_gradient_zero():
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(6, 3), nn.Linear(2, 2)

        def forward(self, X):
            return self.used(X)

    made = problem(Spare)
    gradient = made.gradient(made.x0, np.random.default_rng(1), 0)
    assert gradient[:21].all()
    assert not gradient[21:].any()


def test_targets_may_be_numbers_and_inputs_whole():
    regression = problem(
        lambda: nn.Linear(6, 1), F.mse_loss, (SAMPLES, SAMPLES[:, :1].astype(float)), test=(SAMPLES, SAMPLES[:, :1])
    )
    assert regression.value(regression.x0) > 0
    assert regression.test_size == 0  # nothing is told right or wrong
    words = problem(
        lambda: nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(8, 3)),
        data=(torch.arange(60).reshape(30, 2) % 7, torch.arange(30) % 3),
    )
    assert words.gradient(words.x0, np.random.default_rng(1), 0).any()


def test_what_is_right_can_be_said():
    made = problem(
        lambda: nn.Linear(6, 1),
        lambda outputs, y: F.binary_cross_entropy_with_logits(outputs[:, 0], y),
        (SAMPLES, (LABELS == 1).astype(float)),
        test=(SAMPLES, (LABELS == 1).astype(float)),
        right=lambda outputs, y: (outputs[:, 0] > 0) == (y > 0.5),
    )
    x = somewhere(made)
    told = SAMPLES @ x[:6] + x[6] > 0
    assert made.test_accuracy(x) == np.mean(told == (LABELS == 1))


# -- kernels


def test_the_kernels_agree_and_rows_of_vmap_do_not_depend_on_their_companions():
    one_by_one = problem(regularisation=0.1)
    together = one_by_one.with_kernel("vmap")
    assert not hasattr(one_by_one, "gradients")
    assert [info.name for info in together.kernels] == ["torch", "vmap"]
    assert batch_matches_single(together, counts=(1, 2, 17))
    x, data = somewhere(one_by_one), Stream(1, "data")
    for m in range(4):
        ours, theirs = (each.gradient(x, data.at(0, m), 0) for each in (one_by_one, together))
        assert np.abs(ours - theirs).max() < 1e-6
    assert together.value(x) == one_by_one.value(x)


def test_the_perceptron_by_hand_and_the_same_module_are_the_same_problem():
    by_hand = MLP("digits", hidden=(16,), batch_size=8, test=0.2).build(seed=3)
    data, tested_on = (by_hand._features, by_hand._labels), by_hand._test_set
    module = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    theirs = TorchProblem(module, F.cross_entropy, data, batch_size=8, test=tested_on)
    x, luck = by_hand.x0, Stream(1, "data")
    for m in range(5):
        ours, its = (each.gradient(x, luck.at(0, m), 0) for each in (by_hand, theirs))
        assert np.abs(ours - its).max() < 1e-5 * np.abs(ours).max()
    assert theirs.value(x) == pytest.approx(by_hand.value(x), rel=1e-6)
    assert theirs.test_accuracy(x) == by_hand.test_accuracy(x)


def test_two_runs_have_the_same_bits_whatever_the_number_of_threads():
    made = problem(lambda: nn.Sequential(nn.Linear(6, 300), nn.ReLU(), nn.Linear(300, 3)), batch_size=30)
    workers, threads = Workers(4, lambda i: Exponential(1.0 + i)), torch.get_num_threads()
    runs = []
    for count in (1, 2):
        torch.set_num_threads(count)
        runs.append(simulate(RennalaSGD(0.2, batch_size=3), made, workers, stop=Stop(iterations=20)))
        assert torch.get_num_threads() == count
    torch.set_num_threads(threads)
    assert runs[0].curves["value"].tolist() == runs[1].curves["value"].tolist()
    again = resumed(RennalaSGD(0.2, batch_size=3), made, workers, at=[3, 11], stop=Stop(iterations=20))
    assert again.curves["value"].tolist() == runs[0].curves["value"].tolist()


# -- luck and buffers


def test_dropout_is_the_luck_of_the_gradient_and_records_are_without_it():
    made = problem(lambda: nn.Sequential(nn.Linear(6, 20), nn.Dropout(0.5), nn.Linear(20, 3)), batch_size=30)
    x, data = made.x0, Stream(1, "data")
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = made.gradient(x, data.at(0, 3), 0)
    other = made.gradient(x, data.at(0, 4), 0)
    assert np.array_equal(first, made.gradient(x, data.at(0, 3), 0))
    assert not np.array_equal(first, other)
    assert made.value(x) == made.value(x)
    assert torch.equal(torch.random.get_rng_state(), before)
    module = made.module_at(x).eval()
    value = F.cross_entropy(module(torch.from_numpy(SAMPLES)), torch.from_numpy(LABELS))
    assert made.value(x) == pytest.approx(value.item(), rel=1e-6)


def test_a_module_with_luck_of_its_own_is_not_batched():
    made = problem(lambda: nn.Sequential(nn.Linear(6, 20), nn.Dropout(0.5), nn.Linear(20, 3)))
    assert [info.name for info in made.kernels] == ["torch"]
    with pytest.raises(ValueError, match="kernel = 'vmap', but there are torch"):
        made.with_kernel("vmap")
    with pytest.raises(ValueError, match="can't batch a module that draws luck of its own"):
        problem(lambda: nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.5)), kernel="vmap")


def test_a_module_whose_buffers_change_is_refused_and_in_eval_mode_it_is_not():
    def normed():
        return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))

    with pytest.raises(ValueError, match=r"buffer '1\.running_mean' changes when it is called.*LayerNorm"):
        problem(normed)
    made = problem(lambda: normed().eval())
    assert made.gradient(made.x0, np.random.default_rng(1), 0).shape == (made.dimension,)
    layered = problem(lambda: nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 3)))
    assert batch_matches_single(layered.with_kernel("vmap"), counts=(1, 3))


# -- sharing out


def test_samples_are_shared_out_by_label():
    made = problem(split="by_label", workers=3, batch_size=10, replacement="epochs")
    check_problem(made)
    assert made.workers == 3
    assert [set(made._data[1][10 * i : 10 * i + 10].tolist()) for i in range(3)] == [{0}, {1}, {2}]
    gradients = [made.worker_gradient(made.x0, i) for i in range(3)]
    assert np.allclose(np.mean(gradients, axis=0), made.full_gradient(made.x0), atol=1e-6)
    assert np.allclose(made.gradient(made.x0, Stream(1, "data").at(2, 5), 2), gradients[2], atol=1e-6)
    assert made.zeta2 > 0
    with pytest.raises(ValueError, match="the problem was made for 3 workers, but there are 2"):
        simulate(AsynchronousSGD(0.1), made, Workers(2, Constant(1.0)), stop=Stop(time=1))


# -- what is refused


def weighted(outputs, y):
    return F.cross_entropy(outputs, y, weight=torch.tensor([1.0, 5.0, 1.0]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"module": 3}, "module = 3, but an nn.Module is needed, or a function that makes one"),
        ({"module": dict}, "the function made a dict, but an nn.Module is needed"),
        ({"module": nn.Flatten}, "the module has no parameter that needs a gradient"),
        (
            {"module": lambda: nn.Linear(5, 3)},
            r"refuses samples of shape \(2, 6\) and targets of shape \(2,\): RuntimeErr",
        ),
        ({"data": (SAMPLES, LABELS[:29])}, "data has 30 samples and 29 targets"),
        ({"data": SAMPLES}, r"data is a ndarray; a pair \(X, y\) is needed"),
        ({"data": (SAMPLES[:0], LABELS[:0])}, "0 samples"),
        ({"data": (SAMPLES.astype(str), LABELS)}, "the data have type <U32; numbers are needed"),
        ({"loss": lambda o, y: F.cross_entropy(o, y, reduction="sum")}, "is not the mean of theirs"),
        ({"loss": weighted}, "is not the mean of theirs"),
        (
            {"loss": lambda o, y: F.cross_entropy(o, y, reduction="none")},
            r"a tensor of shape \(2,\); a mean over samples",
        ),
        ({"loss": lambda o, y: o.detach().mean()}, "that does not depend on the parameters"),
        ({"loss": lambda o, y: 1.0}, "the loss gave a float; a tensor of one number is needed"),
        ({"batch_size": 0}, "batch_size = 0, but a whole number >= 1"),
        ({"batch_size": 31, "replacement": False}, "batch_size = 31 without replacement, but there are 30"),
        ({"batch_size": 11, "replacement": "epochs", "split": "even", "workers": 3}, "but a worker has 10 samples"),
        ({"replacement": "no"}, "replacement = 'no', but one of True, False, 'epochs' is needed"),
        ({"split": "even"}, "needs the number of workers: workers="),
        ({"split": "by_label", "workers": 3, "data": (SAMPLES, SAMPLES[:, 0])}, "goes by labels, but the targets"),
        ({"split": "even", "workers": 31}, "30 samples cannot be shared out among 31 workers"),
        ({"kernel": "numpy"}, "kernel = 'numpy', but one of 'auto', 'torch', 'vmap'"),
        ({"device": "abacus"}, "device = 'abacus', but 'cpu' or 'cuda' is needed"),
        ({"device": "meta"}, "device = 'meta', but 'cpu' or 'cuda' is needed"),
    ],
)
def test_what_does_not_fit_is_said(given, message):
    with pytest.raises(ValueError, match=message):
        problem(**given)


def test_a_device_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device = 'cuda', but torch finds no such device here"):
        problem(device="cuda")


def test_what_torch_func_cannot_batch_is_said():
    class Looks(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, X):
            return self.layer(X) * (1.0 if self.layer.bias.sum().item() > 0 else 2.0)

    with pytest.raises(ValueError, match=r"the kernel vmap can't batch this module: RuntimeError.*take torch"):
        problem(Looks, kernel="vmap", batch_size=1)


def test_without_torch_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for make in (lambda: problem(network), lambda: CNN("digits").build()):
        with pytest.raises(ValueError, match=r"this problem needs torch: pip install 'asyncsim\[torch\]'"):
            make()


# -- elsewhere


def test_it_travels_to_another_process_by_value():
    cloudpickle = pytest.importorskip("cloudpickle", reason="needs the extra torch")
    made = problem(lambda: nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.1), nn.Linear(5, 3)), test=(SAMPLES, LABELS))
    there = cloudpickle.loads(cloudpickle.dumps(made))
    x, data = somewhere(made), Stream(1, "data")
    assert np.array_equal(there.gradient(x, data.at(1, 2), 1), made.gradient(x, data.at(1, 2), 1))
    assert there.value(x) == made.value(x)
    assert there.test_accuracy(x) == made.test_accuracy(x)


def test_a_module_of_ones_own_is_compared_under_three_methods():
    made = problem(test=(SAMPLES, LABELS), batch_size=8)
    methods = {"a": AsynchronousSGD(0.1), "r": RennalaSGD(0.2, batch_size=3), "s": AsynchronousSGD(0.02)}
    result = compare(methods, made, Workers(3, Constant(1.0)), stop=Stop(time=30), target={"test_accuracy": 0.9})
    assert [run.status for run in result.runs] == ["finished"] * 3
    assert result.problem["name"] == "TorchProblem"
