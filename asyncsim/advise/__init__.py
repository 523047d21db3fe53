"""Advice for people who have machines, not laws: which method, with which parameters, on which of them.

What is asked for is what an engineer can measure: machines by kind and the seconds each takes for one minibatch gradient,
the seconds of a message there and back, prices, and one number for the noise: B*, how many minibatch gradients must be
averaged until a larger average no longer makes a step better (the critical batch size, in minibatches; theory's σ²/ε).

How the answer is found, and what it is worth, say the heads of the files; each knows only files above it:

- question: what is asked; reading: how it is read from texts and traces;
- model: the model problem, on which methods are measured;
- plans: methods worth trying, with their parameters; tuning: their stepsizes;
- answer: what is told; more_machines: what theory says of more of them;
- files: the scenario and the pages; finding: all of it.
"""

from asyncsim.advise.answer import SEEDS, TOO_SLOW, Advice, Option
from asyncsim.advise.files import check_free, scenario_of, scenario_text, write
from asyncsim.advise.finding import SIMPLEST, advise
from asyncsim.advise.model import Model
from asyncsim.advise.more_machines import cutoff, enough, gain
from asyncsim.advise.plans import Plan, candidates, mindflayer
from asyncsim.advise.question import ASSUMED_AVERAGE, DATA, Data, Group, Question
from asyncsim.advise.reading import asked, asked_of_trace
from asyncsim.advise.tuning import TUNING_SEEDS, played, tuned

__all__ = [
    "ASSUMED_AVERAGE",
    "DATA",
    "SEEDS",
    "SIMPLEST",
    "TOO_SLOW",
    "TUNING_SEEDS",
    "Advice",
    "Data",
    "Group",
    "Model",
    "Option",
    "Plan",
    "Question",
    "advise",
    "asked",
    "asked_of_trace",
    "candidates",
    "check_free",
    "cutoff",
    "enough",
    "gain",
    "mindflayer",
    "played",
    "scenario_of",
    "scenario_text",
    "tuned",
    "write",
]
