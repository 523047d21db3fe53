"""Async-Batch SGD: batches of one worker, applied as they come unless they are too old."""

from asyncsim.jobs import Gradient, total
from asyncsim.methods._local import threshold_theory
from asyncsim.parameters import CountOrTheory, Stepsize, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge, threshold_distance
from asyncsim.verify import Invariants


@parameters
class AsyncBatchSGD:
    """Async-Batch SGD: sums of M gradients at one point, applied as they come unless they are too old.

    Tyurin & Sivtsov 2025 (arXiv:2505.09218, Birch SGD), for homogeneous data: Async-Local SGD without moving
    locally.

    A worker computes M gradients at the x it received and sends their sum. The server counts the gradients it
    has applied since that x was made, δ; as each update applies M of them, δ is M times the delay in updates.
    If δ < B it steps with the sum, else it ignores it; either way the worker goes on at the newest x.

    Parameters:
        stepsize: γ of one gradient; gradients are summed. "theory": min{1/(2L), 1/(2RL), ε/(4σ²L)},
            R = ⌊(B − 1)/M⌋·M + M − 1.
        batch_size: M, gradients for each message. "theory": max{1, ⌈σ²/(nε)⌉}.
        threshold: B; a sum is used if fewer than B gradients were applied since its point. "theory":
            max{1, ⌈σ²/ε⌉}.

    When not to use it: on heterogeneous data (it is biased towards fast workers); without communication times
    (M > 1 only makes gradients older; Ringmaster ASGD); with M·n far above B, where most sums are ignored.

    >>> from asyncsim import Constant, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(3, [Constant(1.0), Constant(1.5), Constant(20.0)], uplink=2.0)
    >>> method = AsyncBatchSGD(stepsize=0.05, batch_size=4, threshold=20)
    >>> run = simulate(method, Quadratic(10), workers, stop=Stop(time=100.0))
    >>> run.largest_delay, run.used, run.discarded
    (2, 112, 4)
    """

    stepsize: Stepsize
    batch_size: CountOrTheory
    threshold: CountOrTheory

    def run(self, server: Server) -> None:
        γ, M, B = self.stepsize, self.batch_size, self.threshold
        while True:
            server.broadcast(Gradient(server.x, count=M))
            arrival = server.receive()
            while M * arrival.delay >= B:  # too old: ignored; the worker restarts at x^k
                server.send(arrival.worker, Gradient(server.x, count=M))
                arrival = server.receive()
            server.step(γ, total([arrival]))

    def invariants(self, n: int) -> Invariants:
        M, B = self.batch_size, self.threshold
        return Invariants(largest_delay=(B - 1) // M, tree=True, tree_distance=threshold_distance(M, B))

    def theory(self, knowledge: Knowledge) -> dict[str, float]:
        return threshold_theory(self, knowledge, gradients="batch_size")
