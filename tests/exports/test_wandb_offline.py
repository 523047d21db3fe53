"""Offline runs of Weights & Biases, read back from their own files."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from asyncsim.export import export
from asyncsim.result import Result

pytestmark = [
    pytest.mark.wandb,
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore"),  # of the package's own, which this reads with
]


def records(file: Path) -> list[Any]:
    """The records of one run's file: 7 bytes of head, then blocks of 32 KiB with pieces of records, as LevelDB's log."""
    from wandb.proto import wandb_internal_pb2

    data, place, piece, found = file.read_bytes(), 7, b"", []
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:  # no room for a head: the rest of the block is empty
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        piece += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            found.append(wandb_internal_pb2.Record.FromString(piece))
            piece = b""
    return found


def test_each_run_is_an_offline_run_with_its_curves_and_parameters(folder: Path, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("wandb", reason="needs the extra wandb")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    environment = dict(os.environ)
    result = Result.read(folder, events=False)
    written = export(result, tmp_path / "out", "wandb")
    assert dict(os.environ) == environment
    assert not (tmp_path / "home").exists()
    files = sorted((written / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == len(result.runs)
    found = {}
    for file in files:
        kept = records(file)
        (opened,) = (record.run for record in kept if record.WhichOneof("record_type") == "run")
        found[opened.display_name] = (opened, [record.history for record in kept if record.HasField("history")])
    for run in result.runs:
        opened, history = found[f"{run.label}, seed {run.seed}"]
        config = {item.key: json.loads(item.value_json) for item in opened.config.update}
        assert config["seed"] == run.seed
        rows = [{(item.key or item.nested_key[0]): json.loads(item.value_json) for item in row.item} for row in history]
        # of several points at one iteration the last one counts
        last = dict(zip(run.curves["iteration"].tolist(), run.curves["value"].tolist(), strict=True))
        assert [row["value"] for row in rows] == list(last.values())
        assert [row["_step"] for row in rows] == list(last)
