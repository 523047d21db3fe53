"""Checkpoints: what goes in comes out, points as points, and nothing is pickled."""

import functools
import importlib
import io
import json
import math
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from toys import Method, Noisy, Slope, bits, differences, play

from asyncsim import Exponential, Gradient, LocalSteps, Record, Server, Stop, Workers, simulate
from asyncsim.checkpoint import check, classes_of, decode, encode
from asyncsim.jobs import ComponentGradient, GradientDifference
from asyncsim.testing import resumed, scripted


def no_point(x) -> None:
    return None


def there_and_back(tree):
    return decode(encode(tree, no_point))


numbers = st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.text(), st.none())
arrays = hnp.arrays(
    st.sampled_from([np.float64, np.int64, np.float32, np.bool_, np.uint8, np.dtype("<U3"), np.dtype("c16")]),
    hnp.array_shapes(min_dims=0, max_dims=3, max_side=3),
)
trees = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(
            st.one_of(st.text(max_size=3), st.integers(), st.tuples(st.integers(), st.text(max_size=2))),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=12,
)


@given(trees)
def test_plain_data_come_back_as_they_were_with_their_types(tree):
    back = there_and_back({"tree": tree})["tree"]
    assert back == tree
    assert repr(back) == repr(tree)


@given(arrays)
def test_arrays_come_back_bit_by_bit_and_writable(array):
    back = there_and_back([array])[0]
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert bits(back) == bits(array)
    assert back.flags.writeable


@pytest.mark.parametrize(
    "scalar", [np.float64(1.5), np.float64(np.inf), np.float64(-np.inf), np.int64(3), np.bool_(True), np.float32(0.5)]
)
def test_numpys_numbers_come_back_as_plain_ones(scalar):
    back = there_and_back([scalar])[0]
    assert back == scalar
    assert type(back) in (float, int, bool)


def test_infinities_and_nan_come_back():
    back = there_and_back([math.inf, -math.inf, math.nan, np.float64("nan")])
    assert back[:2] == [math.inf, -math.inf]
    assert math.isnan(back[2])
    assert math.isnan(back[3])


def test_keys_that_look_like_our_own_marks_are_only_keys():
    tree = {"$same": 0, "$array": [1], "$float": "x", "plain": {"$number": 3}}
    assert there_and_back(tree) == tree


def test_an_array_that_stands_twice_is_one_array_again():
    shared = np.ones(3)
    back = there_and_back({"a": shared, "b": [shared], "c": np.ones(3)})
    assert back["a"] is back["b"][0]
    assert back["a"] is not back["c"]


def test_nothing_is_pickled():
    data = encode({"a": np.ones(3), "text": "x", "many": [1, (2, 3)]}, no_point)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        for name in file.namelist():
            np.lib.format.read_array(io.BytesIO(file.read(name)), allow_pickle=False)
        tree = np.lib.format.read_array(io.BytesIO(file.read("tree.npy")), allow_pickle=False)
    json.loads(tree.tobytes())


@pytest.mark.parametrize(
    "value", [np.array([None]), np.array([(1, None)], dtype=[("a", "i4"), ("b", "O")]), {1}, b"x", 1j, object()]
)
def test_what_cannot_be_saved_is_refused_with_its_place(value):
    with pytest.raises(ValueError, match=r"the state \"deep\[1\]\['key'\]\" .* allowed: numbers, text, None, arrays"):
        check({"deep": [0, {"key": value}]}, no_point)


def test_a_file_that_holds_a_pickle_is_refused():
    file = io.BytesIO()
    np.savez(file, tree=np.array([{"evil": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        decode(file.getvalue())


class Memory:
    """An object with a state of its own."""

    def __init__(self, seen):
        self.seen = seen

    def state(self):
        return {"seen": self.seen}

    @classmethod
    def from_state(cls, state):
        return cls(state["seen"])


def test_an_object_with_a_state_comes_back_through_its_class_which_the_caller_names():
    data = encode({"memory": Memory([1, 2])}, no_point)
    back = decode(data, classes={"Memory": Memory})["memory"]
    assert (type(back), back.seen) == (Memory, [1, 2])
    with pytest.raises(ValueError, match=r"holds a Memory of .*, which neither the method's modules nor"):
        decode(data)


PARTS = {
    "kept_parts": """
class Kept:
    def __init__(self, seen):
        self.seen = seen
    def state(self):
        return {"seen": self.seen}
    @classmethod
    def from_state(cls, state):
        return cls(state["seen"])
class Average(Kept):
    pass
""",
    "kept_rules": """
import kept_parts
class Rule:
    def first(self):
        return kept_parts.Average([0])
""",
    "kept_bases": """
from asyncsim import Gradient
from kept_parts import Kept
class Base:
    def run(self, server):
        while True:
            seen = server.state.get("seen") or self.first()
            server.broadcast(Gradient(server.x))
            arrival = server.receive()
            server.step(0.1, arrival.gradient, seen=type(seen)([*seen.seen, arrival.worker]))
    def first(self):
        return Kept([0])
""",
    "kept_method": """
from dataclasses import dataclass
from typing import Any
from kept_bases import Base
@dataclass(frozen=True)
class Inherits(Base):
    pass
@dataclass(frozen=True)
class Composed(Base):
    rules: Any
    def first(self):
        return self.rules[0]["rule"].first()
""",
}


@pytest.mark.parametrize("kind", ["Inherits", "Composed"])
def test_state_of_classes_of_other_modules_comes_back_where_the_method_is_made_of_them(tmp_path, monkeypatch, kind):
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in PARTS.items():
        (tmp_path / f"{name}.py").write_text(text)
    made, rules = importlib.import_module("kept_method"), importlib.import_module("kept_rules")
    method = made.Inherits() if kind == "Inherits" else made.Composed(({"rule": rules.Rule()},))
    known = classes_of(method)
    assert "kept_parts:Average" in known if kind == "Composed" else "kept_parts:Kept" in known
    workers, stop = Workers(3, lambda worker: Exponential(1.0 + worker)), Stop(iterations=30)
    whole = simulate(method, Noisy(), workers, stop=stop)
    again = resumed(method, Noisy(), workers, stop=stop, at=[3, 17])
    assert again.event_hash == whole.event_hash
    assert again.curves["value"].tolist() == whole.curves["value"].tolist()
    for name in PARTS:
        sys.modules.pop(name)


def test_classes_of_one_name_in_two_modules_are_told_apart():
    other = type("Memory", (Memory,), {"__module__": "elsewhere"})
    data = encode({"memory": other([1])}, no_point)
    back = decode(data, classes={"Memory": Memory, "elsewhere:Memory": other})["memory"]
    assert type(back) is other


def test_nothing_is_imported_because_a_checkpoint_names_it():
    data = encode({"memory": type("Memory", (Memory,), {"__module__": "antigravity"})([1])}, no_point)
    with pytest.raises(ValueError, match="holds a Memory of antigravity"):
        decode(data, classes={})
    assert "antigravity" not in sys.modules


def test_jobs_come_back_with_their_points():
    x = np.ones(2)
    jobs = [
        Gradient(x, 3),
        ComponentGradient(x, 1),
        GradientDifference(x, np.zeros(2), range(3)),
        LocalSteps(x, 2, (0.1, 0.2)),
    ]
    back = there_and_back(jobs)
    assert [type(job) for job in back] == [type(job) for job in jobs]
    assert [job.cost for job in back] == [3, 1, 6, 2]
    assert all(job.x is back[0].x for job in back)
    assert back[3].stepsizes == (0.1, 0.2)


# ---- as a whole, with a server


def test_points_come_back_frozen_with_their_versions_and_stay_one_object():
    def walk(server: Server) -> None:
        server.broadcast(Gradient(server.x))
        arrival = server.receive()
        old = server.x
        server.step(0.5, arrival.gradient, old=old, unread=arrival, table=np.zeros(2), job=arrival.job)
        tree = server.decode(server.encode(server.snapshot()), {})
        state = tree["state"]
        assert state["old"] is state["job"].x is tree["in_flight"][0].job.x
        assert not state["old"].flags.writeable
        assert state["table"].flags.writeable
        assert (server._version_of(state["old"]), server._version_of(tree["x"])) == (0, 1)
        assert server._version_of(state["table"]) is None
        assert state["unread"].gradient.tolist() == arrival.gradient.tolist()
        assert state["unread"].delay == 0

    assert scripted(Method(walk), [1], n=2).reason == "the method returned"


class Remembering:
    """Keeps all kinds of state: old point, job at it, unread arrival, a table it writes into, an object, coins."""

    def run(self, server: Server) -> None:
        while True:
            state = server.state
            table = state.get("table", np.zeros(3))
            memory = state.get("memory") or Memory([])
            if "unread" in state and state["unread"] is not None:
                table = table + state["unread"].gradient
            if "job" in state and server.idle and server.rng.random() < 0.5:
                server.send(server.idle[0], state["job"])
            server.broadcast(Gradient(server.x))
            arrival = server.receive()
            table[0] += arrival.delay
            memory.seen.append(arrival.worker)
            unread = None if server.rng.random() < 0.3 else arrival
            old = state.get("old", server.x) if server.k % 4 else server.x
            server.step(
                0.05, table / (1 + server.k), table=table, memory=memory, unread=unread, job=arrival.job, old=old
            )


@given(at=st.sets(st.integers(1, 29), min_size=1, max_size=4))
def test_a_method_with_all_kinds_of_state_ends_with_the_same_bits(at):
    workers, options = Workers(3, Exponential(1.0)), {"stop": Stop(iterations=30), "record": Record(iterations=1)}
    alone = simulate(Remembering(), Noisy(), workers, **options)
    assert differences(alone, resumed(Remembering(), Noisy(), workers, at=at, **options)) == []
    assert alone.largest_delay > 1


def test_a_method_that_keeps_something_in_a_local_variable_is_caught():
    """The check checks: x is averaged in a local variable, which a resume forgets."""

    def forgetful(server: Server) -> None:
        average = server.x
        while True:
            server.broadcast(Gradient(server.x))
            average = (average + server.receive().gradient) / 2
            server.step(0.1, average)

    options = {"stop": Stop(iterations=9), "record": Record(iterations=1)}
    alone = simulate(Method(forgetful), Slope(), Workers(1, 1.0), **options)
    assert differences(alone, resumed(Method(forgetful), Slope(), Workers(1, 1.0), at={3}, **options)) != []


def test_a_checkpoint_changes_nothing_of_the_run_that_writes_it():
    def steps(server: Server, save: bool) -> None:
        for k in range(6):
            server.broadcast(Gradient(server.x))
            server.step(0.1, server.receive().gradient)
            if save and k % 2:
                server._engine.checkpoint()

    runs = [play(functools.partial(steps, save=save), Exponential(1.0), n=3, problem=Noisy()) for save in (False, True)]
    assert [what for what in differences(*runs) if not what.startswith("parameters")] == []
