"""The Parquet tables are the csv tables, with types."""

import csv
import math
from pathlib import Path

import pytest
from factories import make_result

from asyncsim.export import export
from asyncsim.exports import parquet as ours
from asyncsim.result import Result

parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet: pip install 'asyncsim[parquet]'")
pytestmark = pytest.mark.parquet

TABLES = ("runs", "curves", "contributions", "delays", "workers", "intervals", "away", "events")


def as_csv_has_it(value: object) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def test_every_table_has_the_rows_of_its_csv_file(folder: Path, tmp_path: Path) -> None:
    result = Result.read(folder, events=False)
    tables, texts = export(result, tmp_path / "parquet", "parquet"), export(result, tmp_path / "csv", "csv")
    assert {file.stem for file in tables.iterdir()} == {file.stem for file in texts.iterdir()} == set(TABLES)
    for name in TABLES:
        rows = parquet.read_table(tables / f"{name}.parquet").to_pylist()
        with (texts / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            assert [{key: as_csv_has_it(value) for key, value in row.items()} for row in rows] == list(
                csv.DictReader(file)
            )


def test_words_are_dictionaries_and_counts_are_whole(folder: Path, tmp_path: Path) -> None:
    tables = export(Result.read(folder, events=False), tmp_path / "out", "parquet")
    kinds = {field.name: str(field.type) for field in parquet.read_schema(tables / "events.parquet")}
    assert kinds["kind"].startswith("dictionary<values=string")
    assert (kinds["worker"], kinds["time"], kinds["k"]) == ("int32", "double", "int64")


def test_many_short_runs_share_a_group_of_rows_and_a_long_table_has_several(monkeypatch, tmp_path: Path) -> None:
    result = make_result(seeds=range(20), points=5)
    curves = export(result, tmp_path / "a", "parquet") / "curves.parquet"
    assert parquet.ParquetFile(curves).num_row_groups == 1
    monkeypatch.setattr(ours, "GROUP", 100)
    file = parquet.ParquetFile(export(result, tmp_path / "b", "parquet") / "curves.parquet")
    assert (file.num_row_groups, file.metadata.num_rows) == (3, 300)


def test_a_result_without_events_has_no_table_of_them_and_replaces_an_earlier_export(tmp_path: Path) -> None:
    export(make_result(events=True), tmp_path / "out", "parquet")
    export(make_result(), tmp_path / "out", "parquet")
    assert not (tmp_path / "out" / "events.parquet").exists()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match=r"holds other things \(thesis.tex\)"):
        export(make_result(), tmp_path / "out", "parquet")


def test_a_study_without_runs_gives_empty_tables(tmp_path: Path) -> None:
    tables = export(Result("nothing", ()), tmp_path / "out", "parquet")
    assert parquet.read_table(tables / "workers.parquet").num_rows == 0
