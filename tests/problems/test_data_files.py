"""What data files may look like, and what is said of those that are wrong."""

import gzip
import hashlib
import io
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.problems import SoftmaxRegression, data_files


@pytest.fixture
def file(tmp_path):
    """Writes a file and returns the function that reads it, relative to its folder."""

    def write(name, content):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())

        def read(**given):
            return data_files.read(name, tmp_path, **given)

        read.folder = tmp_path
        return read

    return write


def npz(**members):
    file = io.BytesIO()
    np.savez(file, **members)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(shape, descr="'<f8'"):
    """An .npy file that claims `shape` and holds nothing."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def archive(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name, content in members.items():
            zipped.writestr(f"{name}.npy", content)
    return file.getvalue()


def test_the_digits_are_those_of_the_source():
    table = data_files.read("digits")
    assert table.samples.shape == (1797, 64)
    assert (table.samples.min(), table.samples.max(), table.samples.sum()) == (0, 16, 561718)
    assert table.classes == tuple(range(10))
    assert np.bincount(table.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    both = table.samples.astype(np.uint8).tobytes() + table.labels.astype(np.uint8).tobytes()
    assert hashlib.sha256(both).hexdigest() == "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


# -- LIBSVM


def test_libsvm_lines_become_dense_rows(file):
    table = file("a.libsvm", "+1 1:0.5 3:-2 # a comment\n\n# only a comment\n-1 2:1e-3\n-1\n")()
    assert np.array_equal(table.samples, [[0.5, 0, -2], [0, 1e-3, 0], [0, 0, 0]])
    assert (table.labels.tolist(), table.classes) == ([1, 0, 0], (-1.0, 1.0))


def test_libsvm_may_begin_with_a_byte_order_mark(file):
    assert file("a.libsvm", "\ufeff+1 1:0.5\n-1 1:2\n")().classes == (-1.0, 1.0)


@pytest.mark.parametrize("name", ["a.svm", "a.txt", "A.LIBSVM"])
def test_libsvm_goes_by_several_endings(file, name):
    assert file(name, "1 1:1\r\n2 1:2\r\n")().classes == (1.0, 2.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("+1 1:1\none 1:1\n", ":2: the label is 'one', but a finite number"),
        ("+1 1:1 2\n", ":1: '2' is no index:value pair"),
        ("+1 0:1\n", ":1: '0:1' is no index:value pair with a whole index >= 1"),
        ("+1 -3:1\n", "'-3:1' is no index"),
        ("+1 ²:1\n", "'²:1' is no index"),
        ("1 qid:3 1:1\n", "'qid:3' is no index"),
        ("+1 1:1\n\n-1 2:x\n", ":3: feature 2 is 'x', but a finite number"),
        ("+1 1:nan\n", ":1: feature 1 is 'nan', but a finite number"),
        ("inf 1:1\n", ":1: the label is 'inf'"),
        ("+1 1:1 1:2\n", ":1: a feature is given twice"),
        (
            "+1 1:1\n-1 900000000000:1\n",
            ":2: 2 samples of 900000000000 features are 1.34e[+]04 GiB as an array; up to 2 GiB",
        ),
        ("+1 " + "9" * 5000 + ":1\n", r"'9{40}…' is no index"),
        ("", "there are no samples"),
        ("+1\n-1\n", "there are no samples"),
        (b"+1 1:\xff\n", "this is not text in UTF-8"),
    ],
)
def test_broken_libsvm_is_refused_with_its_line(file, content, message):
    with pytest.raises(ValueError, match=f"a.libsvm.*{message}"):
        file("a.libsvm", content)()


@given(
    st.integers(1, 4).flatmap(
        lambda p: st.lists(
            st.tuples(st.integers(-3, 3), st.lists(st.floats(-1e9, 1e9), min_size=p, max_size=p)),
            min_size=1,
            max_size=6,
        )
    )
)
def test_libsvm_and_csv_of_the_same_numbers_are_the_same_data(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("same")
    lines = [f"{y} " + " ".join(f"{j}:{v!r}" for j, v in enumerate(x, start=1)) for y, x in rows]
    (folder / "a.svm").write_text("\n".join(lines))
    (folder / "a.csv").write_text("\n".join(",".join([str(y), *map(repr, x)]) for y, x in rows))
    one, other = data_files.read("a.svm", folder), data_files.read("a.csv", folder)
    assert np.array_equal(one.samples, other.samples)
    assert np.array_equal(one.samples, [x for _, x in rows])
    assert np.array_equal(one.labels, other.labels)
    assert [one.classes[label] for label in one.labels] == [y for y, _ in rows]


# -- csv


def test_csv_has_its_label_first_or_last_and_may_have_a_header(file):
    first = file("a.csv", "digit,a,b\n3,0.5,1\n7,2,3\n\n3,4,5\n")()
    last = file("b.csv", "\ufeff0.5, 1, 3\r\n2, 3, 7\r\n4, 5, 3\r\n")(label_column="last")
    assert np.array_equal(first.samples, [[0.5, 1], [2, 3], [4, 5]])
    assert first.classes == (3.0, 7.0)
    assert first.labels.tolist() == [0, 1, 0]
    assert all(np.array_equal(a, b) for a, b in zip(first, last, strict=True))


@pytest.mark.parametrize("header", ["0,1,2,species", "1,2,3,species"])
@pytest.mark.parametrize("labels", [("setosa", "virginica"), ("3", "7")])
def test_a_csv_header_may_number_the_features(file, header, labels):
    table = file("a.csv", f"{header}\n4,5,6,{labels[0]}\n7,8,9,{labels[1]}\n")(label_column="last")
    assert table.samples.tolist() == [[4, 5, 6], [7, 8, 9]]
    assert [str(name).removesuffix(".0") for name in table.classes] == list(labels)


def test_a_first_sample_that_looks_like_a_header_is_kept_where_others_have_its_label(file):
    assert file("a.csv", "cat,0,1,2\ndog,1,1,1\ncat,2,1,0\n")().labels.tolist() == [0, 1, 0]


def test_csv_labels_may_be_texts(file):
    table = file("a.csv", "setosa,1,2\nvirginica,3,4\nsetosa,5,6\n")()
    assert (table.labels.tolist(), table.classes) == ([0, 1, 0], ("setosa", "virginica"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2,3\n1,2\n", ":2: 2 columns, but the lines before have 3"),
        ("1,2,3\n1,2,x\n", ":2: feature 2 is 'x', but a finite number"),
        ("1,2,\n", ":1: feature 2 is '', but a finite number"),
        ("a,b,c\n1,2,3\n0,x,y\n", ":3: feature 1 is 'x'"),
        ("1,2,inf\n", ":1: feature 2 is 'inf'"),
        ("1,2\nl,3\n", "the label 'l' stands among numbers"),
        ("nan,2\n1,3\n", "row 1: the label is nan"),
        ("1;2;3\n", ":1: one column only"),
        ("", "there are no samples"),
        ("y,a,b\n", "there are no samples; one line a sample is needed, the label in the first column"),
        ("1," + "2" * 200_000, "this is no csv"),
        (b"\xff\xfe1,2\n", "this is not text in UTF-8"),
    ],
)
def test_broken_csv_is_refused_with_its_line(file, content, message):
    with pytest.raises(ValueError, match=f"a.csv.*{message}"):
        file("a.csv", content)()


# -- npz


def test_npz_takes_any_numbers_and_flattens_images(file):
    X = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)
    table = file("a.npz", npz(X=np.asfortranarray(X), y=np.array([5, 5, 2])))()
    assert np.array_equal(table.samples, X.reshape(3, 8))
    assert table.samples.flags.c_contiguous
    assert (table.labels.tolist(), table.classes) == ([1, 1, 0], (2.0, 5.0))
    assert file("b.npz", npz(X=X, y=np.array(["b", "a", "b"])))().classes == ("a", "b")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a zip", "this is no sound .npz file"),
        (npz(X=np.ones((2, 2)), y=np.ones(2))[:-40], "this is no sound .npz file"),
        (npz(X=np.ones((2, 2))), "the array y is missing"),
        (npz(data=np.ones((2, 2)), y=np.ones(2)), "the array X is missing"),
        (npz(X=np.ones(4), y=np.ones(4)), r"X has shape \(4,\)"),
        (npz(X=np.ones((2, 0)), y=np.ones(2)), r"X has shape \(2, 0\)"),
        (npz(X=np.array([["a"]]), y=np.ones(1)), "type <U1; numbers"),
        (npz(X=np.ones((1, 1), dtype=complex), y=np.ones(1)), "type complex128; numbers"),
        (npz(X=np.ones((2, 2)), y=np.ones(3)), "2 labels are needed"),
        (npz(X=np.array([[1, 2], [3, np.nan]]), y=np.ones(2)), "row 2, feature 2 is nan; finite numbers are needed"),
        (npz(X=np.ones((2, 2)), y=np.array([1, np.inf])), "row 2: the label is inf"),
        (
            archive(X=header((10**6, 10**6)), y=header((10**6,))),
            r"X: 1000000 samples of 1000000 features are 7.45e\+03 GiB",
        ),
        (archive(X=header((10**6,) * 60), y=header((1,))), "the array X claims a shape that no array has"),
        (archive(X=header((10, 3)), y=header((10,))), "the array X claims 240 bytes, but there are 0"),
        (archive(X=header((10, -3)), y=header((10,))), r"the array X claims a shape that no array has: '\(10, -3\)'"),
        (archive(X=header((2, 2), "'|O'"), y=header((2,))), "holds Python objects, which are not read"),
        (archive(X=b"nonsense", y=b""), "this is no sound .npz file: .*magic"),
        (archive(X=b"\x93NUMPY\x09\x00xxxx", y=b""), "this is no sound .npz file"),
    ],
)
def test_broken_npz_is_refused_before_anything_big_is_allocated(file, content, message):
    with pytest.raises(ValueError, match=f"a.npz.*{message}"):
        file("a.npz", content)()


@given(st.data())
def test_npz_with_flipped_bytes_is_read_or_refused_but_never_crashes(tmp_path_factory, data):
    X, y = np.arange(6.0).reshape(3, 2), np.arange(3)
    # flipped in the archive, which its checksums show, or in an array before it was put there
    in_archive = data.draw(st.booleans())
    content = bytearray(npz(X=X, y=y) if in_archive else npy(X))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, min(200, len(content)) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "flipped.npz"
    path.write_bytes(content if in_archive else archive(X=bytes(content), y=npy(y)))
    try:
        table = data_files.read(str(path))
    except ValueError as error:
        said = str(error)
    else:
        said = "flipped.npz" if np.isfinite(table.samples).all() else "values that are not finite"
    assert "flipped.npz" in said


# -- names and paths


def test_relative_paths_start_at_the_base_and_absolute_ones_stand(file, tmp_path):
    file("a.csv", "1,2\n0,3\n")
    assert SoftmaxRegression("a.csv").build(seed=0, base=tmp_path).dimension == 4
    assert SoftmaxRegression(str(tmp_path / "a.csv")).build(base=tmp_path / "elsewhere").dimension == 4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("mnist", "'mnist' is not known; 'digits', a file .libsvm"),
        ("a.parquet", "'a.parquet' is not known"),
        ("missing.csv", "there is no file '.*missing.csv'; a relative path starts at the folder of the scenario"),
        ("folder.csv", "there is no file"),
        ("a\0.csv", "there is no file"),
        ("sklearn:mnist", "'sklearn:mnist' is not known; .*sklearn:breast_cancer"),
        ("sklearn:os.system", "is not known"),
    ],
)
def test_unknown_data_are_refused_with_what_is_allowed(tmp_path, data, message):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValueError, match=f"data: .*{message}"):
        data_files.read(data, tmp_path)


def test_missing_scikit_learn_is_said_with_the_command_that_helps(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ValueError, match=r"pip install 'asyncsim\[sklearn\]'"):
        data_files.read("sklearn:breast_cancer")


def test_scikit_learns_digits_are_ours():
    pytest.importorskip("sklearn", reason="needs the extra sklearn")
    ours, theirs = data_files.read("digits"), data_files.read("sklearn:digits")
    assert np.array_equal(ours.samples, theirs.samples)
    assert np.array_equal(ours.labels, theirs.labels)
    assert data_files.read("sklearn:breast_cancer").samples.shape == (569, 30)


# -- images


def idx(array, claimed=None, kind=8):
    """An IDX file of bytes; `claimed` are the sides that its header tells."""
    sides = array.shape if claimed is None else claimed
    header = bytes([0, 0, kind, len(sides)]) + b"".join(side.to_bytes(4, "big") for side in sides)
    return header + array.astype(np.uint8).tobytes()


IMAGES = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 2, 4)
LABELS = np.array([7, 2, 7], np.uint8)


@pytest.mark.parametrize(
    "images_name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "train-images.idx3-ubyte"]
)
@pytest.mark.parametrize("labels_packed", [False, True])
def test_mnists_files_are_read_packed_or_not_with_their_labels_beside_them(file, images_name, labels_packed):
    def packed(name, content):
        return gzip.compress(content) if name.endswith(".gz") else content

    labels_name = images_name.replace("images", "labels").replace("idx3", "idx1").removesuffix(".gz")
    labels_name += ".gz" if labels_packed else ""
    file(labels_name, packed(labels_name, idx(LABELS)))
    table = file(images_name, packed(images_name, idx(IMAGES)))()
    assert table.samples.dtype == np.uint8
    assert np.array_equal(table.samples, IMAGES.reshape(3, 8))
    assert (table.labels.tolist(), table.classes, table.shape) == ([1, 0, 1], (2.0, 7.0), (1, 2, 4))


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (idx(IMAGES)[:-1], idx(LABELS), "images.*the header claims 24 bytes, but there are (only )?23"),
        (idx(IMAGES) + b"x", idx(LABELS), "images.*the header claims 24 bytes, but there are (25|more)"),
        (idx(IMAGES, (2**31, 2**31, 4)), idx(LABELS), "images.*2147483648 samples of .* GiB as an array; up to 2 GiB"),
        (idx(IMAGES, (3, 0, 4)), idx(LABELS), "claims no image at all"),
        (
            idx(IMAGES, kind=13),
            idx(LABELS),
            r"no IDX file of images: 3 dimension\(s\) of bytes \(it begins with 00 00 0d 03\)",
        ),
        (b"<html>not found</html>", idx(LABELS), "images.*no IDX file"),
        (b"", idx(LABELS), "images.*no IDX file"),
        (idx(IMAGES)[:9], idx(LABELS), "images.*claims"),
        (idx(IMAGES), idx(IMAGES), "labels.*no IDX file of labels"),
        (idx(IMAGES), idx(LABELS[:2]), "has 3 images, but .* has 2 labels"),
    ],
)
def test_broken_idx_is_refused(file, images, labels, message, packed):
    name = "t-images-idx3-ubyte" + (".gz" if packed else "")
    file("t-labels-idx1-ubyte", labels)
    read = file(name, gzip.compress(images) if packed else images)
    with pytest.raises(ValueError, match=message):
        read()


def test_a_file_that_is_packed_no_better_than_its_name_is_refused(file):
    file("t-labels-idx1-ubyte", idx(LABELS))
    with pytest.raises(ValueError, match=r"this is no sound \.gz file"):
        file("t-images-idx3-ubyte.gz", idx(IMAGES))()
    with pytest.raises(ValueError, match=r"this is no sound \.gz file"):
        file("t-images-idx3-ubyte.gz", gzip.compress(idx(IMAGES))[:-9])()


def test_images_without_their_labels_are_refused_by_the_name_that_is_missing(file):
    with pytest.raises(ValueError, match=r"its labels are missing: a-labels-idx1-ubyte \(or .gz\) is needed"):
        file("a-images-idx3-ubyte.gz", b"")()


def test_a_bomb_is_unpacked_no_further_than_its_header_claims(file):
    """64 MiB of zeros in 64 KiB, behind a header that claims 24 bytes: hardly any memory is used."""
    file("t-labels-idx1-ubyte", idx(LABELS))
    read = file("t-images-idx3-ubyte.gz", gzip.compress(idx(IMAGES) + bytes(2**26), 1))
    tracemalloc.start()
    with pytest.raises(ValueError, match="claims 24 bytes, but there are more"):
        read()
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def records(labels, seed=0):
    luck = np.random.default_rng(seed)
    images = luck.integers(256, size=(len(labels), 3072), dtype=np.uint8)
    return images, np.hstack([np.array(labels, np.uint8).reshape(len(labels), -1), images]).tobytes()


def test_cifar_10_is_read_from_several_files(file):
    (one, first), (two, second) = records([3, 9, 3], 1), records([0, 3], 2)
    file("data_batch_2.bin", second)
    file("data_batch_1.bin", first)
    read = file("test_batch.bin", first)
    table = data_files.read("data_batch_*.bin", read.folder)
    assert np.array_equal(table.samples, np.vstack([one, two]))
    assert (table.labels.tolist(), table.classes, table.shape) == ([1, 2, 1, 0, 1], (0.0, 3.0, 9.0), (3, 32, 32))
    assert len(read().labels) == 3


@pytest.mark.parametrize("ending", ["-images-idx3-ubyte", ".csv", ".libsvm", ".npz"])
def test_of_other_kinds_a_pattern_stands_for_one_file_and_not_for_the_first_of_several(file, ending):
    read = file(f"a{ending}", "1,2\n0,3\n")
    file(f"b{ending}", "1,4\n0,5\n")
    with pytest.raises(ValueError, match=r"stands for 2 files, a[-.].*, b[-.].*, but only CIFAR's .bin"):
        data_files.read(f"*{ending}", read.folder)
    if ending == ".csv":
        assert data_files.read("a*.csv", read.folder).samples.tolist() == [[2.0], [3.0]]


def test_of_cifar_100_the_fine_labels_are_taken(file):
    images, content = records([[1, 42], [0, 7]])
    table = file("train.bin", content)()
    assert np.array_equal(table.samples, images)
    assert (table.labels.tolist(), table.classes) == ([1, 0], (7.0, 42.0))


@pytest.mark.parametrize("content", [b"", b"x" * 3072, records([1, 2])[1] + b"x"])
def test_broken_cifar_is_refused(file, content):
    with pytest.raises(ValueError, match=f"a.bin: {len(content)} bytes are no whole number of CIFAR records"):
        file("a.bin", content)()


def test_files_of_both_cifars_do_not_mix(file):
    file("a_1.bin", records([1])[1])
    read = file("a_2.bin", records([[1, 2]])[1])
    with pytest.raises(ValueError, match="CIFAR-10 with CIFAR-100"):
        data_files.read("a_*.bin", read.folder)


# -- texts


def test_a_text_is_read_as_it_stands(file):
    read = file("a.txt", "\ufeffæ\r\nb")
    assert data_files.read_text("a.txt", read.folder) == "æ\r\nb"


def test_the_sums_are_right():
    lines = data_files.read_text("sums").splitlines()
    assert len(lines) == 5000
    for line in lines:
        left, total = line.split("=")
        assert sum(map(int, left.split("+"))) == int(total)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\xff", "not text in UTF-8: invalid start byte at byte 1"),
        ("".join(map(chr, range(0x4E00, 0x4E00 + 1001))), "1,001 different characters; a text has up to 1,000"),
    ],
)
def test_what_is_no_text_is_refused(file, content, message):
    read = file("a.txt", content)
    with pytest.raises(ValueError, match=message):
        data_files.read_text("a.txt", read.folder)


def test_a_text_that_is_too_long_is_refused_before_it_is_read(file, monkeypatch):
    monkeypatch.setattr(data_files, "TEXT_LIMIT", 10)
    read = file("a.txt", "0123456789a")
    with pytest.raises(ValueError, match="11 bytes; up to 10 of text"):
        data_files.read_text("a.txt", read.folder)
    with pytest.raises(ValueError, match=r"there is no file .*b\.txt"):
        data_files.read_text("b.txt", read.folder)


# -- once a process


def test_a_file_is_read_once_until_it_changes(file):
    first = file("a.csv", "1,2\n2,3\n")()
    assert file("a.csv", "1,2\n2,3\n")() is first
    assert not first.samples.flags.writeable
    changed = file("a.csv", "1,2\n2,4\n")()
    assert changed.samples.tolist() == [[2], [4]]
    assert file("a.csv", "1,2\n2,4\n")(label_column="last").samples.tolist() == [[1], [2]]


def test_only_the_last_few_tables_are_kept(file):
    for j in range(2 * data_files.TABLES_KEPT):
        file("a.csv", f"1,2\n2,{j}\n")()
    assert len(data_files._tables) == data_files.TABLES_KEPT
