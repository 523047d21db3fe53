"use strict";
// The workers' times before a run: CDFs and histograms, drawn by plotly from the page's data.

(() => {
  const { page, shown, onChange, colour, faint, style, number } = asyncsim;
  const config = { responsive: true, displaylogo: false, displayModeBar: "hover", showTips: false, plotlyServerURL: "", doubleClick: "reset",
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };
  const axis = (title, more = {}) => ({ title: { text: title, standoff: 6, font: { size: 12.5 } }, gridcolor: colour("grid"), zeroline: false,
    linecolor: colour("line"), tickcolor: colour("line"), ticks: "outside", ticklen: 4, automargin: true, tickfont: { size: 11.5 },
    exponentformat: "power", nticks: 7, ...more });

  const cdf = (label) => {
    const { x, y } = page.cdf[label], { colour: hue, dash } = style(label);
    return { x, y, name: label, mode: "lines", line: { color: hue, dash, width: 2.2 },
      text: x.map((value, i) => `${number(100 * y[i], 3)} % within ${number(value)} s`), hovertemplate: "<b>%{fullData.name}</b><br>%{text}<extra></extra>" };
  };
  const histogram = (label) => {
    const { edges, share } = page.histogram[label], { colour: hue, dash } = style(label);
    const x = edges.length ? [edges[0], ...edges] : [], y = edges.length ? [0, ...share, 0] : [];
    return { x, y, name: label, mode: "lines", line: { color: hue, dash, width: 1.6, shape: "hv" }, fill: "tozeroy", fillcolor: faint(hue, 0.14),
      text: y.map((value, i) => `${number(100 * value, 3)} % from ${number(x[i])} s`), hovertemplate: "<b>%{fullData.name}</b><br>%{text}<extra></extra>" };
  };
  const draw = () => document.querySelectorAll("[data-times]").forEach((place) => {
    const of = place.dataset.times === "cdf" ? cdf : histogram;
    const traces = shown().map(of);
    // a logarithmic axis has no place for 0
    if (page.log) traces.forEach((trace) => { trace.x = trace.x.map((value) => (value > 0 ? value : null)); });
    const empty = !traces.some((trace) => trace.x.length);
    place.classList.toggle("empty", empty);
    if (empty) {
      Plotly.purge(place);
      place.textContent = shown().length ? "no finite time" : "no worker is chosen";
      return;
    }
    if (!place.classList.contains("js-plotly-plot")) place.textContent = "";
    const upright = place.dataset.times === "cdf" ? axis("share of gradients", { range: [0, 1.02], tickformat: ".0%" }) : axis("share of draws", { rangemode: "tozero", tickformat: "~%" });
    const x = axis("seconds", page.log ? { type: "log", dtick: 1, tickfont: { size: 9.4 } } : { rangemode: "tozero" });
    Plotly.react(place, traces, { xaxis: x, yaxis: upright, showlegend: false, margin: { l: 10, r: 12, t: 10, b: 10 }, paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)", font: { family: getComputedStyle(document.body).fontFamily, color: colour("muted"), size: 12 }, hovermode: "closest",
      hoverlabel: { bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("ink"), size: 12 }, align: "left", namelength: -1 },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("ink") } }, config);
  });
  onChange(draw);
  draw();
})();
