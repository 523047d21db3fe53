"""Arithmetic in i and n: how a scenario says in one line what differs from worker to worker.

`evaluate("sqrt(i)", n)` is evaluated once, on the array i = 1…n (the paper's numbering), never per gradient.

The text comes from a file that may come from anywhere, so there are two fences. First the parsed text is read through
and everything that is not plain arithmetic is refused by name: no attributes, no texts, no comparisons, no calls but
those in `FUNCTIONS`. Then an arithmetic-only evaluator runs on what is left. Every number is a float64 before anything
is computed, and every operation is a numpy ufunc: a tower of powers overflows at once, nothing can grow beyond n
numbers. Length and nesting are limited, which bounds the arrays held at one time.

What is not finite is refused where it arises, not at the end: 1 / (1 / (i - 1)) is finite everywhere and still wrong.
"""

import ast
import difflib
import functools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_LENGTH = 200
MAX_NESTING = 40

ALLOWED = "arithmetic in i (the worker, 1…n) and n: + - * / // % ** ( ), sqrt log exp abs floor ceil, min max, pi e"
ALLOWED_IN_C = ALLOWED.replace("i (the worker, 1…n) and n", "c (workers that compute at the same time)")

_OPERATORS: dict[type, tuple[str, Callable[..., Any]]] = {
    ast.Add: ("+", np.add),
    ast.Sub: ("-", np.subtract),
    ast.Mult: ("*", np.multiply),
    ast.Div: ("/", np.true_divide),
    ast.FloorDiv: ("//", np.floor_divide),
    ast.Mod: ("%", np.mod),
    ast.Pow: ("**", np.power),
    ast.USub: ("-", np.negative),
    ast.UAdd: ("+", np.positive),
}


def _least(*values: Any) -> Any:
    return functools.reduce(np.minimum, values)


def _greatest(*values: Any) -> Any:
    return functools.reduce(np.maximum, values)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sqrt": np.sqrt,
    "log": np.log,
    "exp": np.exp,
    "abs": np.absolute,
    "floor": np.floor,
    "ceil": np.ceil,
    "min": _least,
    "max": _greatest,
}
_OF_SEVERAL = ("min", "max")
_NAMES = ("i", "n", "pi", "e")
_IN_C = ("c", "pi", "e")


def evaluate(text: str, n: int, workers: range | None = None) -> NDArray[np.float64]:
    """The values of the expression `text` for workers 1…n, as a read-only float64 array.

    workers: for a group, the 0-based workers (a range with step 1) whose values are wanted; i still runs over the whole
    1…n, so group 2 of 900 + 100 workers has i = 901…1000.

    Raises ValueError naming the expression, what is wrong and what is allowed; values that are not finite name the
    first worker.

    >>> evaluate("sqrt(i) + 1", 4)
    array([2.        , 2.41421356, 2.73205081, 3.        ])
    >>> evaluate("n / 2", 3)
    array([1.5, 1.5, 1.5])
    >>> evaluate("i", 10, workers=range(8, 10))
    array([ 9., 10.])
    >>> evaluate("1 / (i - 2)", 4)
    Traceback (most recent call last):
    ValueError: expression '1 / (i - 2)': 1 / 0 is inf for i = 2 (worker 1)
    """
    workers = range(n) if workers is None else workers
    i = np.arange(workers.start + 1, workers.stop + 1, dtype=np.float64)

    def where(at: int) -> str:
        return f"i = {workers.start + at + 1} (worker {workers.start + at})"

    return _evaluated(text, dict(zip(_NAMES, (i, np.float64(n), *_CONSTANTS), strict=True)), where)


def evaluate_in_c(text: str, most: int) -> NDArray[np.float64]:
    """The values of the expression `text` in c = 1…most, which counts workers that compute at the same time.

    >>> evaluate_in_c("1 + 0.5 * (c - 1)", 3)
    array([1. , 1.5, 2. ])
    """
    c = np.arange(1, most + 1, dtype=np.float64)
    return _evaluated(text, dict(zip(_IN_C, (c, *_CONSTANTS), strict=True)), lambda at: f"c = {at + 1}")


_CONSTANTS = (np.float64(math.pi), np.float64(math.e))


def _evaluated(text: str, names: dict[str, Any], where: Callable[[int], str]) -> NDArray[np.float64]:
    """The values of `text` for each entry of the first of `names`, an array; `where` says in words which entry."""
    # only expressions need it
    from simpleeval import InvalidExpression, SimpleEval  # type: ignore[import-untyped]

    tree = _parsed(text, tuple(names))
    evaluator = SimpleEval(
        operators={kind: _finite(sign, ufunc, text, where) for kind, (sign, ufunc) in _OPERATORS.items()},
        functions={name: _finite(name, function, text, where) for name, function in FUNCTIONS.items()},
        names=names,
    )
    try:
        value = evaluator.eval(text, previously_parsed=tree)
    except InvalidExpression as error:  # the first fence should leave nothing for the second to refuse
        raise _refused(text, str(error), tuple(names)) from None
    values = np.broadcast_to(np.asarray(value, dtype=np.float64), next(iter(names.values())).shape)
    values.flags.writeable = False
    return values


def _finite(sign: str, function: Callable[..., Any], text: str, where: Callable[[int], str]) -> Callable[..., Any]:
    """`function`, with an error that names the first entry for which its result is not a finite number."""

    def checked(*values: Any) -> Any:
        with np.errstate(all="ignore"):
            result = function(*values)
        wrong = ~np.isfinite(result)
        if not wrong.any():
            return result
        at = int(np.argmax(wrong))  # 0 for a scalar, which is wrong for all workers alike
        shown = [f"{np.broadcast_to(value, wrong.shape).flat[at]:g}" for value in values]
        of = f" {sign} ".join(shown) if len(shown) == 2 and sign not in FUNCTIONS else f"{sign}({', '.join(shown)})"
        whom = where(at) if wrong.ndim else "every worker"
        raise ValueError(f"expression {text!r}: {of} is {np.asarray(result).flat[at]:g} for {whom}")

    return checked


def _parsed(text: str, names: Sequence[str]) -> ast.expr:
    """The tree of `text`, all of it plain arithmetic and all its numbers floats."""
    if len(text) > MAX_LENGTH:
        raise _refused(text[:40] + "…", f"longer than {MAX_LENGTH} characters", names)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser warns of texts like '1if'
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _refused(text, "this can't be read", names) from None
    level: list[ast.expr] = [tree]
    for _ in range(MAX_NESTING):
        level = [operand for node in level for operand in _operands(node, text, names)]
        if not level:
            return tree
    raise _refused(text, f"nested more than {MAX_NESTING} deep", names)


def _operands(node: ast.expr, text: str, names: Sequence[str]) -> list[ast.expr]:
    """What `node` is applied to; a ValueError when it is anything but arithmetic."""
    match node:
        case ast.Constant():
            node.value = _number(node.value, text, names)
            return []
        case ast.Name(id=name):
            _check_name(name, text, names)
            return []
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return [left, right]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return [operand]
        case ast.BinOp(op=ast.BitXor()):
            raise _refused(text, "'^' is no power: write ** for powers", names)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            _check_call(name, arguments, text, names)
            return arguments
    raise _refused(text, f"{_KINDS.get(type(node), 'an operator that is not listed')} has no place here", names)


def _number(value: Any, text: str, names: Sequence[str]) -> float:
    if isinstance(value, str | bytes):
        raise _refused(text, "texts have no place here", names)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused(text, f"{value!r} is not a number", names)
    # at most 200 digits, so no whole number is too large for a float
    if math.isinf(value):
        raise _refused(text, "a number is too large", names)
    return float(value)


def _check_name(name: str, text: str, names: Sequence[str]) -> None:
    if name in FUNCTIONS:
        raise _refused(text, f"{name} is a function: write {name}(…)", names)
    if name not in names:
        raise _refused(text, f"unknown name {name!r}{_suggestion(name, names)}", names)


def _check_call(name: str, arguments: list[ast.expr], text: str, names: Sequence[str]) -> None:
    if name not in FUNCTIONS:
        raise _refused(text, f"unknown function {name!r}{_suggestion(name, FUNCTIONS)}", names)
    if any(isinstance(argument, ast.Starred) for argument in arguments):
        raise _refused(text, "'*' before an argument has no place here", names)
    if name in _OF_SEVERAL and len(arguments) < 2:
        raise _refused(text, f"{name} takes two or more numbers", names)
    if name not in _OF_SEVERAL and len(arguments) != 1:
        raise _refused(text, f"{name} takes one number", names)


_KINDS: dict[type, str] = {
    ast.Attribute: "an attribute ('.' after a name)",
    ast.Subscript: "an index ('[…]')",
    ast.Call: "a call of anything but the listed functions",
    ast.Compare: "a comparison",
    ast.BoolOp: "'and' or 'or'",
    ast.IfExp: "'if … else'",
    ast.Lambda: "a lambda",
    ast.JoinedStr: "a text",
    ast.List: "a list",
    ast.Tuple: "a comma outside of min(…) and max(…)",
    ast.ListComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
}


def _suggestion(name: str, known: Any) -> str:
    # 'j' and 'k' are the usual slips for i, which no measure of likeness finds
    if name in ("j", "k", "worker") and "i" in known:
        return " (did you mean 'i'?)"
    close = difflib.get_close_matches(name.lower(), known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _refused(text: str, what: str, names: Sequence[str]) -> ValueError:
    return ValueError(f"expression {text!r}: {what}; allowed is {ALLOWED if 'i' in names else ALLOWED_IN_C}")
