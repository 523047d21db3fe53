"""A cluster of three raylets on this machine, played by a process of its own: its address, then on "go" the raylets that go.

Machine 3 goes while a run uses it, and another comes: worker 2 is replaced there. Then that one goes too, and nobody
comes: the worker is given up, and the others go on. Prints the address and where jobs are taken, and in the end the facts
of the run as JSON. With the argument "open" it is one raylet that asks for no token, until its standard input ends.
"""

import dataclasses
import json
import socket
import sys

from ray.cluster_utils import Cluster

from asyncsim import METHODS, Constant, Quadratic, Record, Stop, Workers
from asyncsim.cluster import Crew, RayEngine
from asyncsim.running import execute
from asyncsim.server import EndOfRun


def machine() -> dict[str, object]:
    return {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80_000_000}


# that a machine is gone is seen after a second, not after a quarter of a minute
SOON = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])


def main() -> None:
    if sys.argv[1:] == ["open"]:
        cluster = Cluster(initialize_head=True, head_node_args=machine())
        print(cluster.address, flush=True)
        sys.stdin.read()
        cluster.shutdown()
        return
    jobs = {"include_dashboard": True, "dashboard_port": free_port(), "dashboard_agent_listen_port": free_port()}
    cluster = Cluster(initialize_head=True, head_node_args=machine() | jobs | {"_system_config": SOON})
    cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    going = [cluster.add_node(num_cpus=1, object_store_memory=80_000_000)]
    cluster.wait_for_nodes()
    print(cluster.address, cluster.webui_url, flush=True)
    sys.stdin.readline()

    engine = RayEngine(address=cluster.address, insecure=True, slowdown="sleep")
    went = []

    def look(playing) -> None:
        facts = playing.facts()
        if not went and playing.iterations >= 20:
            cluster.remove_node(going.pop(), allow_graceful=False)
            went.append(playing.iterations)
        if len(went) == 1 and facts["replaced"] and not going:
            going.append(cluster.add_node(num_cpus=1, object_store_memory=80_000_000))
        if len(went) == 1 and playing.iterations >= went[0] + 20 and going and not playing._starting:
            # no other place will come: there is nothing to wait for
            crew.options = dataclasses.replace(engine, start_timeout=2.0)
            cluster.remove_node(going[0], allow_graceful=False)
            went.append(playing.iterations)
        if facts["gone"] and len(went) == 2:
            went.append(playing.iterations)
        if len(went) == 3 and playing.iterations >= went[2] + 20:
            playing.end(EndOfRun("finished", "seen enough"))

    with Crew(engine, 3) as crew:
        run = execute(
            METHODS["asynchronous_sgd"](stepsize=0.1), Quadratic(dimension=5), Workers(3, Constant(0.05)),
            Stop(time=150), 0, None, Record(events="all"), "raylets", look=look, crew=crew,
        )  # fmt: skip
    cluster.shutdown()
    counts = {
        name: getattr(run, name) for name in ("sent", "used", "discarded", "stopped", "timed_out", "lost", "in_flight")
    }
    print(json.dumps({"status": run.status, "reason": run.reason, "engine": run.engine, **counts}), flush=True)


if __name__ == "__main__":
    main()
