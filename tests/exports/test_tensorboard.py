"""What TensorBoard will read: its files are read back record by record."""

import math
import struct
from pathlib import Path
from typing import Any

import pytest
from factories import make_result

from asyncsim.export import export
from asyncsim.result import Result

event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2", reason="needs the extra tensorboard")
crc32c = pytest.importorskip("tensorboardX.crc32c").crc32c
pytestmark = pytest.mark.tensorboard


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def events(folder: Path) -> list[Any]:
    """The records of the one file in a folder, each checked against its checksums."""
    (file,) = folder.iterdir()
    data, found = file.read_bytes(), []
    while data:
        (length, of_length) = struct.unpack_from("<QI", data)
        payload, (of_payload,) = data[12 : 12 + length], struct.unpack_from("<I", data, 12 + length)
        assert (of_length, of_payload) == (masked(data[:8]), masked(payload))
        found.append(event_pb2.Event.FromString(payload))
        data = data[16 + length :]
    return found


def test_each_run_has_its_curves_by_iteration_and_simulated_time(folder: Path, tmp_path: Path) -> None:
    result = Result.read(folder, events=False)
    written = export(result, tmp_path / "board", "tensorboard")
    assert {run.name for run in written.iterdir()} == {f"{run.label}-{run.seed}" for run in result.runs}
    for run in result.runs:
        kept = events(written / f"{run.label}-{run.seed}")
        points = [
            (event.step, event.wall_time, value.simple_value)
            for event in kept
            for value in event.summary.value
            if value.tag == "objective/squared_gradient_norm"
        ]
        assert [step for step, _, _ in points] == run.curves["iteration"].tolist()
        assert [time for _, time, _ in points] == run.curves["time"].tolist()
        assert [value for *_, value in points] == pytest.approx(run.curves["squared_gradient_norm"].tolist())


def test_the_histogram_has_all_used_gradients_and_the_parameters_are_there(folder: Path, tmp_path: Path) -> None:
    result = Result.read(folder, events=False)
    run = result.runs[0]
    kept = events(export(result, tmp_path / "board", "tensorboard") / f"{run.label}-{run.seed}")
    values = {value.tag.split("/")[0]: value for event in kept for value in event.summary.value}
    histogram = values["delay of the used gradients"].histo
    assert (histogram.num, sum(histogram.bucket), histogram.max) == (run.used, run.used, run.largest_delay)
    assert b"threshold" in values["parameters"].tensor.string_val[0]


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    result = make_result(methods=("hero_sgd",), seeds=(0,))
    result.runs[0].curves["regret"][:] = math.nan
    written = export(result, tmp_path / "board", "tensorboard")
    tags = {value.tag for event in events(written / "hero_sgd-0") for value in event.summary.value}
    assert "regret" not in tags
    with pytest.raises(ValueError, match="holds other things"):
        export(make_result(), tmp_path / "board", "tensorboard")
