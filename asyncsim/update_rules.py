"""Update rules: what `server.step(γ, g)` makes of a direction g.

A method hands in γ and g as its paper has them. The plain rule makes x − γg of them, and that is what the
papers' theorems are about: their rates, their stepsizes ("theory") and their delay thresholds are proven
for plain steps. Under another rule the times, the delays and what is discarded stay as they were, as no
method looks at x to decide whom to wait for; but which γ is right must be found out by trying. Methods
that set x by `server.update` are not touched by any rule.

A rule is a frozen description, like a method, so that all runs can share it;
`start(x0, state)` gives the object of one run:

    step(x, stepsize, direction) -> (d,) array   the next iterate, a new array; x is read-only
    state()                                      plain data, what is needed to go on; `start` gets it back

The server keeps that object. Its state is in every checkpoint, so that a run taken up again is
bit-identical. Rules use arithmetic that arrays of any kind have. To add one: its class, its line in
UPDATE_RULES.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol

import annotated_types as at
import numpy as np

from asyncsim.parameters import Count, Positive, parameters

Share = Annotated[float, at.Ge(0), at.Lt(1)]

# p(s) = 3.4445s − 4.775s³ + 2.0315s⁵, applied again and again, brings every s in (0, 1] near 1: fast, not exactly
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class UpdateRuleRun(Protocol):
    """An update rule during one run."""

    def step(self, x: np.ndarray, stepsize: float, direction: np.ndarray) -> np.ndarray: ...
    def state(self) -> Any: ...


class UpdateRule(Protocol):
    """The description of an update rule; frozen, shared by runs."""

    def start(self, x0: np.ndarray, state: Any) -> UpdateRuleRun: ...


@parameters
class Plain:
    """Plain steps, x ← x − γg: what the methods' papers are about.

    >>> Plain().start(np.zeros(2), None).step(np.array([1.0, 2.0]), 0.5, np.array([2.0, 2.0]))
    array([0., 1.])
    """

    def start(self, x0: np.ndarray, state: Any) -> UpdateRuleRun:
        return _Plain()


class _Plain:
    def step(self, x: np.ndarray, stepsize: float, direction: np.ndarray) -> np.ndarray:
        return x - stepsize * direction

    def state(self) -> Any:
        return None


@parameters
class Momentum:
    """Momentum: heavy ball (Polyak 1964), or in Nesterov's form (1983).

    m ← βm + g, then x ← x − γm; in Nesterov's form x ← x − γ(g + βm). A gradient acts in all later steps,
    with 1/(1 − β) times its weight in all: start with (1 − β) times the γ of plain steps. Where a method
    changes γ from step to step, the γ of a step multiplies all of m.

    Asynchrony acts like momentum itself (Mitliagkas et al. 2016): the larger the delays, the smaller the best β.
    The methods' papers prove nothing for β > 0.

    Parameters:
        beta: β, how much of m stays, 0 <= β < 1; 0 is the plain rule.
        nesterov: true for Nesterov's form.

    >>> rule = Momentum(beta=0.5).start(np.zeros(1), None)
    >>> x = rule.step(np.array([0.0]), 1.0, np.array([1.0]))
    >>> rule.step(x, 1.0, np.array([1.0]))  # −1 − (0.5·1 + 1)
    array([-2.5])
    """

    beta: Share = 0.9
    nesterov: bool = False

    def start(self, x0: np.ndarray, state: Any) -> UpdateRuleRun:
        return _Momentum(self, x0, state)


class _Momentum:
    def __init__(self, rule: Momentum, x0: np.ndarray, state: Mapping[str, Any] | None) -> None:
        self._β, self._nesterov = rule.beta, rule.nesterov
        self._m: Any = 0.0 * x0 if state is None else state["m"]

    def step(self, x: np.ndarray, stepsize: float, direction: np.ndarray) -> np.ndarray:
        self._m = self._β * self._m + direction
        moved: np.ndarray = x - stepsize * (direction + self._β * self._m if self._nesterov else self._m)
        return moved

    def state(self) -> Any:
        return {"m": self._m}


@parameters
class Adam:
    """Adam (Kingma & Ba 2014, arXiv:1412.6980, Algorithm 1), with the method's γ as its stepsize.

    m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², x ← x − γ·m̂/(√v̂ + ε), where m̂ = m/(1 − β₁ᵗ) and
    v̂ = v/(1 − β₂ᵗ) at the t-th step. A coordinate moves by about γ a step however large its gradient is: the
    γ of plain steps, or of theory, says nothing here, and weights that a method puts into γ or g (a delay's,
    a worker's) are partly undone. The methods' papers prove nothing for Adam.

    Parameters:
        beta1: β₁ of the mean of g.
        beta2: β₂ of the mean of g².
        epsilon: ε, keeps the division finite; not the target.

    >>> rule = Adam().start(np.zeros(2), None)
    >>> rule.step(np.zeros(2), 0.1, np.array([4.0, -0.001])).round(4)
    array([-0.1,  0.1])
    """

    beta1: Share = 0.9
    beta2: Share = 0.999
    epsilon: Positive = 1e-8

    def start(self, x0: np.ndarray, state: Any) -> UpdateRuleRun:
        return _Adam(self, x0, state)


class _Adam:
    def __init__(self, rule: Adam, x0: np.ndarray, state: Mapping[str, Any] | None) -> None:
        self._β1, self._β2, self._ε = rule.beta1, rule.beta2, rule.epsilon
        state = {"m": 0.0 * x0, "v": 0.0 * x0, "t": 0} if state is None else state
        self._m, self._v, self._t = state["m"], state["v"], state["t"]

    def step(self, x: np.ndarray, stepsize: float, direction: np.ndarray) -> np.ndarray:
        self._t += 1
        self._m = self._β1 * self._m + (1 - self._β1) * direction
        self._v = self._β2 * self._v + (1 - self._β2) * direction * direction
        m_hat = self._m / (1 - self._β1**self._t)
        v_hat = self._v / (1 - self._β2**self._t)
        moved: np.ndarray = x - stepsize * (m_hat / (v_hat**0.5 + self._ε))
        return moved

    def state(self) -> Any:
        return {"m": self._m, "v": self._v, "t": self._t}


@parameters
class Muon:
    """Steps of length γ in a chosen norm, along the momentum: Muon for a matrix, else normalised or sign steps.

    m ← βm + g, then x ← x − γ·argmax{⟨m, z⟩ : ‖z‖ <= 1}, a linear minimisation oracle (Pethick et al. 2025,
    arXiv:2502.07529). For a matrix in the spectral norm it makes all singular values of m 1, which is Muon
    (Jordan et al. 2024, without its Nesterov step), here by Newton-Schulz iterations as there, which bring
    them between 0.7 and 1.2. For a vector it is m/‖m‖ in the Euclidean norm, sign(m) in the largest-entry norm.

    x is a flat vector, so a matrix needs `shape`. The size of g plays no part: only γ sets how far x moves, it
    does not come to rest by itself, and neither the γ of plain steps nor theory's says anything here. With
    data that differ between workers, a worker's weight in g is no longer its weight in the step.

    Parameters:
        beta: β, how much of m stays, 0 <= β < 1.
        shape: [rows, columns] of the matrix that the first rows·columns numbers of x are, row by row; what is left
            (biases) moves as a vector. Without it all of x does.
        norm: how a vector moves: l2 (m/‖m‖) or sign.
        iterations: of Newton-Schulz.

    >>> rule = Muon(beta=0.0, shape=(2, 2)).start(np.zeros(4), None)
    >>> (-rule.step(np.zeros(4), 1.0, np.array([3.0, 0.0, 0.0, 2.0]))).round(1)
    array([ 1.1, -0. , -0. ,  0.7])
    >>> Muon(beta=0.0).start(np.zeros(2), None).step(np.zeros(2), 1.0, np.array([3.0, 4.0]))
    array([-0.6, -0.8])
    """

    beta: Share = 0.95
    shape: tuple[Count, ...] | None = None
    norm: Literal["l2", "sign"] = "l2"
    iterations: Count = 5

    def __post_init__(self) -> None:
        if self.shape is not None and len(self.shape) != 2:
            raise ValueError(f"Muon: shape = {self.shape!r}, but [rows, columns] is needed")

    def start(self, x0: np.ndarray, state: Any) -> UpdateRuleRun:
        rows, columns = self.shape or (0, 0)
        # a timing-only run has no numbers at all, and every scenario can be one
        if x0.shape[0] and rows * columns > x0.shape[0]:
            raise ValueError(
                f"Muon: a matrix of shape [{rows}, {columns}] has {rows * columns} numbers, but x has {x0.shape[0]}"
            )
        return _Muon(self, x0, state)


class _Muon:
    def __init__(self, rule: Muon, x0: np.ndarray, state: Mapping[str, Any] | None) -> None:
        self._rule = rule
        self._m = 0.0 * x0 if state is None else state["m"]

    def step(self, x: np.ndarray, stepsize: float, direction: np.ndarray) -> np.ndarray:
        self._m = self._rule.beta * self._m + direction
        if self._rule.shape is None or not x.shape[0]:
            return x - stepsize * _along(self._m, self._rule.norm)
        rows, columns = self._rule.shape
        matrix, rest = self._m[: rows * columns].reshape(rows, columns), self._m[rows * columns :]
        moved = x - 0.0
        moved[: rows * columns] -= stepsize * orthogonalised(matrix, self._rule.iterations).reshape(-1)
        moved[rows * columns :] -= stepsize * _along(rest, self._rule.norm)
        return moved

    def state(self) -> Any:
        return {"m": self._m}


def _along(m: np.ndarray, norm: str) -> np.ndarray:
    """m/‖m‖ or sign(m); 0 where m is 0."""
    if norm == "sign":
        return (m > 0) * 1.0 - (m < 0) * 1.0
    length = float((m @ m) ** 0.5)
    return m / length if length > 0 else m


def orthogonalised(matrix: np.ndarray, iterations: int = 5) -> np.ndarray:
    """UVᵀ of a matrix USVᵀ, nearly: singular values above 1/300 of its Frobenius norm end between 0.68 and 1.21.

    >>> np.linalg.svd(orthogonalised(np.diag([5.0, 1.0, 0.5])), compute_uv=False).round(1)
    array([0.8, 0.7, 0.7])
    """
    length = float((matrix * matrix).sum() ** 0.5)
    if length == 0:
        return matrix
    a, b, c = NEWTON_SCHULZ
    X = (matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T) / length
    for _ in range(iterations):
        A = X @ X.T  # of the smaller side
        X = a * X + (b * A + c * (A @ A)) @ X
    return X if matrix.shape[0] <= matrix.shape[1] else X.T


UPDATE_RULES: dict[str, type] = {"plain": Plain, "momentum": Momentum, "adam": Adam, "muon": Muon}
