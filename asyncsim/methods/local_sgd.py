"""Local SGD: local steps, then the mean of the end points."""

from asyncsim.methods._local import local_steps_of, sum_of_a_round
from asyncsim.parameters import CountOrTheory, Stepsize, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge, local_stepsize
from asyncsim.verify import Invariants


@parameters
class LocalSGD:
    """Local SGD, canonical (FedAvg with all workers): local steps, then the mean of the end points.

    McMahan et al. 2017 (arXiv:1602.05629); its time complexity is the subject of arXiv:2509.23207.

    In each round every worker makes K local steps from x^k, z_i ← z_i − η_l·g_i. The server waits for all n
    workers and sets x^{k+1} to the mean of the end points z_i^K. It is written here as the same step
    x − (η_l/n)·ΣΣg, a global stepsize per gradient of η_l/n, so that update rules apply to it.

    Parameters:
        stepsize: η_l of one local step. "theory": min{1/(2KL), √(ε/((K − 1)σ²))/(2L), nε/(4σ²L)};
            the orders are known, the constants are not.
        local_steps: K of each worker in a round. "theory": max{1, ⌈σ²/(nε)⌉}, the rule of the family; where a
            round's communication takes τ and a gradient h seconds, K near τ/h is often better for this one.

    When not to use it: with stepsizes from theory it is, up to constants, never better than the better one of
    Minibatch SGD and Hero SGD, as its steps must be small against the drift of the local points (Dual Local
    SGD). On a quadratic the drift does no harm, and it looks better than it is. A round waits for the slowest
    worker.

    >>> from asyncsim import Constant, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(3, compute_time=1.0, uplink=20.0)
    >>> run = simulate(LocalSGD(stepsize=0.5, local_steps=10), Quadratic(10), workers, stop=Stop(iterations=2))
    >>> run.time, run.used
    (60.0, 60)
    """

    stepsize: Stepsize
    local_steps: CountOrTheory

    def run(self, server: Server) -> None:
        η, K = self.stepsize, self.local_steps
        while True:
            server.step(η / server.n, sum_of_a_round(server, K, stepsizes=η))  # = (1/n) Σ z_i^K

    def invariants(self, n: int) -> Invariants:
        return Invariants(largest_delay=0, tree=True, tree_distance=n * self.local_steps - 1)

    def theory(self, knowledge: Knowledge) -> dict[str, float]:
        K = local_steps_of(self, knowledge)
        found = {"local_steps": K}
        if self.stepsize == "theory":
            L, sigma2, epsilon = knowledge.need("L", "sigma2", "epsilon")
            found["stepsize"] = local_stepsize(L, sigma2, epsilon, knowledge.n, K)
        return found
