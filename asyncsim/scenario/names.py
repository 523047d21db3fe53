"""Names of scenarios and labels of methods: they become names of folders and files, on every system."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from asyncsim.scenario.messages import not_allowed, wrong

MAX_NAME_BYTES = 100


def _name(value: Any) -> str:
    words = f"a text of up to {MAX_NAME_BYTES} bytes without '/', '\\', '..', a leading '.' or control characters"
    if not isinstance(value, str) or not _fit_for_a_folder(value):
        raise wrong(not_allowed(value, words))
    return value


def _fit_for_a_folder(name: str) -> bool:
    return (
        0 < len(name.encode(errors="replace")) <= MAX_NAME_BYTES
        and name.isprintable()
        and name == name.strip()
        and not name.startswith(".")
        and not any(part in name for part in ("/", "\\", ".."))
    )


def name_of_file(path: Path) -> str:
    """The name of a scenario whose file does not say one."""
    name = re.sub(r"[^\w.+=,@ -]+|\.\.+", "-", path.stem).strip(". ")
    return name if name and _fit_for_a_folder(name) else "scenario"


Name = Annotated[str, PlainValidator(_name, json_schema_input_type=Annotated[str, Field(max_length=MAX_NAME_BYTES)])]
