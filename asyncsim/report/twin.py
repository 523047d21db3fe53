"""The section "Twin": what was measured on real workers beside what the simulation of fitted workers foretold.

It reads ``manifest["twin"]``, which `manifest_entry` makes: the table and the sentence of `asyncsim.twin`, the curves of
both, and the shares of delays. The charts are drawn by twin.js from data that stand in the section itself.
"""

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from asyncsim.report import data

if TYPE_CHECKING:
    from asyncsim.result import Result
    from asyncsim.twin import Twin

DELAYS = 60  # bars of a chart


def manifest_entry(twin: "Twin") -> dict[str, Any]:
    """What the section shows of a twin, as plain data."""
    headers, rows = twin.table()
    quantity = data.quantities(twin.measured)[0]
    return {
        "sentence": twin.sentence(),
        "headers": headers,
        "rows": rows,
        "seeds": len(twin.predicted.seeds),
        "warnings": list(twin.warnings),
        "quantity": quantity,
        "log": quantity not in data.OF_THE_CLOCK and quantity != "test_accuracy",
        "title": data.QUANTITIES[quantity],
        "target": (twin.measured.target or {}).get(quantity),
        "methods": [
            {
                "label": label,
                "measured": data.curves(twin.measured, label)["time"][quantity],
                "predicted": data.curves(twin.predicted, label)["time"][quantity],
                "delays": [_shares(result, label) for result in (twin.measured, twin.predicted)],
            }
            for label in twin.orders[0]
        ],
    }


def _shares(result: "Result", label: str) -> list[float]:
    """The share of used gradients at delay 0, 1, …; the last one is of all that were older."""
    counts = [0.0] * DELAYS
    for run in result.of(label):
        for delay, used, _ in run.delays.reshape(-1, 3).tolist():
            counts[min(int(delay), DELAYS - 1)] += used
    total = sum(counts) or 1.0
    last = max((delay for delay, count in enumerate(counts) if count), default=0)
    return [round(count / total, 6) for count in counts[: last + 1]]


def twin(result: "Result") -> str:
    """Table, sentence and charts; nothing where nothing was foretold."""
    found = result.manifest.get("twin")
    if not isinstance(found, Mapping):
        return ""
    head = "".join(f'<th scope="col">{escape(words)}</th>' for words in found["headers"])
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in found["rows"]
    )
    figures = "".join(_figures(number, method, found) for number, method in enumerate(found["methods"]))
    notes = "".join(f"<li>{escape(words)}</li>" for words in found["warnings"])
    return f"""<section class="twin"><h2>Twin: measured and foretold</h2>
<p>{escape(found["sentence"])}</p>
<p class="note">Laws were fitted to the times that were measured here, and the same methods simulated on workers of these laws
with {found["seeds"]} seeds. Predicted is the median over the seeds, an error is predicted over measured less one; “delays
apart” is the share of gradients that would need another delay for the two histograms to be the same.</p>
{f"<ul>{notes}</ul>" if notes else ""}
<div class="scroll" tabindex="0" role="region" aria-label="Measured and predicted"><table><thead><tr>{head}</tr></thead>
<tbody>{body}</tbody></table></div>
<div class="charts" style="margin-top:16px">{figures}</div>
<script type="application/json" id="twin-data">{_embedded(dict(found))}</script></section>"""


def _figures(number: int, method: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    label, title = escape(method["label"]), escape(found["title"])
    parts = [("curve", f"{title} against seconds")]
    if max(map(len, method["delays"])) > 1:  # where no gradient is late there is nothing to see
        parts.append(("delays", "delays of used gradients"))
    return "".join(
        f"<figure><figcaption><h3>{label}: {words}</h3></figcaption>"
        f'<div class="chart" data-twin="{number}" data-what="{what}"></div></figure>'
        for what, words in parts
    )


def _embedded(value: dict[str, Any]) -> str:
    from asyncsim.report.page import embedded  # which knows this section

    return embedded(value)
