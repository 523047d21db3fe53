"""The methods, one file each, named as in their papers.

A method is any object with `run(server)`; those here can also be named in a scenario. To add one:
its file, its line below, its row in the contract table (tests/methods/test_every_method.py).

Whoever writes a method keeps to one order, which makes it resumable: `step` or `update` is the last
statement of the outermost loop; stops and sends that follow from the new x stand at the head of the
loop; what the head needs from before is in x, k or the `**state` of the step. See asyncsim/server.py.
"""

from asyncsim.methods.asynchronous_sgd import AsynchronousSGD
from asyncsim.methods.hero_sgd import HeroSGD
from asyncsim.methods.minibatch_sgd import MinibatchSGD
from asyncsim.methods.rennala_sgd import RennalaSGD
from asyncsim.methods.ringmaster_asgd import RingmasterASGD

METHODS: dict[str, type] = {
    "asynchronous_sgd": AsynchronousSGD,
    "minibatch_sgd": MinibatchSGD,
    "hero_sgd": HeroSGD,
    "rennala_sgd": RennalaSGD,
    "ringmaster_asgd": RingmasterASGD,
}

__all__ = ["METHODS", "AsynchronousSGD", "HeroSGD", "MinibatchSGD", "RennalaSGD", "RingmasterASGD"]
