"""What JSON and the names of files can hold.

Nothing is pickled, no code is stored or named. Numbers JSON can't hold become null (nan) or the texts "inf", "-inf".
"""

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: numpy's numbers and arrays as Python's, nan as None, infinities as text.

    >>> plain({"a": np.float64("nan"), "b": (1, np.int64(2)), "c": math.inf})
    {'a': None, 'b': [1, 2], 'c': 'inf'}
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def as_json(value: Any) -> str:
    """`value` as JSON text, on one line."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False)


def slug(text: str) -> str:
    """`text` as the name of a file or folder: letters, digits, ``-``, ``_`` and ``.``, at most 100 bytes, never hidden.

    >>> slug("Rennala or Ringmaster?"), slug("../../etc/passwd"), slug("Müller 10⁻³"), slug("..")
    ('Rennala-or-Ringmaster', 'etc-passwd', 'Muller-10-3', 'unnamed')
    """
    letters = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    name = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9_.-]+", "-", letters))
    return name.strip("-.")[:100].rstrip("-.") or "unnamed"
