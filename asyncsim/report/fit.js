"use strict";
// The page of `asyncsim fit`: measured times beside the laws fitted to them.

(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const config = { responsive: true, displaylogo: false, plotlyServerURL: "", doubleClick: "reset",
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };
  const DASHES = ["solid", "dash", "dot"];

  const axis = (title, log, more = {}) => ({ title: { text: title, standoff: 6 }, type: log ? "log" : "linear", gridcolor: colour("grid"),
    zeroline: false, linecolor: colour("line"), automargin: true, nticks: 6, ...more });
  const layout = (x, y, more = {}) => ({ xaxis: x, yaxis: y, margin: { l: 10, r: 12, t: 10, b: 10 }, paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", showlegend: false,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("ink") },
    font: { family: getComputedStyle(document.body).fontFamily, color: colour("muted"), size: 12 }, ...more });

  const charts = {
    cdf: (fit) => [
      [
        { ...fit.measured, name: "measured", mode: "lines", line: { color: colour("ink"), width: 1.4, shape: "hv" } },
        ...(fit.stopped.x.length ? [{ ...fit.stopped, name: "stopped, takes longer", mode: "markers",
          marker: { color: colour("ink"), symbol: "cross-thin-open", size: 7, opacity: 0.6 } }] : []),
        ...fit.laws.map((law, i) => ({ ...law, mode: "lines", line: { color: colour(`m${i}`), width: i ? 1.3 : 2.4, dash: DASHES[i] } })),
      ],
      layout(axis("seconds", fit.log), axis("", false, { range: [-0.02, 1.02] }),
        { showlegend: true, legend: { orientation: "h", y: -0.2, font: { size: 11 } } }),
    ],
    quantiles: (fit) => {
      const all = [...fit.quantiles.x, ...fit.quantiles.y].filter((value) => !fit.log || value > 0);
      const ends = all.length ? [all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))] : [];
      return [
        [
          { x: ends, y: ends, mode: "lines", line: { color: colour("line"), width: 1.5 }, hoverinfo: "skip" },
          { ...fit.quantiles, mode: "markers", marker: { color: colour("m0"), size: 5 } },
        ],
        layout(axis("seconds by the law", fit.log), axis("seconds measured", fit.log)),
      ];
    },
    correlation: (fit) => {
      const lags = fit.correlation.map((_, i) => i + 1);
      const line = (y) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { color: colour("muted"), width: 1, dash: "dot" } });
      return [
        [{ x: lags, y: fit.correlation, type: "bar", marker: { color: colour("m0") } }],
        layout(axis("lag", false), axis("", false, { range: [-1, 1] }), { shapes: [line(fit.chance), line(-fit.chance)] }),
      ];
    },
  };

  const draw = () => document.querySelectorAll("[data-fit]").forEach((place) => {
    const [traces, look] = charts[place.dataset.what](page[Number(place.dataset.fit)]);
    Plotly.react(place, traces, look, config);
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
