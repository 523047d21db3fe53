"""The scenario: what a user writes, checked and frozen.

The road: text → plain data (`asyncsim.yaml_file`) → overrides of the command line → `Scenario`, or a `ScenarioError`
that names *everything* that is wrong, each with its place. A scenario knows what was asked for and builds the pieces
(`build_problem`, `build_workers`, `build_methods`); running them is for others.

Each file knows only files above it; the head of each says its rules:

- messages: all that is wrong is said in our words; names and seeds: the two things that many sections hold;
- chosen: methods, problems, laws and parts of methods, chosen by name with their parameters;
- times: compute and communication times; described: speeds and availabilities; communication: messages, links, when a
  stop takes effect; contention: who slows whom down; workers: all of these for one worker or group, and for all;
- sections: target, stop, record; sweep; engine;
- plain: back to plain data; across: what sections must fulfil together; overrides: changes from the command line;
- model: the scenario, how it is loaded, and its JSON schema.
"""

from asyncsim.scenario.model import Scenario, from_data, load, schema
from asyncsim.yaml_file import Problem, ScenarioError

__all__ = ["Problem", "Scenario", "ScenarioError", "from_data", "load", "schema"]
