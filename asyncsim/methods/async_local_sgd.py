"""Async-Local SGD: chains of local steps, applied as they come unless they are too old."""

from asyncsim.jobs import LocalSteps
from asyncsim.methods._local import threshold_theory
from asyncsim.parameters import CountOrTheory, Stepsize, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge, threshold_distance
from asyncsim.verify import Invariants


@parameters
class AsyncLocalSGD:
    """Async-Local SGD: sums of M local steps, applied as they come unless they are too old.

    Tyurin & Sivtsov 2025 (arXiv:2505.09218, Birch SGD), for homogeneous data: Ringmaster ASGD with M gradients
    a message.

    A worker makes M local steps z ← z − γg from the x it received and sends the sum of its gradients. The server
    counts the gradients it has applied since that x was made, δ; as each update applies M of them, δ is M times
    the delay in updates. If δ < B it steps with the sum, else it ignores it; either way the worker goes on at
    the newest x.

    Parameters:
        stepsize: γ of one gradient, local and global; gradients are summed. "theory": min{1/(2L), 1/(2RL),
            ε/(4σ²L)}, R = ⌊(B − 1)/M⌋·M + M − 1.
        local_steps: M, local steps for each message. "theory": max{1, ⌈σ²/(nε)⌉}.
        threshold: B; a sum is used if fewer than B gradients were applied since its point. "theory":
            max{1, ⌈σ²/ε⌉}.

    When not to use it: on heterogeneous data (it is biased towards fast workers); without communication times
    (M > 1 only makes gradients older; Ringmaster ASGD); with M·n far above B, where most sums are ignored.

    >>> from asyncsim import Constant, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(3, [Constant(1.0), Constant(1.5), Constant(20.0)], uplink=2.0)
    >>> method = AsyncLocalSGD(stepsize=0.05, local_steps=4, threshold=20)
    >>> run = simulate(method, Quadratic(10), workers, stop=Stop(time=100.0))
    >>> run.largest_delay, run.used, run.discarded
    (2, 112, 4)
    """

    stepsize: Stepsize
    local_steps: CountOrTheory
    threshold: CountOrTheory

    def run(self, server: Server) -> None:
        γ, M, B = self.stepsize, self.local_steps, self.threshold
        while True:
            server.broadcast(LocalSteps(server.x, M, γ))
            arrival = server.receive()
            while M * arrival.delay >= B:  # too old: ignored; the worker restarts at x^k
                server.send(arrival.worker, LocalSteps(server.x, M, γ))
                arrival = server.receive()
            server.step(γ, arrival.gradient_sum)

    def invariants(self, n: int) -> Invariants:
        M, B = self.local_steps, self.threshold
        return Invariants(largest_delay=(B - 1) // M, tree=True, tree_distance=threshold_distance(M, B))

    def theory(self, knowledge: Knowledge) -> dict[str, float]:
        return threshold_theory(self, knowledge, gradients="local_steps")
