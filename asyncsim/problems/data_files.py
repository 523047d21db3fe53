"""Reading labelled data: the digits that come with the package, files of the user's own, scikit-learn's small sets.

- Nothing that is read is executed or unpickled.
- What a file claims about its size is compared with `MEMORY_LIMIT` before anything of that size is allocated.
- A relative path starts at the folder of the scenario; an absolute one is taken as it stands. Only regular files are
  read, so that a device or a pipe can't keep a run waiting for ever.
- Every error is a ValueError that names the file and, where there is one, the line; data that are not finite are
  refused.
"""

import contextlib
import csv
import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

MEMORY_LIMIT = 2 * 1024**3  # bytes of the samples as float64

_BUILT_IN = Path(__file__).parent / "data"
_SKLEARN = ("breast_cancer", "digits", "iris", "wine")
_ALLOWED = (
    "'digits', a file .libsvm, .svm, .txt (LIBSVM), .csv or .npz (arrays X and y), "
    f"or {', '.join(f'sklearn:{name}' for name in _SKLEARN)}"
)


class Table(NamedTuple):
    """`samples` (m, p) float64, `labels` (m,) indices into `classes`, `classes` the distinct labels in sorted order."""

    samples: npt.NDArray[np.float64]
    labels: npt.NDArray[np.intp]
    classes: tuple[float | str, ...]


def read(data: str, base: Path = Path(), label_column: str = "first") -> Table:
    """The data that a scenario calls `data`; `label_column` ("first" or "last") is for csv only.

    >>> table = read("digits")
    >>> table.samples.shape, table.classes
    ((1797, 64), (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0))
    """
    if data == "digits":
        return _npz(_BUILT_IN / "digits.npz")
    if data.startswith("sklearn:"):
        return _sklearn(data.removeprefix("sklearn:"))
    reader = _READERS.get(Path(data).suffix.lower())
    if reader is None:
        raise ValueError(f"data: {data!r} is not known; {_ALLOWED} is needed")
    path = base / data
    if "\0" in data or not path.is_file():
        raise ValueError(f"data: there is no file {str(path)!r}; a relative path starts at the folder of the scenario")
    try:
        return reader(path, label_column)
    except OSError as error:
        raise ValueError(f"data: {path} can't be read: {error.strerror or error}") from error


def of_arrays(samples: npt.ArrayLike, labels: npt.ArrayLike, source: str) -> Table:
    """A table of arrays: samples (m, p), or (m, …) which are flattened; labels (m,) of numbers or texts."""
    X, y = np.asarray(samples), np.asarray(labels)
    if X.dtype.kind not in "buif" or X.ndim < 2 or 0 in X.shape:
        raise ValueError(f"{source}: X has shape {X.shape} and type {X.dtype}; numbers (samples, features) are needed")
    if y.shape != X.shape[:1] or y.dtype.kind not in "buifU":
        raise ValueError(
            f"{source}: y has shape {y.shape} and type {y.dtype}; {X.shape[0]} labels are needed, one a sample"
        )
    _check_size(X.shape[0], X.size // X.shape[0], source)
    return _table(np.array(X.reshape(X.shape[0], -1), dtype=np.float64, order="C"), y, source)


def _table(samples: npt.NDArray[np.float64], labels: npt.NDArray[Any], source: str) -> Table:
    finite = np.isfinite(samples)
    if not finite.all():
        row, column = divmod(int(np.argmin(finite)), samples.shape[1])
        raise ValueError(
            f"{source}: row {row + 1}, feature {column + 1} is {samples[row, column]}; finite numbers are needed"
        )
    if labels.dtype.kind != "U":
        labels = labels.astype(np.float64)
        finite = np.isfinite(labels)
        if not finite.all():
            row = int(np.argmin(finite))
            raise ValueError(f"{source}: row {row + 1}: the label is {labels[row]}; finite numbers are needed")
    classes, indices = np.unique(labels, return_inverse=True)
    return Table(samples, indices.astype(np.intp), tuple(classes.tolist()))


def _check_size(rows: int, columns: int, source: str) -> None:
    if (needed := rows * columns * 8) > MEMORY_LIMIT:
        raise ValueError(
            f"{source}: {rows} samples of {columns} features are {needed / 1024**3:.3g} GiB as an array; "
            f"up to {MEMORY_LIMIT / 1024**3:.3g} GiB can be read"
        )


# -- text -------------------------------------------------------------------------------------------------------------


def _lines(path: Path, file: IO[str]) -> Iterator[str]:
    try:
        yield from file
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: this is not text in UTF-8: {error.reason}") from error


def _number(text: str, where: str, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{where}: {what} is {_short(text)}, but a finite number is needed")
    return number


def _short(text: str, length: int = 40) -> str:
    return repr(text if len(text) <= length else text[:length] + "…")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _libsvm(path: Path, label_column: str) -> Table:
    labels: list[float] = []
    rows: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]] = []
    columns = 0
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(_lines(path, file), start=1):
            fields = line.partition("#")[0].split()
            if not fields:
                continue
            where = f"{path}:{number}"
            labels.append(_number(fields[0], where, "the label"))
            rows.append(_libsvm_features(fields[1:], where))
            columns = max(columns, int(rows[-1][0].max(initial=0)))
            _check_size(len(rows), columns, where)
    if not columns:
        raise ValueError(f"{path}: there are no samples; lines such as '+1 1:0.5 7:2' are needed")
    samples = np.zeros((len(rows), columns))
    for row, (indices, values) in zip(samples, rows, strict=True):
        row[indices - 1] = values
    return _table(samples, np.array(labels), str(path))


def _libsvm_features(fields: Sequence[str], where: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    indices, values = np.empty(len(fields), dtype=np.int64), np.empty(len(fields))
    for j, field in enumerate(fields):
        index, colon, value = field.partition(":")
        if not colon or not (index.isascii() and index.isdigit()) or len(index) > 18 or int(index) < 1:
            raise ValueError(f"{where}: {_short(field)} is no index:value pair with a whole index >= 1")
        indices[j], values[j] = int(index), _number(value, where, f"feature {index}")
    if len(np.unique(indices)) < len(indices):
        raise ValueError(f"{where}: a feature is given twice; each index may stand once in a line")
    return indices, values


def _csv(path: Path, label_column: str) -> Table:
    labels: list[str] = []
    rows: list[npt.NDArray[np.float64]] = []
    for number, (label, features) in _csv_fields(path, label_column):
        where = f"{path}:{number}"
        if rows and len(features) != len(rows[0]):
            raise ValueError(f"{where}: {len(features) + 1} columns, but the lines before have {len(rows[0]) + 1}")
        labels.append(label)
        rows.append(np.array([_number(field, where, f"feature {j}") for j, field in enumerate(features, start=1)]))
        _check_size(len(rows), len(features), where)
    if not rows:
        raise ValueError(
            f"{path}: there are no samples; one line a sample is needed, the label in the {label_column} column"
        )
    return _table(np.array(rows), _csv_labels(labels, str(path)), str(path))


def _csv_fields(path: Path, label_column: str) -> Iterator[tuple[int, tuple[str, list[str]]]]:
    """Line number, label and features of each sample; a first line with no number among its features is a header."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(_lines(path, file))
        first = True
        try:
            for line in reader:
                fields = [field.strip() for field in line]
                if not any(fields):
                    continue
                label, features = (fields[0], fields[1:]) if label_column == "first" else (fields[-1], fields[:-1])
                if not features:
                    raise ValueError(
                        f"{path}:{reader.line_num}: one column only; a label, features and commas are needed"
                    )
                if not first or any(map(_is_number, features)):
                    yield reader.line_num, (label, features)
                first = False
        except csv.Error as error:
            raise ValueError(f"{path}:{reader.line_num}: this is no csv: {error}") from error


def _csv_labels(labels: Sequence[str], source: str) -> npt.NDArray[Any]:
    """Numbers when all are numbers, texts when none is: one text among numbers is a slip of the pen, not a class."""
    numbers = [_is_number(label) for label in labels]
    if all(numbers):
        return np.array([float(label) for label in labels])
    if any(numbers):
        odd = labels[numbers.index(False)]
        raise ValueError(
            f"{source}: the label {_short(odd)} stands among numbers; all labels numbers or all texts are needed"
        )
    return np.array(labels)


# -- npz, scikit-learn ------------------------------------------------------------------------------------------------


class _Claim(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    there: int  # bytes that follow the header, as the archive's index has it


def _npz(path: Path, label_column: str = "first") -> Table:
    with _damage_named(path), zipfile.ZipFile(path) as archive:
        there = [name for name in ("X", "y") if f"{name}.npy" in archive.namelist()]
        claims = {name: _claim(archive, f"{name}.npy") for name in there}
    for name in ("X", "y"):
        _check_claim(claims.get(name), f"{path}: the array {name}")
    with _damage_named(path), np.load(path, allow_pickle=False) as arrays:
        X, y = arrays["X"], arrays["y"]
    return of_arrays(X, y, str(path))


@contextlib.contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Damage in an archive shows itself as errors of zipfile, zlib, struct, ast, tokenize … and becomes one of ours."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{path}: this is no sound .npz file: {_short(str(error), 200)}") from error


def _claim(archive: zipfile.ZipFile, member: str) -> _Claim:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        old = version == (1, 0)
        read_header: Callable[..., Any] = (
            np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read_header(file)
        return _Claim(shape, dtype, archive.getinfo(member).file_size - file.tell())


def _check_claim(claim: _Claim | None, what: str) -> None:
    """Refuses what is too big, or would need pickle, before it is read."""
    if claim is None:
        raise ValueError(f"{what} is missing; X (samples, features) and y (labels) are needed")
    if claim.dtype.hasobject:
        raise ValueError(f"{what} holds Python objects, which are not read; numbers are needed")
    if len(claim.shape) > 8 or not all(0 <= side < 2**48 for side in claim.shape):
        raise ValueError(f"{what} claims a shape that no array has: {_short(str(claim.shape))}")
    _check_size(math.prod(claim.shape[:1]), math.prod(claim.shape[1:]), what)
    if (claimed := math.prod(claim.shape) * claim.dtype.itemsize) > claim.there:
        raise ValueError(f"{what} claims {claimed} bytes, but there are {claim.there}")


def _sklearn(name: str) -> Table:
    if name not in _SKLEARN:
        raise ValueError(f"data: 'sklearn:{name}' is not known; {_ALLOWED} is needed")
    try:
        from sklearn import datasets  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise ValueError(f"data: 'sklearn:{name}' needs scikit-learn: pip install 'asyncsim[sklearn]'") from error
    found = getattr(datasets, f"load_{name}")()
    return of_arrays(found.data, found.target, f"sklearn:{name}")


_READERS: dict[str, Callable[[Path, str], Table]] = {
    ".libsvm": _libsvm,
    ".svm": _libsvm,
    ".txt": _libsvm,
    ".csv": _csv,
    ".npz": _npz,
}
