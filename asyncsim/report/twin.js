"use strict";
// The section Twin: measured curves and delays beside those that the simulation foretold.

(() => {
  const place = document.getElementById("twin-data");
  if (!place) return;
  const twin = JSON.parse(place.textContent);
  const { colour, faint } = asyncsim;
  const config = { responsive: true, displaylogo: false, plotlyServerURL: "", doubleClick: "reset",
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };

  const axis = (title, more = {}) => ({ title: { text: title, standoff: 6 }, gridcolor: colour("grid"), zeroline: false,
    linecolor: colour("line"), automargin: true, nticks: 6, exponentformat: "power", ...more });
  const layout = (x, y, more = {}) => ({ xaxis: x, yaxis: y, margin: { l: 10, r: 12, t: 10, b: 10 }, paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", legend: { orientation: "h", y: -0.22, font: { size: 11 } }, showlegend: true,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("ink") },
    font: { family: getComputedStyle(document.body).fontFamily, color: colour("muted"), size: 12 }, ...more });

  const band = (curve, fill) => (curve.lower ? [
    { x: curve.x, y: curve.upper, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false },
    { x: curve.x, y: curve.lower, mode: "lines", line: { width: 0 }, fill: "tonexty", fillcolor: fill, hoverinfo: "skip", showlegend: false },
  ] : []);

  const charts = {
    curve: (method) => {
      const target = twin.target === null || twin.target === undefined ? [] : [{ type: "line", xref: "paper", x0: 0, x1: 1,
        y0: twin.target, y1: twin.target, line: { color: colour("muted"), width: 1, dash: "dot" } }];
      return [
        [
          ...band(method.predicted, faint(colour("m0"), 0.18)),
          { x: method.predicted.x, y: method.predicted.median, name: `predicted (${twin.seeds} seeds)`, mode: "lines",
            line: { color: colour("m0"), width: 2, dash: "dash" } },
          { x: method.measured.x, y: method.measured.median, name: "measured", mode: "lines", line: { color: colour("ink"), width: 1.6 } },
        ],
        layout(axis("seconds"), axis("", { type: twin.log ? "log" : "linear" }), { shapes: target }),
      ];
    },
    delays: (method) => [
      ["measured", "predicted"].map((name, i) => ({ x: method.delays[i].map((_, delay) => delay), y: method.delays[i], name,
        type: "bar", marker: { color: i ? colour("m0") : colour("ink"), opacity: i ? 0.75 : 1 } })),
      layout(axis("delay, in iterations"), axis("share of gradients", { rangemode: "tozero" }), { barmode: "group" }),
    ],
  };

  const draw = () => document.querySelectorAll("[data-twin]").forEach((here) => {
    const [traces, look] = charts[here.dataset.what](twin.methods[Number(here.dataset.twin)]);
    Plotly.react(here, traces, look, config);
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
