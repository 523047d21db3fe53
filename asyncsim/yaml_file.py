"""YAML 1.2 text → plain data, with the place of every key and value.

1. Only data: mappings with text keys, lists, texts, numbers, true/false, null. Tags are refused, so nothing in a
   file can name a Python object.
2. YAML 1.2's core schema, resolved here: ``1e-3`` is a number, ``no`` and ``1_000`` are texts, ``010`` is ten.
3. A scenario is small, so what is large is an accident or an attack, and is refused before it costs anything: files
   over `MAX_BYTES`, nesting over `MAX_DEPTH`, over `MAX_NODES` nodes *after* aliases are written out (they are
   counted, never written out: an alias shares the object of its anchor), numbers over `MAX_DIGITS` characters.
4. Every problem has a place, ``file:line:column``. The reader goes on after a problem where it can, so that a user
   sees all of them at once; text that is no YAML ends at the first.

The parser is ruamel.yaml's (pure Python, safe). We take its events and not its objects: they come one at a time
without recursion, so that the limits hold before memory is spent.
"""

import dataclasses
import difflib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_NODES = 100_000
MAX_DIGITS = 300

Keys = tuple[str | int, ...]  # the road to a value: ("methods", 0, "stepsize")


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where (``file:line:column`` or ""), at which key ("" = none), and what to do."""

    place: str
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.key, self.message) if part)


class ScenarioError(ValueError):
    """What is wrong with a scenario, all at once: one line a problem, also as `problems`.

    >>> print(ScenarioError([Problem("a.yaml:3:7", "stop.time", "-1 is not allowed; allowed: a number >= 0")]))
    a.yaml:3:7: stop.time: -1 is not allowed; allowed: a number >= 0
    """

    def __init__(self, problems: Iterable[Problem] | str) -> None:
        self.problems = [Problem("", "", problems)] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclasses.dataclass
class Document:
    """What a file holds: its data, where everything stands, and what was wrong but let us go on.

    `values` and `keys` map a road to (line, column), counted from 1, of the value and of its key. Values that came
    from elsewhere (the command line) have a text in `elsewhere`, which is shown as their place.
    """

    data: Any
    file: str
    text: str = ""
    values: dict[Keys, tuple[int, int]] = dataclasses.field(default_factory=dict)
    keys: dict[Keys, tuple[int, int]] = dataclasses.field(default_factory=dict)
    elsewhere: dict[Keys, str] = dataclasses.field(default_factory=dict)
    problems: list[Problem] = dataclasses.field(default_factory=list)

    def place(self, road: Keys, key: bool = False) -> str:
        """Where `road` stands (its key rather than its value if `key`); else the nearest thing around it."""
        for length in range(len(road), -1, -1):
            part = road[:length]
            if part in self.elsewhere:
                return self.elsewhere[part]
            found = (self.keys.get(part) if key and length == len(road) else None) or self.values.get(part)
            if found:
                return f"{self.file}:{found[0]}:{found[1]}"
        return self.file


def read(source: str | Path, name: str | None = None) -> Document:
    """Read a file (a `Path`) or YAML text (a `str`, called `name` in messages).

    ScenarioError if it cannot be read at all; lesser problems (equal keys, tags, …) are in the document's `problems`.

    >>> document = read("stop: {time: 1e3}", "a.yaml")
    >>> document.data, document.place(("stop", "time"))
    ({'stop': {'time': 1000.0}}, 'a.yaml:1:14')
    """
    file = name or (os.fspath(source) if isinstance(source, Path) else "scenario")
    text = _file_text(source, file) if isinstance(source, Path) else source
    document = _document(text, file)
    if document.data is None and not document.problems:
        _refuse(f"{file}:1:1", "the file is empty; `asyncsim init` writes a scenario to start from")
    if not isinstance(document.data, dict):
        raise ScenarioError(
            [*document.problems, Problem(f"{file}:1:1", "", "a scenario is a mapping: lines like `stop: {time: 100}`")]
        )
    return document


def read_value(text: str, name: str) -> Any:
    """One value written as YAML, as after ``key=`` on the command line; ScenarioError with `name` as its place.

    >>> read_value("1e-3", "x"), read_value("[1, no]", "x"), read_value("", "x")
    (0.001, [1, 'no'], None)
    """
    document = _document(text, name)
    if document.problems:
        raise ScenarioError([dataclasses.replace(problem, place=name) for problem in document.problems])
    return document.data


def did_you_mean(word: object, options: Iterable[str]) -> str:
    """`"; did you mean 'time'?"` when an option is close to `word`, else nothing.

    >>> did_you_mean("tmie", ["time", "target"]), did_you_mean("x", ["time"])
    ("; did you mean 'time'?", '')
    """
    near = difflib.get_close_matches(str(word)[:100], list(options), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def shown(value: object, limit: int = 60) -> str:
    """`value` as a message shows it: short, on one line.

    >>> shown("fast"), shown({"a": 1}), shown(True), shown(None)
    ("'fast'", 'a mapping', 'true', 'nothing (null)')
    """
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and len(value) > limit:
        value = value[: limit - 1] + "…"
    text = repr(value)
    return text if len(text) <= limit + 2 else text[: limit - 1] + "…"


def dotted(road: Keys) -> str:
    """`road` as messages write it; odd keys are shortened and escaped.

    >>> dotted(("methods", 0, "stepsize"))
    'methods.0.stepsize'
    """
    return ".".join(part if _plain_key(part) else shown(part, 40) for part in map(str, road))


def _plain_key(part: str) -> bool:
    return part.isprintable() and 0 < len(part) <= 100


def _refuse(place: str, message: str, key: str = "") -> None:
    raise ScenarioError([Problem(place, key, message)])


# ---- the file's bytes


def _file_text(path: Path, file: str) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except IsADirectoryError:
        _refuse(file, "this is a folder; the path of a scenario file is needed")
    except FileNotFoundError:
        beside = [entry.name for entry in _listing(path.parent) if entry.suffix in (".yaml", ".yml")]
        _refuse(file, f"no such file{did_you_mean(path.name, beside)}; `asyncsim init` writes a scenario to start from")
    except (OSError, ValueError) as error:
        _refuse(file, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    if len(content) > MAX_BYTES:
        _refuse(
            file, f"the file is larger than {MAX_BYTES:,} bytes, so it is not read; data belong in files of their own"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        _refuse(f"{file}:{line}:{column}", f"byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8")
    raise AssertionError  # _refuse always raises


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())[:1000]
    except OSError:
        return []


_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_COMMENT_LINE = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_SEPARATORS = (",", "- ", "-\n", ": ", ":\n", "\n%")


def _check_text(text: str, file: str) -> None:
    if len(text) > MAX_BYTES:
        _refuse(file, f"the text is longer than {MAX_BYTES:,} characters; data belong in files of their own")
    if control := _CONTROL.search(text):
        line, column = _position(text, control.start())
        _refuse(f"{file}:{line}:{column}", f"control character {control.group()!a} has no place in a scenario")
    # a rough count in milliseconds of what the parser would take seconds to count: commas and signs before a space
    if len(text) > MAX_NODES and sum(map(_COMMENT_LINE.sub("", text).count, _SEPARATORS)) > MAX_NODES:
        _refuse(file, f"over {MAX_NODES:,} values; data belong in files of their own")


def _position(text: str, index: int) -> tuple[int, int]:
    return text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1


# ---- events → data


def _document(text: str, file: str) -> Document:
    text = text.removeprefix("\ufeff")
    _check_text(text, file)
    document = Document(None, file, text)
    reader = _Reader(_events(text, file), document)
    document.data = reader.whole()
    return document


def _events(text: str, file: str) -> Iterator[Any]:
    from ruamel.yaml import YAML  # here and not above: only who reads a scenario pays for it
    from ruamel.yaml.error import MarkedYAMLError

    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if "a quoted scalar" in str(error.context) or "a simple key" in str(error.context):
            # where it begins says more than where the parser gave up
            mark = error.context_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        _refuse(place, _in_our_words(error, text, mark))
    except Exception as error:  # broken text makes the parser fail in other ways too (a huge \U escape, …)
        _refuse(file, f"not readable as YAML ({type(error).__name__}: {shown(str(error), 100)})")


def _in_our_words(error: Any, text: str, mark: Any) -> str:
    problem, context = str(error.problem or ""), str(error.context or "")
    if "'\\t'" in problem or (mark and text[mark.index : mark.index + 1] == "\t"):
        return "a tab; YAML is indented with spaces only: replace it"
    if "while parsing a flow" in context and error.context_mark:
        opened = f"{error.context_mark.line + 1}:{error.context_mark.column + 1}"
        return f"the bracket opened at {opened} is not closed, or a comma is missing: [a, b], {{key: value}}"
    for part, words in _WORDS:
        if part in problem or part in context:
            return words
    return f"not readable as YAML: {problem}{' ' + context if context else ''}"[:300]


_WORDS = [
    ("mapping values are not", "a ':' where no key can stand; quote the text before it, or check the indentation"),
    ("while scanning a quoted scalar", "the quotes are not closed"),
    ("could not find expected ':'", "a key without ':'; a line here reads `key: value`"),
    ("expected <block end>", "the indentation does not fit the lines above"),
    ("cannot start any token", "this character cannot start a value; quote the text"),
    ("block sequence entries are not allowed", "a list item ('- ') where none can stand; check the indentation"),
    ("found undefined tag handle", "tags are not allowed in a scenario"),
    ("found duplicate", "a directive stands twice"),
]  # fmt: skip


class _Reader:
    """Builds data from events; depth is bounded, so recursion is too."""

    def __init__(self, events: Iterator[Any], document: Document) -> None:
        self.events = events
        self.document = document
        self.nodes = 0
        self.anchors: dict[str, tuple[Any, int]] = {}  # the value and how many nodes it is, written out

    def whole(self) -> Any:
        data: Any = None
        documents = 0
        for event in self.events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    _refuse(self.at(event), "a second document starts here; a scenario is one")
                if event.version and tuple(event.version) != (1, 2):
                    _refuse(self.at(event), "scenarios are YAML 1.2; remove the %YAML line")
            elif kind in ("ScalarEvent", "SequenceStartEvent", "MappingStartEvent", "AliasEvent"):
                data, _ = self.value(event, ())
        return data

    def at(self, event: Any) -> str:
        return f"{self.document.file}:{event.start_mark.line + 1}:{event.start_mark.column + 1}"

    def problem(self, event: Any, road: Keys, message: str) -> None:
        self.document.problems.append(Problem(self.at(event), dotted(road), message))

    def count(self, event: Any, nodes: int) -> int:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            _refuse(
                self.at(event), f"over {MAX_NODES:,} values (aliases written out); data belong in files of their own"
            )
        return nodes

    def value(self, event: Any, road: Keys) -> tuple[Any, int]:
        """The value that begins with `event`, and how many nodes it is."""
        self.document.values[road] = (event.start_mark.line + 1, event.start_mark.column + 1)
        if len(road) > MAX_DEPTH:
            _refuse(self.at(event), f"nested deeper than {MAX_DEPTH} levels")
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self.alias(event, road)
        if getattr(event, "ctag", None) is not None:
            tag = str(event.ctag).replace("tag:yaml.org,2002:", "!!")
            self.problem(event, road, f"tag {shown(tag)} is not allowed; a scenario holds plain data only")
        self.count(event, 1)
        if kind == "ScalarEvent":
            result, nodes = self.scalar(event, road), 1
        elif kind == "SequenceStartEvent":
            result, nodes = self.sequence(road)
        else:
            result, nodes = self.mapping(road)
        if event.anchor is not None:
            self.anchors[event.anchor] = (result, nodes)
        return result, nodes

    def alias(self, event: Any, road: Keys) -> tuple[Any, int]:
        if event.anchor not in self.anchors:
            self.problem(event, road, f"alias *{event.anchor[:60]} has no anchor &{event.anchor[:60]} before it")
            return None, 1
        result, nodes = self.anchors[event.anchor]
        return result, self.count(event, nodes)

    def sequence(self, road: Keys) -> tuple[list[Any], int]:
        items: list[Any] = []
        nodes = 1
        for event in self.events:
            if type(event).__name__ == "SequenceEndEvent":
                break
            item, size = self.value(event, (*road, len(items)))
            items.append(item)
            nodes += size
        return items, nodes

    def mapping(self, road: Keys) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        nodes = 1
        for event in self.events:
            if type(event).__name__ == "MappingEndEvent":
                break
            key = self.key(event, road)
            below = (*road, key)
            known = self.document.keys.get(below), self.document.values.get(below)
            value, size = self.value(next(self.events), below)
            nodes += 1 + size
            if key in found:
                self.document.keys[below], self.document.values[below] = known  # type: ignore[assignment]
                where = f"line {known[0][0]}" if known[0] else "before"
                self.problem(event, below, f"this key stands twice (first in {where}); remove one")
                continue
            self.document.keys[below] = (event.start_mark.line + 1, event.start_mark.column + 1)
            found[key] = value
        return found, nodes

    def key(self, event: Any, road: Keys) -> str:
        value, _ = self.value(event, (*road, ""))
        del self.document.values[(*road, "")]
        if isinstance(value, str):
            return value
        self.problem(event, road, f"the key {shown(value)} is not a text; quote it if it is meant as one")
        return shown(value)

    def scalar(self, event: Any, road: Keys) -> Any:
        if not event.implicit[0]:  # quoted, or a block of text
            return event.value
        text = event.value
        if _NUMBER.fullmatch(text) and len(text) > MAX_DIGITS:
            self.problem(event, road, f"a number of {len(text):,} characters; allowed: up to {MAX_DIGITS}")
            return 0
        return resolved(text)


_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_WORDS_OF_YAML: dict[str, Any] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
    **dict.fromkeys([".nan", ".NaN", ".NAN"], float("nan")),
}


def resolved(text: str) -> Any:
    """What an unquoted `text` is in YAML 1.2's core schema.

    >>> [resolved(text) for text in ("1e-3", "no", "010", "0x1F", "1_000", "~", "True", ".inf")]
    [0.001, 'no', 10, 31, '1_000', None, True, inf]
    """
    if text in _WORDS_OF_YAML:
        return _WORDS_OF_YAML[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if text.startswith(("0o", "0x")):
        return int(text, 0) if _NUMBER.fullmatch(text) else text
    if _NUMBER.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text
