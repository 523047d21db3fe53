"""Reading data: the digits that come with the package, files of the user's own, scikit-learn's small sets, texts.

- Nothing that is read is executed or unpickled.
- What a file claims about its size is compared with `MEMORY_LIMIT`, and with the size of the file, before anything of
  that size is allocated. What is compressed is unpacked no further than its header claims.
- A relative path starts at the folder of the scenario; an absolute one is taken as it stands. Only regular files are
  read, so that a device or a pipe can't keep a run waiting for ever.
- Every error is a ValueError that names the file and, where there is one, the line; data that are not finite are
  refused.
- A file is read once a process: its table is kept under the digest of its bytes, read-only, and shared by all runs.
"""

import contextlib
import csv
import gzip
import hashlib
import math
import re
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

MEMORY_LIMIT = 2 * 1024**3  # bytes of the samples as float64
TEXT_LIMIT = 64 * 1024**2  # bytes of a text
CHARACTERS_LIMIT = 1000  # different ones in a text
TABLES_KEPT = 4

_BUILT_IN = Path(__file__).parent / "data"
_SKLEARN = ("breast_cancer", "digits", "iris", "wine")
_ALLOWED = (
    "'digits', a file .libsvm, .svm, .txt (LIBSVM), .csv or .npz (arrays X and y), MNIST's …-images-idx3-ubyte (or .gz) "
    "with its labels beside it, CIFAR's .bin (data_batch_*.bin for several), "
    f"or {', '.join(f'sklearn:{name}' for name in _SKLEARN)}"
)


class Table(NamedTuple):
    """`samples` (m, p) float64, or uint8 of images; `labels` (m,) indices into `classes`, the distinct labels, sorted.

    `shape` is that of one sample before it was flattened.
    """

    samples: npt.NDArray[Any]
    labels: npt.NDArray[np.intp]
    classes: tuple[float | str, ...]
    shape: tuple[int, ...]


_tables: OrderedDict[Any, Table] = OrderedDict()


def read(data: str, base: Path = Path(), label_column: str = "first") -> Table:
    """The data that a scenario calls `data`; `label_column` ("first" or "last") is for csv only.

    >>> table = read("digits")
    >>> table.samples.shape, table.classes
    ((1797, 64), (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0))
    """
    if data == "digits":
        return _once(_npz, [_BUILT_IN / "digits.npz"])
    if data.startswith("sklearn:"):
        return _sklearn(data.removeprefix("sklearn:"))
    reader = _reader(data)
    if reader is None:
        raise ValueError(f"data: {data!r} is not known; {_ALLOWED} is needed")
    path = base / data
    many = sorted(path.parent.glob(path.name)) if "*" in path.name and "\0" not in data else []
    paths = [each for each in many if each.is_file()] or [_there(path)]
    if len(paths) > 1 and reader is not _cifar:
        raise ValueError(
            f"data: {data!r} stands for {len(paths)} files, {paths[0].name}, {paths[1].name}{', …' if paths[2:] else ''}, "
            "but only CIFAR's .bin are read from several; put the samples into one file"
        )
    try:
        if reader is _idx:
            paths = [*paths, _labels_beside(paths[0])]
        return _once(reader, paths, label_column)
    except OSError as error:
        raise ValueError(f"data: {paths[0]} can't be read: {error.strerror or error}") from error


def read_like(table: Table, data: str, base: Path = Path(), label_column: str = "first") -> Table:
    """As `read`; a LIBSVM file, which leaves out what is 0, has as many features as `table`, if it names fewer."""
    found = read(data, base, label_column)
    missing = table.samples.shape[1] - found.samples.shape[1]
    if missing <= 0 or _reader(data) is not _libsvm:
        return found
    samples = np.pad(found.samples, ((0, 0), (0, missing)))
    return found._replace(samples=samples, shape=samples.shape[1:])


def _there(path: Path) -> Path:
    if "\0" in str(path) or not path.is_file():
        raise ValueError(f"data: there is no file {str(path)!r}; a relative path starts at the folder of the scenario")
    return path


def _once(reader: Callable[..., Table], paths: Sequence[Path], label_column: str = "first") -> Table:
    """What `reader` makes of these files; of files with the same bytes that were read already, the table from then."""
    key: Any = (reader, label_column)
    for path in paths:
        with path.open("rb") as file:
            key = (*key, str(path), hashlib.file_digest(file, "sha256").hexdigest())
    if key in _tables:
        _tables.move_to_end(key)
        return _tables[key]
    table = reader(paths if reader in _OF_SEVERAL else paths[0], label_column)
    for array in (table.samples, table.labels):
        array.setflags(write=False)
    _tables[key] = table
    while len(_tables) > TABLES_KEPT:
        _tables.popitem(last=False)
    return table


def read_text(data: str, base: Path = Path()) -> str:
    """The text that a scenario calls `data`: "sums", which is made here, or a file in UTF-8.

    >>> read_text("sums")[:16]
    '20+73=93\\n5+59=64'
    """
    if data == "sums":
        return sums()
    path = _there(base / data)
    try:
        if path.stat().st_size > TEXT_LIMIT:
            raise ValueError(f"{path}: {path.stat().st_size:,} bytes; up to {TEXT_LIMIT:,} of text can be read")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"data: {path} can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: this is not text in UTF-8: {error.reason} at byte {error.start}") from error
    if (different := len(set(text))) > CHARACTERS_LIMIT:
        raise ValueError(f"{path}: {different:,} different characters; a text has up to {CHARACTERS_LIMIT:,}")
    return text


def sums(lines: int = 5000) -> str:
    """A text of sums, one a line, with two numbers below 100 each: something that a model of characters can learn."""
    pairs = np.random.Generator(np.random.Philox(key=5)).integers(100, size=(lines, 2)).tolist()
    return "".join(f"{a}+{b}={a + b}\n" for a, b in pairs)


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
    kind = np.uint8 if X.dtype == np.uint8 else np.float64
    return _table(np.array(X.reshape(X.shape[0], -1), dtype=kind, order="C"), y, source, X.shape[1:])


def _table(
    samples: npt.NDArray[Any], labels: npt.NDArray[Any], source: str, shape: tuple[int, ...] | None = None
) -> Table:
    finite = np.isfinite(samples) if samples.dtype.kind == "f" else np.True_
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
    return Table(samples, indices.astype(np.intp), tuple(classes.tolist()), shape or samples.shape[1:])


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
    with path.open(encoding="utf-8-sig") as file:
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
    if _numbers_its_columns(labels, rows[0]):
        del labels[0], rows[0]
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


def _numbers_its_columns(labels: Sequence[str], first: npt.NDArray[np.float64]) -> bool:
    """Whether the first line is a header such as 0,1,2,3,species, as pandas writes it for an array with labels."""
    count = np.arange(len(first))
    counts = len(first) > 2 and (np.array_equal(first, count) or np.array_equal(first, count + 1))
    return counts and len(labels) > 1 and not _is_number(labels[0]) and labels[0] not in labels[1:]


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


# -- images ------------------------------------------------------------------------------------------------------------

_IDX = re.compile(r"(.*-)?images[-.]idx3-ubyte(\.gz)?")
_CIFAR_IMAGE = 3 * 32 * 32


def _labels_beside(images: Path) -> Path:
    """…-labels-idx1-ubyte beside …-images-idx3-ubyte; one of the two may be compressed and the other not."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    plain = name.removesuffix(".gz")
    for candidate in (name, plain, f"{plain}.gz"):
        if (path := images.with_name(candidate)).is_file():
            return path
    raise ValueError(f"{images}: its labels are missing: {plain} (or .gz) is needed beside it")


def _idx(paths: Sequence[Path], label_column: str) -> Table:
    """MNIST's format: big-endian, a magic number with type and dimensions, the sides, then the bytes."""
    images, labels = (_idx_bytes(path, dimensions) for path, dimensions in zip(paths, (3, 1), strict=True))
    if len(images) != len(labels):
        raise ValueError(f"{paths[0]} has {len(images)} images, but {paths[1]} has {len(labels)} labels")
    return _table(images.reshape(len(images), -1), labels, str(paths[0]), (1, *images.shape[1:]))


def _idx_bytes(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    header = 4 + 4 * dimensions
    with _opened(path) as file:
        start = _unpacked(file, header, path)
        if start[:4] != bytes([0, 0, 8, dimensions]):
            what = "images: 3" if dimensions == 3 else "labels: 1"
            raise ValueError(
                f"{path}: this is no IDX file of {what} dimension(s) of bytes (it begins with {start[:4].hex(' ')})"
            )
        sides = [int.from_bytes(start[at : at + 4], "big") for at in range(4, len(start), 4)]
        claimed = math.prod(sides)
        if len(start) < header or not claimed:
            raise ValueError(f"{path}: the header claims no image at all: sides {sides}")
        _check_size(sides[0], claimed // sides[0], str(path))
        if path.suffix.lower() != ".gz" and (there := path.stat().st_size - header) != claimed:
            raise ValueError(f"{path}: the header claims {claimed} bytes, but there are {there}")
        body = _unpacked(file, claimed + 1, path)
    if len(body) != claimed:
        found = f"only {len(body)}" if len(body) < claimed else "more"
        raise ValueError(f"{path}: the header claims {claimed} bytes, but there are {found}")
    return np.frombuffer(body, np.uint8).reshape(sides)


def _opened(path: Path) -> Any:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")


def _unpacked(file: IO[bytes], most: int, path: Path) -> bytes:
    """Up to `most` bytes, in pieces: what a header claims is not allocated before it is there."""
    pieces = []
    try:
        while most and (piece := file.read(min(most, 2**20))):
            pieces.append(piece)
            most -= len(piece)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: this is no sound .gz file: {_short(str(error), 200)}") from error
    return b"".join(pieces)


def _cifar(paths: Sequence[Path], label_column: str) -> Table:
    """CIFAR-10 or -100, binary: a record is one label (or two, the second is the fine one) and 3×32×32 bytes."""
    parts = [_cifar_records(path) for path in paths]
    if len({part.shape[1] for part in parts}) > 1:
        raise ValueError(f"{paths[0]}: the files beside it have records of another length: CIFAR-10 with CIFAR-100?")
    records = np.concatenate(parts)
    _check_size(len(records), _CIFAR_IMAGE, str(paths[0]))
    images = np.ascontiguousarray(records[:, -_CIFAR_IMAGE:])
    return _table(images, records[:, -_CIFAR_IMAGE - 1], str(paths[0]), (3, 32, 32))


def _cifar_records(path: Path) -> npt.NDArray[np.uint8]:
    size = path.stat().st_size
    fits = [labels for labels in (1, 2) if size and size % (labels + _CIFAR_IMAGE) == 0]
    if not fits:
        raise ValueError(
            f"{path}: {size} bytes are no whole number of CIFAR records, which are of {_CIFAR_IMAGE + 1} bytes "
            f"(CIFAR-10) or {_CIFAR_IMAGE + 2} (CIFAR-100)"
        )
    _check_size(size // _CIFAR_IMAGE, _CIFAR_IMAGE, str(path))
    return np.fromfile(path, np.uint8).reshape(-1, fits[0] + _CIFAR_IMAGE)


def _reader(data: str) -> Callable[..., Table] | None:
    """Who reads a file of this name."""
    if _IDX.fullmatch(Path(data).name):
        return _idx
    return _READERS.get(Path(data).suffix.lower())


def _sklearn(name: str) -> Table:
    if name not in _SKLEARN:
        raise ValueError(f"data: 'sklearn:{name}' is not known; {_ALLOWED} is needed")
    try:
        from sklearn import datasets  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise ValueError(f"data: 'sklearn:{name}' needs scikit-learn: pip install 'asyncsim[sklearn]'") from error
    found = getattr(datasets, f"load_{name}")()
    return of_arrays(found.data, found.target, f"sklearn:{name}")


_READERS: dict[str, Callable[..., Table]] = {
    ".libsvm": _libsvm,
    ".svm": _libsvm,
    ".txt": _libsvm,
    ".csv": _csv,
    ".npz": _npz,
    ".bin": _cifar,
}
_OF_SEVERAL = (_idx, _cifar)
