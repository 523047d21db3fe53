"""Asynchronous SGD: one update for every arrival."""

from asyncsim.jobs import Gradient
from asyncsim.parameters import Stepsize, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge, largest_delay, ringmaster_stepsize
from asyncsim.verify import Invariants


@parameters
class AsynchronousSGD:
    """Asynchronous SGD, with a constant or a delay-adaptive stepsize.

    Koloskova, Stich & Jaggi 2022 (arXiv:2206.08307), Algorithm 1; the delay-adaptive stepsize is that
    of Mishchenko, Bach, Even & Woodworth 2022 (arXiv:2206.07638).

    All workers start at x⁰. When a gradient arrives from worker i, with delay δ, the server makes the
    step x ← x − γ_k g, where γ_k = γ, or γ·n/max(n, δ) when delay-adaptive, and worker i starts anew at
    the new x. Nobody waits and nothing is discarded; the mean delay is at most n − 1.

    Parameters:
        stepsize: γ of one gradient. "theory" needs constant times: with every delay below R it is
            Ringmaster ASGD with threshold R, and γ = min{1/(2RL), ε/(4Lσ²)}.
        delay_adaptive: true makes the step smaller for gradients with a delay above n.

    When not to use it: on workers of very unequal speed, where the delays of the slow ones force a small
    stepsize on all (Ringmaster ASGD was made for that); on heterogeneous data, where it converges to a
    point that favours the fast workers.

    >>> from asyncsim import Constant, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(3, Constant(1.0))
    >>> run = simulate(AsynchronousSGD(stepsize=0.5), Quadratic(10), workers, stop=Stop(iterations=30))
    >>> run.used, run.largest_delay
    (30, 2)
    """

    stepsize: Stepsize
    delay_adaptive: bool = False

    def run(self, server: Server) -> None:
        γ, n = self.stepsize, server.n
        while True:
            server.broadcast(Gradient(server.x))
            arrival = server.receive()
            γ_k = γ * n / max(n, arrival.delay) if self.delay_adaptive else γ
            server.step(γ_k, arrival.gradient)

    def invariants(self, n: int) -> Invariants:
        return Invariants(tree=not self.delay_adaptive)  # the tree has one stepsize

    def theory(self, knowledge: Knowledge) -> dict[str, float]:
        L, sigma2, epsilon, times = knowledge.need("L", "sigma2", "epsilon", "mean_times")
        if not knowledge.constant_times:
            raise ValueError("delays are bounded only for constant compute times; tune the stepsize instead")
        return {"stepsize": ringmaster_stepsize(L, sigma2, epsilon, R=largest_delay(times) + 1)}
