"""Arithmetic in i and n: what it computes, what it refuses, and that it refuses fast."""

import math
import time
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.times.expressions import ALLOWED, MAX_LENGTH, evaluate

i = np.arange(1.0, 6.0)

COMPUTED = [
    ("i", i),
    ("n", np.full(5, 5.0)),
    ("3", np.full(5, 3.0)),
    (".5 + 1e-3", np.full(5, 0.501)),
    ("i + n", i + 5),
    ("i - n", i - 5),
    ("2 * i", 2 * i),
    ("n / i", 5 / i),
    ("7 // i", 7 // i),
    ("7 % i", 7 % i),
    ("i ** 2", i**2),
    ("2 ** -i", 2.0**-i),
    ("2 ** 3 ** 2 + 0 * i", np.full(5, 512.0)),
    ("-i", -i),
    ("+i", i),
    ("(1 + i) * 2", (1 + i) * 2),
    ("sqrt(i)", np.sqrt(i)),
    ("log(i)", np.log(i)),
    ("exp(i)", np.exp(i)),
    ("abs(i - 3)", np.abs(i - 3)),
    ("floor(i / 2)", np.floor(i / 2)),
    ("ceil(i / 2)", np.ceil(i / 2)),
    ("min(i, 3)", np.minimum(i, 3)),
    ("max(i, 2, n - 1)", np.maximum(i, 4)),
    ("max(2, 3)", np.full(5, 3.0)),
    ("pi * e", np.full(5, math.pi * math.e)),
    (" 29*sqrt(i) ", 29 * np.sqrt(i)),
]


@pytest.mark.parametrize(("text", "values"), COMPUTED)
def test_expressions_are_arithmetic_on_i_from_1_to_n(text: str, values: np.ndarray) -> None:
    found = evaluate(text, 5)
    assert found.dtype == np.float64
    assert np.array_equal(found, values)


@pytest.mark.parametrize(("text", "values"), COMPUTED)
def test_a_group_sees_its_part_of_the_same_values(text: str, values: np.ndarray) -> None:
    assert np.array_equal(evaluate(text, 5, workers=range(1, 4)), values[1:4])


@given(a=st.floats(-1e6, 1e6), b=st.floats(0.1, 1e6), n=st.integers(1, 20))
def test_numbers_are_float64_as_python_has_them(a: float, b: float, n: int) -> None:
    numbers = np.arange(1.0, n + 1)
    assert np.array_equal(evaluate(f"{a!r} * i - i / {b!r}", n), a * numbers - numbers / b)


def test_values_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        evaluate("i", 3)[0] = 5.0


# what somebody could try, and what the refusal says
REFUSED = [
    ("9**9**9**9", "9 ** 3.8742e+08 is inf for every worker"),
    ("(" * 9 + "i" + "**99999)" * 9, "is inf for i = 2 (worker 1)"),
    ("10**999", "10 ** 999 is inf"),
    ("1e999", "a number is too large"),
    ("'n' * 10**9", "texts have no place here"),
    ("b'n'", "texts have no place here"),
    ("f'{i}'", "a text has no place here"),
    ("...", "Ellipsis is not a number"),
    ("i.__class__", "an attribute ('.' after a name) has no place here"),
    ("().__class__.__bases__", "an attribute"),
    ("i[0]", "an index ('[…]') has no place here"),
    ("[1, 2]", "a list has no place here"),
    ("[i for i in i]", "a comprehension has no place here"),
    ("(i for i in i)", "a comprehension has no place here"),
    ("lambda: 1", "a lambda has no place here"),
    ("(lambda: 1)()", "a call of anything but the listed functions"),
    ("i.sum()", "a call of anything but the listed functions"),
    ("sqrt(x=i)", "a call of anything but the listed functions"),
    ("__import__('os')", "unknown function '__import__'"),
    ("eval(i)", "unknown function 'eval'"),
    ("import os", "this can't be read"),
    ("i = 3", "this can't be read"),
    ("(i := 3)", "an operator that is not listed"),
    ("i; n", "this can't be read"),
    ("i\nn", "this can't be read"),
    ("i\0", "this can't be read"),
    ("", "this can't be read"),
    ("   ", "this can't be read"),
    ("i +", "this can't be read"),
    ("i < 3", "a comparison has no place here"),
    ("i and n", "'and' or 'or' has no place here"),
    ("1if n else 3", "'if … else' has no place here"),
    ("not i", "an operator that is not listed has no place here"),
    ("~i", "an operator that is not listed has no place here"),
    ("i << 3", "an operator that is not listed has no place here"),
    ("i @ i", "an operator that is not listed has no place here"),
    ("i, n", "a comma outside of min(…) and max(…) has no place here"),
    ("i ^ 2", "'^' is no power: write ** for powers"),
    ("True", "True is not a number"),
    ("None", "None is not a number"),
    ("3j", "3j is not a number"),
    ("j", "unknown name 'j' (did you mean 'i'?)"),
    ("N", "unknown name 'N' (did you mean 'n'?)"),
    ("tau", "unknown name 'tau'; allowed is"),
    ("sqr(i)", "unknown function 'sqr' (did you mean 'sqrt'?)"),
    ("Sqrt(i)", "did you mean 'sqrt'?"),
    ("i(3)", "unknown function 'i'"),
    ("sqrt", "sqrt is a function: write sqrt(…)"),
    ("sqrt()", "sqrt takes one number"),
    ("sqrt(i, 2)", "sqrt takes one number"),
    ("min(i)", "min takes two or more numbers"),
    ("max(*i, 2)", "'*' before an argument has no place here"),
    ("-" * 100 + "i", "nested more than 40 deep"),
    ("(" * 100 + "i" + ")" * 99, "this can't be read"),
    ("i + " * 60 + "i", "longer than 200 characters"),
    ("i" * 10**6, "longer than 200 characters"),
    ("log(i - 1)", "log(0) is -inf for i = 1 (worker 0)"),
    ("log(-i)", "log(-1) is nan for i = 1 (worker 0)"),
    ("sqrt(3 - i)", "sqrt(-1) is nan for i = 4 (worker 3)"),
    ("1 / (i - 2)", "1 / 0 is inf for i = 2 (worker 1)"),
    ("1 / (1 / (i - 2))", "1 / 0 is inf for i = 2 (worker 1)"),
    ("i // 0", "1 // 0 is inf for i = 1"),
    ("i % (i - 3)", "3 % 0 is nan for i = 3 (worker 2)"),
    ("(-8) ** (1 / 3)", "-8 ** 0.333333 is nan for every worker"),
    ("exp(1000 * i)", "exp(1000) is inf for i = 1"),
    ("0 ** (2 - i)", "0 ** -1 is inf for i = 3 (worker 2)"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[text[:20].replace("\0", "NUL") for text, _ in REFUSED])
def test_what_is_not_plain_arithmetic_is_refused_fast_and_by_name(text: str, message: str) -> None:
    evaluate("i", 1)  # the evaluator's import is not what is timed
    began = time.process_time()
    with pytest.raises(ValueError, match=r"^expression ") as refusal:
        evaluate(text, 5)
    assert time.process_time() - began < 0.1
    assert message in str(refusal.value)
    assert repr(text[:40])[:-1] in str(refusal.value)
    assert len(str(refusal.value)) < 3 * MAX_LENGTH


def test_a_refusal_says_what_is_allowed() -> None:
    with pytest.raises(ValueError, match=r"^expression ") as refusal:
        evaluate("sqrt(j)", 5)
    assert str(refusal.value) == f"expression 'sqrt(j)': unknown name 'j' (did you mean 'i'?); allowed is {ALLOWED}"


def test_a_group_names_its_workers_in_errors() -> None:
    with pytest.raises(ValueError, match=r"for i = 9 \(worker 8\)"):
        evaluate("1 / (i - 9)", 10, workers=range(5, 10))


@given(text=st.text(max_size=30) | st.text(alphabet="in0123456789.+-*/%() ,sqrtlogexpminmax", max_size=30))
def test_any_text_gives_finite_numbers_or_a_value_error(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            values = evaluate(text, 3)
        except ValueError:
            return
    assert values.shape == (3,)
    assert np.isfinite(values).all()
