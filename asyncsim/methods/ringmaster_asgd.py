"""Ringmaster ASGD: Asynchronous SGD with a delay threshold."""

from asyncsim.jobs import Gradient
from asyncsim.parameters import CountOrTheory, Stepsize, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge, collected_gradients, ringmaster_stepsize
from asyncsim.verify import Invariants


@parameters
class RingmasterASGD:
    """Ringmaster ASGD: Asynchronous SGD that ignores gradients of a delay of R or more, with or without stops.

    Maranjyan, Tyurin & Richtárik 2025 (arXiv:2501.16168), Algorithm 4; with `stops` Algorithm 5. Optimal time complexity for homogeneous data
    under arbitrary, even changing, speeds.

    When a gradient arrives from worker i with delay δ < R, the server steps with it; with δ ≥ R it is
    ignored. Either way worker i starts anew at the newest point. With `stops`, after every update each
    worker whose point is R or more iterations old is stopped and restarted, so that nothing that arrives
    is ever ignored.

    Parameters:
        stepsize: γ of one gradient. "theory": min{1/(2RL), ε/(4Lσ²)}.
        threshold: R; a gradient is used if its delay is below R. "theory": max{1, ⌈σ²/ε⌉}.
        stops: true stops workers that compute at a point R or more iterations old. Under exponential
            (memoryless) times a stop costs nothing, so it looks better there than in general.

    When not to use it: on heterogeneous data (it is biased towards fast workers; Ringleader ASGD), or with
    times so heavy-tailed that even fresh gradients hang (MindFlayer SGD).

    >>> from asyncsim import Constant, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(3, [Constant(1.0), Constant(1.5), Constant(20.0)])
    >>> run = simulate(RingmasterASGD(stepsize=0.2, threshold=3), Quadratic(10), workers, stop=Stop(time=100.0))
    >>> run.largest_delay, run.discarded
    (2, 5)
    """

    stepsize: Stepsize
    threshold: CountOrTheory
    stops: bool = False

    def run(self, server: Server) -> None:
        R = self.threshold
        while True:
            x = server.x
            if self.stops:
                for late in server.in_flight(delay_at_least=R):
                    server.stop(late.worker)
            server.broadcast(Gradient(x))
            arrival = server.receive()
            while arrival.delay >= R:  # ignored; the worker restarts at x^k
                server.send(arrival.worker, Gradient(x))
                arrival = server.receive()
            server.step(self.stepsize, arrival.gradient)

    def invariants(self, n: int) -> Invariants:
        return Invariants(largest_delay=self.threshold - 1, tree=True, tree_distance=self.threshold - 1)

    def theory(self, knowledge: Knowledge) -> dict[str, float]:
        knowledge.need_for(self, stepsize=("L", "sigma2", "epsilon"), threshold=("sigma2", "epsilon"))
        R = self.threshold
        if R == "theory":
            R = collected_gradients(*knowledge.need("sigma2", "epsilon"))
        found = {"threshold": R}
        if self.stepsize == "theory":
            L, sigma2, epsilon = knowledge.need("L", "sigma2", "epsilon")
            found["stepsize"] = ringmaster_stepsize(L, sigma2, epsilon, R)
        return found
