"""Reading YAML: what a text means, where its parts stand, and that whatever is wrong is told in a line, at once."""

import json
import math
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncsim import yaml_file
from asyncsim.yaml_file import ScenarioError, did_you_mean, dotted, read, read_value, shown


def problems(source, name="s.yaml"):
    """All that is wrong with a text or file, as lines."""
    try:
        document = read(source, name)
    except ScenarioError as error:
        return str(error).split("\n")
    return [str(problem) for problem in document.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1e6", 1e6),
        ("010", 10),
        ("0o10", 8),
        ("0x10", 16),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2026-11-22", "2026-11-22"),
        ("true", True),
        ("True", True),
        ("~", None),
        ("", None),
        ("-.inf", -math.inf),
        ("+7", 7),
        (".5", 0.5),
        ("5.", 5.0),
        ("'5'", "5"),
        ('"1e3"', "1e3"),
        ("1e", "1e"),
        ("0x", "0x"),
        ("0x1G", "0x1G"),
        ("[1, {a: b}]", [1, {"a": "b"}]),
        ("|\n  12", "12"),
        ("sqrt(i)", "sqrt(i)"),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text, value):
    found = read_value(text, "x")
    assert found == value
    assert type(found) is type(value)


def test_nan_is_read_as_nan():
    assert math.isnan(read_value(".nan", "x"))


def test_every_key_and_value_has_its_place():
    document = read("workers:\n  count: 3\nmethods:\n  - name: a\n    stepsize: 2\n", "s.yaml")
    assert document.place(("workers", "count")) == "s.yaml:2:10"
    assert document.place(("workers", "count"), key=True) == "s.yaml:2:3"
    assert document.place(("methods", 0)) == "s.yaml:4:5"
    assert document.place(("methods", 0, "stepsize")) == "s.yaml:5:15"


def test_what_is_missing_has_the_place_of_what_is_around_it():
    document = read("workers:\n  count: 3\n", "s.yaml")
    assert document.place(("workers", "compute_time", "mean")) == "s.yaml:2:3"


def test_an_alias_is_the_value_of_its_anchor():
    assert read("a: &t {mean: 1}\nb: *t\n").data == {"a": {"mean": 1}, "b": {"mean": 1}}


def test_a_byte_order_mark_and_crlf_are_fine(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    document = read(path)
    assert document.data == {"a": 1, "b": 2}
    assert document.place(("b",), key=True) == f"{path}:2:1"


BROKEN = {
    "a tab in the indentation": ("a:\n\tb: 1\n", "s.yaml:2:1: a tab; YAML is indented with spaces only: replace it"),
    "a tab after the colon": ("a:\t1\n", "s.yaml:1:3: a tab; YAML is indented with spaces only: replace it"),
    "a key twice": ("a: 1\nb: 2\na: 3\n", "s.yaml:3:1: a: this key stands twice (first in line 1); remove one"),
    "a key twice in a list": (
        "m:\n- {x: 1, x: 2}\n",
        "s.yaml:2:10: m.0.x: this key stands twice (first in line 2); remove one",
    ),
    "nothing": ("", "s.yaml:1:1: the file is empty; `asyncsim init` writes a scenario to start from"),
    "only comments": ("# x\n\n", "s.yaml:1:1: the file is empty; `asyncsim init` writes a scenario to start from"),
    "a list": ("- a\n", "s.yaml:1:1: a scenario is a mapping: lines like `stop: {time: 100}`"),
    "a text": ("hello", "s.yaml:1:1: a scenario is a mapping: lines like `stop: {time: 100}`"),
    "two documents": ("a: 1\n---\nb: 1\n", "s.yaml:2:1: a second document starts here; a scenario is one"),
    "a Python object": (
        "a: !!python/object/apply:os.system [x]\n",
        "s.yaml:1:4: a: tag '!!python/object/apply:os.system' is not allowed; a scenario holds plain data only",
    ),
    "a harmless tag": ("a: !!int '3'\n", "s.yaml:1:4: a: tag '!!int' is not allowed; a scenario holds plain data only"),
    "a tag of unknown kind": ("a: !x!y 1\n", "s.yaml:1:4: tags are not allowed in a scenario"),
    "a number as key": ("1: a\n", "s.yaml:1:1: the key 1 is not a text; quote it if it is meant as one"),
    "a list as key": ("[a]: b\n", "s.yaml:1:1: the key a list is not a text; quote it if it is meant as one"),
    "true as key": ("x: {true: b}\n", "s.yaml:1:5: x: the key true is not a text; quote it if it is meant as one"),
    "a control character": ("a: \x00\n", "s.yaml:1:4: control character '\\x00' has no place in a scenario"),
    "an open bracket": (
        "a: 1\nb: [1, 2\nc: 3\n",
        "s.yaml:3:2: the bracket opened at 2:4 is not closed, or a comma is missing: [a, b], {key: value}",
    ),
    "an open quote": ("a: 'x\nb: 2\n", "s.yaml:1:4: the quotes are not closed"),
    "two colons": (
        "a: b: c\n",
        "s.yaml:1:5: a ':' where no key can stand; quote the text before it, or check the indentation",
    ),
    "a wrong indentation": ("a:\n  b: 1\n c: 2\n", "s.yaml:3:2: the indentation does not fit the lines above"),
    "a key without colon": ("a: 1\nb\nc: 2\n", "s.yaml:2:1: a key without ':'; a line here reads `key: value`"),
    "a percent sign": ("a: %x\n", "s.yaml:1:4: this character cannot start a value; quote the text"),
    "an alias of nothing": ("a: *b\n", "s.yaml:1:4: a: alias *b has no anchor &b before it"),
    "an alias of itself": ("a: &a [*a]\n", "s.yaml:1:8: a.0: alias *a has no anchor &a before it"),
    "old YAML": ("%YAML 1.1\n---\na: no\n", "s.yaml:2:1: scenarios are YAML 1.2; remove the %YAML line"),
    "an endless integer": ("a: " + "9" * 999_000, "s.yaml:1:4: a: a number of 999,000 characters; allowed: up to 300"),
    "deep brackets": ("a: " + "[" * 5000, "s.yaml:1:54: nested deeper than 50 levels"),
    "deep indentation": ("".join(" " * i + "a:\n" for i in range(900)), "s.yaml:51:51: nested deeper than 50 levels"),
    "many values": ("a: [" + "1," * 400_000 + "1]", "s.yaml: over 100,000 values; data belong in files of their own"),
    "a long text": (
        "a: " + "x" * 1_000_001,
        "s.yaml: the text is longer than 1,000,000 characters; data belong in files of their own",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_told_with_its_place_within_a_second(what):
    text, expected = BROKEN[what]
    begun = time.process_time()
    assert problems(text) == [expected]
    assert time.process_time() - begun < 1


def test_an_alias_bomb_is_counted_and_not_written_out():
    levels = "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20))
    begun = time.process_time()
    assert problems("a: &a [x,x,x,x,x,x,x,x,x]\n" + levels)[0].endswith(
        "over 100,000 values (aliases written out); data belong in files of their own"
    )
    assert time.process_time() - begun < 1


def test_lesser_problems_come_together_in_the_order_of_the_file():
    assert [line.split(": ")[0] for line in problems("a: !x 1\na: 2\n3: 4\n")] == [
        "s.yaml:1:4",
        "s.yaml:2:1",
        "s.yaml:3:1",
    ]


def test_bytes_that_are_not_utf_8_are_named_with_their_place(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes("a: 1\nname: zürich\n".encode("latin-1"))
    assert problems(path) == ["s.yaml:2:8: byte 0xfc is not UTF-8; save the file as UTF-8"]


def test_a_folder_is_refused(tmp_path):
    assert problems(tmp_path) == ["s.yaml: this is a folder; the path of a scenario file is needed"]


def test_a_missing_file_suggests_one_that_is_there(tmp_path):
    (tmp_path / "scenario.yaml").write_text("a: 1")
    assert problems(tmp_path / "scenari.yaml") == [
        "s.yaml: no such file; did you mean 'scenario.yaml'?; `asyncsim init` writes a scenario to start from"
    ]


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b"])
def test_a_path_that_no_file_can_have_is_told(path):
    assert problems(Path(path))[0].startswith("s.yaml: cannot be read: ")


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "s.yaml"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    assert problems(path) == [
        "s.yaml: the file is larger than 1,000,000 bytes, so it is not read; data belong in files of their own"
    ]


def test_a_named_pipe_or_device_of_endless_size_is_not_read():
    assert "larger than" in problems(Path("/dev/zero"))[0]


YAMLISH = st.text(st.sampled_from("ab1.:-?,[]{}&*!|>'\"%#@`~ \n\t\\xuU0éß\r\ufeff…"), max_size=60)


@given(YAMLISH)
@example('"\\UFFFFFFFF"')
@example("%YAML " + "9" * 5000 + ".1\n---\na: 1")
@example("? a\n: b")
@example("a: &a\n  *a : b")
@example("--- |\n...\n")
def test_no_text_raises_anything_but_a_scenario_error(text):
    for line in problems(text):
        assert "\n" not in line
        assert len(line) < 600


@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_but_a_scenario_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_bytes(content)
    problems(path)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**20), 10**20)
        | st.floats(allow_nan=False)
        | st.text("ab é", max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", min_size=1, max_size=3), inner, max_size=3)
        ),
        max_leaves=10,
    )
)
def test_json_is_yaml_too(data):
    text = json.dumps(data).replace("Infinity", ".inf")
    assert read_value(text, "x") == data


def test_values_of_the_command_line_have_no_line_and_column():
    with pytest.raises(ScenarioError, match=r"^here: a: this key stands twice"):
        read_value("{a: 1, a: 2}", "here")


def test_what_messages_show_is_short_and_on_one_line():
    assert shown("x" * 1000) == "'" + "x" * 59 + "…'"
    assert shown([1, 2]) == "a list"
    assert len(shown(10**299)) <= 60
    assert dotted(("a", 0, "new\nline", "")) == "a.0.'new\\nline'.''"


def test_a_suggestion_is_made_for_near_words_only():
    assert did_you_mean("stepsise", ["stepsize", "stops"]) == "; did you mean 'stepsize'?"
    assert did_you_mean("zzz", ["stepsize"]) == ""


def test_positions_of_equal_keys_are_those_of_the_first():
    document = read("a: 1\na: 2\n", "s.yaml")
    assert document.data == {"a": 1}
    assert document.place(("a",)) == "s.yaml:1:4"


def test_the_limits_are_those_that_the_head_of_the_file_states():
    assert (yaml_file.MAX_BYTES, yaml_file.MAX_DEPTH, yaml_file.MAX_NODES, yaml_file.MAX_DIGITS) == (
        10**6,
        50,
        10**5,
        300,
    )
