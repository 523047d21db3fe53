"""The methods, one file each, named as in their papers.

A method is any object with `run(server)`; those here can also be named in a scenario. To add one:
its file, its line below, its row in the contract table (tests/methods/test_every_method.py).

Whoever writes a method keeps to one order, which makes it resumable: `step` or `update` is the last
statement of the outermost loop; stops and sends that follow from the new x stand at the head of the
loop; what the head needs from before is in x, k or the `**state` of the step. See asyncsim/server.py.
What a paper promises of every run, `invariants(n)` says in one line; asyncsim/verify.py holds a run to it.
"""

from asyncsim.methods.async_batch_sgd import AsyncBatchSGD
from asyncsim.methods.async_local_sgd import AsyncLocalSGD
from asyncsim.methods.asynchronous_sgd import AsynchronousSGD
from asyncsim.methods.decaying_local_sgd import DecayingLocalSGD
from asyncsim.methods.dual_local_sgd import DualLocalSGD
from asyncsim.methods.freya_page import FreyaPAGE
from asyncsim.methods.freya_sgd import FreyaSGD
from asyncsim.methods.hero_page import HeroPAGE
from asyncsim.methods.hero_sgd import HeroSGD
from asyncsim.methods.ia2_sgd import IA2SGD
from asyncsim.methods.local_sgd import LocalSGD
from asyncsim.methods.malenia_sgd import MaleniaSGD
from asyncsim.methods.mindflayer_sgd import MindFlayerSGD
from asyncsim.methods.minibatch_sgd import MinibatchSGD
from asyncsim.methods.naive_optimal_asgd import NaiveOptimalASGD
from asyncsim.methods.page import PAGE
from asyncsim.methods.random_assignment_asgd import RandomAssignmentASGD
from asyncsim.methods.rennala_sgd import RennalaSGD
from asyncsim.methods.rescaled_asgd import RescaledASGD
from asyncsim.methods.ringleader_asgd import RingleaderASGD
from asyncsim.methods.ringmaster_asgd import RingmasterASGD
from asyncsim.methods.soviet_page import SovietPAGE

METHODS: dict[str, type] = {
    "asynchronous_sgd": AsynchronousSGD,
    "minibatch_sgd": MinibatchSGD,
    "hero_sgd": HeroSGD,
    "rennala_sgd": RennalaSGD,
    "ringmaster_asgd": RingmasterASGD,
    "naive_optimal_asgd": NaiveOptimalASGD,
    "malenia_sgd": MaleniaSGD,
    "ringleader_asgd": RingleaderASGD,
    "ia2_sgd": IA2SGD,
    "rescaled_asgd": RescaledASGD,
    "random_assignment_asgd": RandomAssignmentASGD,
    "freya_page": FreyaPAGE,
    "freya_sgd": FreyaSGD,
    "soviet_page": SovietPAGE,
    "hero_page": HeroPAGE,
    "page": PAGE,
    "local_sgd": LocalSGD,
    "dual_local_sgd": DualLocalSGD,
    "decaying_local_sgd": DecayingLocalSGD,
    "async_local_sgd": AsyncLocalSGD,
    "async_batch_sgd": AsyncBatchSGD,
    "mindflayer_sgd": MindFlayerSGD,
}

__all__ = [
    "IA2SGD",
    "METHODS",
    "PAGE",
    "AsyncBatchSGD",
    "AsyncLocalSGD",
    "AsynchronousSGD",
    "DecayingLocalSGD",
    "DualLocalSGD",
    "FreyaPAGE",
    "FreyaSGD",
    "HeroPAGE",
    "HeroSGD",
    "LocalSGD",
    "MaleniaSGD",
    "MindFlayerSGD",
    "MinibatchSGD",
    "NaiveOptimalASGD",
    "RandomAssignmentASGD",
    "RennalaSGD",
    "RescaledASGD",
    "RingleaderASGD",
    "RingmasterASGD",
    "SovietPAGE",
]
