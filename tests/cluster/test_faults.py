"""What happens when the driver is killed, a machine goes, or a cluster is not as it should be: on real clusters, with real kills.

Each runs in processes of its own: what Ray has read of tokens it keeps, and a kill should take nothing of ours.
"""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from asyncsim import Result
from asyncsim.result import KINDS
from asyncsim.times.traces import read_trace

pytest.importorskip("ray", reason="needs ray (extra ray)")
psutil = pytest.importorskip("psutil", reason="comes with ray")
pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TOKEN = "a-token-of-a-length-that-needs-two-bytes-" + "0123456789abcdef" * 8
SCENARIO = """
name: faults
seed: 1
workers: {count: 3, compute_time: "0.03 * i"}
problem: {name: quadratic, dimension: 20, noise: 0.01}
methods: [{name: ringmaster_asgd, stepsize: 0.1, threshold: 3, stops: true}]
target: {squared_gradient_norm: 1.0e-12}
stop: {time: 600}
record: {every: 0.2, checkpoint_every: 0.2}
engine: {name: ray, cpus_per_worker: 0.1, slowdown: sleep}
"""


def asyncsim(*arguments, start_new_session=False, **environment):
    """The command line in a process of its own, with the package of this checkout."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "asyncsim", *map(str, arguments)],
        env=env | {"PYTHONPATH": path} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=start_new_session,
    )


def wait_until(condition, seconds, process=None):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        if process is not None and process.poll() is not None:
            pytest.fail(f"ended with {process.returncode}: {process.communicate()}")
        time.sleep(0.1)
    pytest.fail(f"not within {seconds} s")


def living() -> set[int]:
    """The processes that there are, without those that only wait to be counted."""
    return {each.pid for each in psutil.process_iter(["status"]) if each.info["status"] != psutil.STATUS_ZOMBIE}


def descendants(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children(recursive=True)}


def listening(pids: set[int]) -> set[str]:
    """The addresses, in the kernel's hexadecimal, on which these processes listen."""
    links = {str(link.readlink()) for pid in pids for link in Path(f"/proc/{pid}/fd").glob("*") if link.is_symlink()}
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in links}


def checkpoints(folder: Path) -> list[float]:
    return sorted(path.stat().st_mtime for path in folder.glob("checkpoints/*.ckpt"))


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run whose driver was killed, then taken up and told to end by SIGTERM; what was seen meanwhile."""
    place = tmp_path_factory.mktemp("killed")
    (place / "s.yaml").write_text(SCENARIO)
    home = place / "home"
    home.mkdir()
    folder = place / "run"
    seen = {"folder": folder, "home": home}

    driver = asyncsim("run", place / "s.yaml", "-o", folder, HOME=str(home))
    wait_until(lambda: len(checkpoints(folder)) >= 2, 120, driver)
    seen["processes"] = descendants(driver.pid)
    seen["listening"] = listening(seen["processes"])
    driver.kill()
    driver.communicate()
    begun = time.monotonic()
    while (left := seen["processes"] & living()) and time.monotonic() < begun + 60:
        time.sleep(0.2)
    seen["left"], seen["seconds to go"] = left, time.monotonic() - begun
    seen["killed"] = Result.read(folder).runs[0]

    at = checkpoints(folder)[-1]
    driver = asyncsim("resume", folder, HOME=str(home))
    wait_until(lambda: checkpoints(folder)[-1] > at + 1, 120, driver)
    processes = descendants(driver.pid)
    begun = time.monotonic()
    driver.send_signal(signal.SIGTERM)
    seen["told"] = driver.communicate(timeout=60)
    seen["seconds to end"] = time.monotonic() - begun
    seen["code"] = driver.returncode
    seen["left after the signal"] = wait_until(lambda: not (processes & living()), 30)
    return seen


def test_a_driver_that_is_killed_leaves_no_processes(killed):
    assert len(killed["processes"]) >= 6
    print(f"the last was gone after {killed['seconds to go']:.1f} s")
    assert not killed["left"]


@pytest.mark.skipif(not Path("/proc/net/tcp6").exists(), reason="needs /proc")
def test_a_ray_of_our_own_listens_on_this_machine_only(killed):
    assert killed["listening"]
    assert killed["listening"] <= LOOPBACK


def test_the_token_that_ray_writes_is_for_its_owner_only(killed):
    assert stat.S_IMODE((killed["home"] / ".ray" / "auth_token").stat().st_mode) == 0o600


def test_a_run_whose_driver_was_killed_goes_on_from_its_last_checkpoint(killed):
    before, after = killed["killed"], Result.read(killed["folder"]).runs[0]
    assert after.iterations > before.iterations > 0
    assert (np.diff(after.curves["time"]) > 0).all()
    assert (np.diff(after.curves["time"]) < 5).all(), "the clock went on from the checkpoint's time"
    steps = after.events[after.events["kind"] == KINDS.index("step")]
    assert steps["k"].tolist() == list(range(1, after.iterations + 1))
    assert (np.diff(after.events["time"]) >= 0).all()
    arrived = after.events[after.events["kind"] == KINDS.index("arrived")]
    assert len(np.unique(arrived[["worker", "m"]])) == len(arrived), "nothing arrived twice"
    assert after.sent == after.used + after.discarded + after.stopped + after.timed_out + after.lost + after.in_flight


def test_a_signal_ends_a_run_on_ray_with_everything_kept(killed):
    out, err = killed["told"]
    assert killed["code"] == 143
    assert "interrupted" in out
    assert "asyncsim resume" in err
    assert "Traceback" not in err
    assert Result.read(killed["folder"]).runs[0].status == "interrupted"
    assert killed["seconds to end"] < 30


def test_the_trace_of_a_run_on_ray_says_what_was_measured(killed, tmp_path):
    exported = asyncsim("export", killed["folder"], "--to", "trace", "-o", tmp_path / "out")
    assert exported.wait(60) == 0, exported.communicate()
    exported.communicate()
    (file,) = (tmp_path / "out").glob("*.csv")
    assert "measured on Ray" in file.read_text()[:300]
    trace = read_trace(file)
    assert trace.devices == ("cpu",)
    for worker, seconds in trace.all_series().items():
        assert seconds.min() >= 0.03 * (int(worker) + 1)
    assert (trace.send_seconds[trace.complete] > 0).all()
    fitted = asyncsim("fit", file, "-o", tmp_path / "fitted.yaml")
    assert fitted.wait(120) == 0, fitted.communicate()
    fitted.communicate()


# ---- a cluster of three machines


def raylets(*arguments, **environment):
    """A cluster, played by a process of its own; the first line that it says."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, HERE / "three_raylets.py", *arguments],
        env=env | environment | {"PYTHONPATH": path}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None  # noqa: PT018
    process.address, *jobs = process.stdout.readline().split()
    process.jobs = f"http://{jobs[0]}" if jobs else ""
    return process


@pytest.fixture(scope="module")
def cluster():
    process = raylets(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN)
    yield process
    if process.poll() is None:
        process.terminate()
    process.communicate()


def said(cluster, folder, *changes, scenario=SCENARIO, **environment) -> tuple[int, str]:
    """The exit code and what is on stderr when the scenario is run on this cluster."""
    (folder / "s.yaml").write_text(scenario)
    begun = time.monotonic()
    ended = asyncsim(
        "run", folder / "s.yaml", f"engine.address={cluster.address}", "stop.time=0.5", *changes,
        "-o", folder / "run", **{"HOME": str(folder), "RAY_AUTH_TOKEN": TOKEN, **environment},
    )  # fmt: skip
    _, err = ended.communicate(timeout=120)
    assert time.monotonic() - begun < 60
    assert "Traceback" not in err
    return ended.returncode, err.strip()


def test_another_token_is_refused_in_one_line(cluster, tmp_path):
    code, err = said(cluster, tmp_path, RAY_AUTH_TOKEN="another")
    assert code == 2
    assert "does not accept the token of RAY_AUTH_TOKEN" in err
    assert "\n" not in err


def test_no_token_is_refused_in_one_line(cluster, tmp_path):
    code, err = said(cluster, tmp_path, RAY_AUTH_TOKEN="")
    assert code == 2
    assert "asks for a token" in err
    assert "\n" not in err


def test_too_few_processors_are_told_at_once(cluster, tmp_path):
    code, err = said(cluster, tmp_path, "engine.cpus_per_worker=2")
    assert code == 2
    assert "need 6 CPUs, but 3 of 3 are free" in err
    assert "\n" not in err


def test_with_the_token_the_rehearsal_runs_on_a_cluster_that_is_up(cluster, tmp_path):
    scenario = (ROOT / "scenarios" / "cluster" / "rehearsal.yaml").read_text()
    code, err = said(cluster, tmp_path, "engine.cpus_per_worker=0.1", scenario=scenario)
    assert code == 0, err
    assert all(run.iterations > 0 for run in Result.read(tmp_path / "run").runs)


def test_the_digits_run_as_a_job_of_the_cluster(cluster, tmp_path):
    """As deploy/README.md says it."""
    command = [
        "--", sys.executable, "-m", "asyncsim", "run", "digits-on-a-cluster.yaml", "stop.time=0.5",
        "engine.cpus_per_worker=0.1", "-o", tmp_path / "run",
    ]  # fmt: skip
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "HOME": str(tmp_path)}
    submit = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", cluster.jobs]
    done = subprocess.run(
        [*submit, "--working-dir", ROOT / "scenarios" / "cluster", *command],
        env=env, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "report: " in done.stdout
    assert all(run.iterations > 0 for run in Result.read(tmp_path / "run").runs)


def test_a_second_ctrl_c_ends_a_run_at_once_and_leaves_nobody(cluster, tmp_path):
    (tmp_path / "s.yaml").write_text(SCENARIO)
    folder = tmp_path / "run"
    env = {"HOME": str(tmp_path), "RAY_AUTH_TOKEN": TOKEN}
    driver = asyncsim(
        "run",
        tmp_path / "s.yaml",
        f"engine.address={cluster.address}",
        "-o",
        folder,
        "-q",
        start_new_session=True,
        **env,
    )
    wait_until(lambda: len(checkpoints(folder)) >= 2, 120, driver)
    workers = actors()
    assert len(workers) == 3
    # to the whole group, as a terminal does
    os.killpg(driver.pid, signal.SIGINT)
    assert "SIGINT: ending after the next step" in driver.stderr.readline()
    os.killpg(driver.pid, signal.SIGINT)
    _, err = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert "Traceback" not in err
    wait_until(lambda: not (workers & living()), 30)
    assert Result.read(folder).runs[0].status == "interrupted"


def actors() -> set[int]:
    """The processes that are workers of a run."""
    return {
        each.pid
        for each in psutil.process_iter(["cmdline"])
        if "ray::ClusterWorker" in " ".join(each.info["cmdline"] or ())
    }


def test_a_cluster_on_the_network_that_asks_for_no_token_is_refused_unless_told(tmp_path):
    open_one = raylets("open", RAY_AUTH_MODE="disabled")
    assert not open_one.address.startswith(("127.", "localhost"))
    nothing = {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": ""}
    code, err = said(open_one, tmp_path, **nothing)
    on_cluster = said(open_one, tmp_path, "engine=simulation", "--on-cluster", open_one.address, **nothing)
    told = said(open_one, tmp_path, "engine.insecure=true", "workers.count=1", "--force", **nothing)
    open_one.communicate("")
    assert code == 2
    assert f"the cluster at {open_one.address} asks for no token, so whoever reaches it can run code on it" in err
    assert on_cluster == (2, err.replace("engine ray: ", "on a cluster: "))
    assert told[0] == 0, told


def test_what_a_worker_cannot_build_is_told_in_one_line(cluster, tmp_path):
    (tmp_path / "own_problem.py").write_text(
        "import os\n"
        "from asyncsim import Quadratic\n"
        "class Here(Quadratic):\n"
        "    def gradient(self, x, rng, worker):\n"
        "        if 'ONLY_HERE' not in os.environ:\n"
        "            raise FileNotFoundError('/data/digits.csv')\n"
        "        return super().gradient(x, rng, worker)\n"
    )
    code, err = said(
        cluster, tmp_path, "problem.name=own_problem:Here", "workers.count=1", "--allow-code",
        ONLY_HERE="1", PYTHONPATH=str(ROOT),
    )  # fmt: skip
    assert code == 2
    assert "worker 0 could not be made ready: FileNotFoundError: /data/digits.csv" in err
    assert "\n" not in err


def test_workers_of_a_machine_that_goes_are_replaced_where_there_is_place_else_given_up(cluster):
    out, _ = cluster.communicate("go\n", timeout=240)
    seen = json.loads(out.splitlines()[-1])
    assert (seen["status"], seen["reason"]) == ("finished", "seen enough")
    ((worker, times),) = seen["engine"]["replaced"].items()
    assert times == 2
    assert seen["engine"]["gone"] == [int(worker)]
    assert "no other was ready within 2 s" in seen["engine"]["why_gone"][worker]
    assert seen["lost"] == 1
    ended = seen["used"] + seen["discarded"] + seen["stopped"] + seen["timed_out"] + seen["lost"] + seen["in_flight"]
    assert seen["sent"] == ended
