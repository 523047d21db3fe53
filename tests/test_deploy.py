"""The files to deploy with, as far as they can be held against something here."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

FOLDER = Path(__file__).parent.parent / "deploy"


def read(name):
    return YAML(typ="safe").load(FOLDER / name)


@pytest.mark.ray
def test_the_file_for_own_hosts_is_valid_for_ray_up():
    util = pytest.importorskip("ray.autoscaler._private.util", reason="needs ray (extra ray)")
    prepared = util.prepare_config(read("cluster.yaml"))
    util.validate_config(prepared)
    assert prepared["available_node_types"]["local.cluster.node"]["min_workers"] == 2


def test_the_cluster_of_the_job_asks_for_a_token_and_has_a_processor_for_each_worker():
    from asyncsim.scenario import load

    spec = read("rayjob.yaml")["spec"]
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    scenario = load(FOLDER.parent / spec["entrypoint"].split()[2].partition("/asyncsim/")[2])
    cpus = sum(group["replicas"] for group in cluster["workerGroupSpecs"])
    assert cpus >= scenario.build_workers().n * scenario.engine.cpus_per_worker


def test_all_files_name_one_version_of_ray():
    version = read("rayjob.yaml")["spec"]["rayClusterSpec"]["rayVersion"]
    assert f"ray:{version}-py311" in (FOLDER / "Dockerfile").read_text()
    assert f"=={version}" in (FOLDER / "cluster.yaml").read_text()
