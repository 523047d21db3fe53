"""What the light install brings: under which licences, and that nothing of it is known to be unsafe (make audit)."""

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PERMISSIVE = re.compile(
    r"\b(MIT|MIT-CMU|BSD|BSD-[23]-Clause|Apache|Apache-2\.0|PSF|PSF-2\.0|Python Software Foundation|ISC|Zlib|0BSD|CC0-1\.0|MPL-2\.0)\b"
)
REFUSED = re.compile(r"\b(A?GPL|General Public|SSPL|Commons Clause|Proprietary|BUSL)\b|(?<!L)GPL")


def needed(name: str) -> list[str]:
    """The names that a distribution needs on this machine, without its extras."""
    from packaging.requirements import Requirement

    wanted = [Requirement(text) for text in distribution(name).requires or []]
    return [each.name for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]


def light() -> list[str]:
    """Every distribution of the light install."""
    from packaging.requirements import Requirement

    declared = re.search(r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text("utf-8"), re.DOTALL | re.M)
    assert declared is not None
    waiting = [Requirement(text).name for text in re.findall(r'"([^"]+)"', declared[1])]
    found: dict[str, None] = {}
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name not in found:
            found[name] = None
            waiting += needed(name)
    return sorted(found)


def licence(name: str) -> str:
    """What a distribution says of its licence: its expression, else its field, else its classifiers, else its file."""
    data = distribution(name).metadata
    classifiers = [line for line in data.get_all("Classifier") or [] if line.startswith("License ::")]
    said = [data.get("License-Expression"), *classifiers, (data.get("License") or "").partition("\n")[0]]
    return "; ".join(text for text in said if text)


LIGHT = light()


def test_the_light_install_is_small():
    assert len(LIGHT) <= 25, LIGHT
    heavy = {"torch", "ray", "scipy", "scikit-learn", "matplotlib", "numba", "pandas", "pyarrow"}
    assert not heavy & set(LIGHT)


@pytest.mark.parametrize("name", LIGHT)
def test_the_light_install_brings_only_permissive_licences(name):
    try:
        said = licence(name)
    except PackageNotFoundError:
        pytest.fail(f"{name} is needed but not installed")
    assert PERMISSIVE.search(said), f"{name}: {said!r}"
    assert not REFUSED.search(said), f"{name}: {said!r}"


def test_a_licence_that_is_not_permissive_is_seen():
    for said in ("GPL-3.0-only", "License :: OSI Approved :: GNU General Public License v3", "AGPL", "", "Proprietary"):
        assert REFUSED.search(said) or not PERMISSIVE.search(said)
    for said in ("MIT", "BSD-3-Clause AND MIT", "License :: OSI Approved :: Python Software Foundation License"):
        assert PERMISSIVE.search(said)
        assert not REFUSED.search(said)
