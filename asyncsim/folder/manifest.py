"""manifest.json: what was run, where and with which versions, with a seal over all of it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncsim.folder.errors import ANEW, FolderError
from asyncsim.folder.values import plain

FORMAT = "asyncsim run folder"
VERSION = 5


def read_manifest(path: str | Path) -> dict[str, Any]:
    """manifest.json of a run folder. FolderError when it is no run folder, damaged, or from a newer version."""
    file = Path(path) / "manifest.json"
    if not Path(path).is_dir():
        raise FolderError(f"{path} is {'a file, not a run folder' if Path(path).exists() else 'not there'}")
    if not file.is_file():
        raise FolderError(f"{path} is not a run folder: it has no manifest.json")
    try:
        manifest = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FolderError(f"{file} is damaged ({str(error)[:80]}); {ANEW}") from None
    except OSError as error:
        raise FolderError(f"{file}: {error.strerror}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise FolderError(f"{path} is not a run folder: its manifest.json was not written by asyncsim")
    # those of earlier versions have none
    seal = manifest.pop("seal", None)
    if seal is not None and seal != seal_of(manifest):
        raise FolderError(f"{file} is damaged, or was changed by hand: it does not fit its seal; {ANEW}")
    version = manifest.get("version")
    if not isinstance(version, int) or version < 1:
        raise FolderError(f"{file} is damaged (version {version!r}); {ANEW}")
    if version < VERSION:
        raise FolderError(
            f"{path} was written by an older asyncsim (folder version {version}, this one reads {VERSION}): "
            "read it with that one, or run the scenario anew"
        )
    if version > VERSION:
        raise FolderError(
            f"{path} was written by a newer asyncsim (folder version {version}, this one reads {VERSION}): upgrade it"
        )
    return manifest


def seal_of(manifest: Mapping[str, Any]) -> str:
    """The seal of a manifest: a digest of all its entries."""
    text = json.dumps(plain(manifest), sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
