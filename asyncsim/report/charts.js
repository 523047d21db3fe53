"use strict";
// Curves, histograms of delays and the workers' shares, drawn by plotly from the page's data.

(() => {
  const { page, shown, onChange, onPoint, pointed, colour, faint, style, number, choice } = asyncsim;
  // The buttons are named one by one: among plotly's own is one that sends the chart to a server of theirs.
  const config = { responsive: true, displaylogo: false, displayModeBar: "hover", showTips: false, plotlyServerURL: "", doubleClick: "reset",
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };

  const decades = ([low, high]) => (high - low < 1.6 ? null : Math.ceil((high - low) / 7));

  // Range and ticks of an axis. A logarithmic one has ticks at whole decades, or finer ones where it has less than two.
  const axis = (title, log, values, more = {}) => {
    const look = { title: { text: title, standoff: 6, font: { size: 12.5 } }, type: log ? "log" : "linear", gridcolor: colour("grid"),
      zeroline: false, linecolor: colour("line"), tickcolor: colour("line"), ticks: "outside", ticklen: 4, automargin: true,
      tickfont: { size: 11.5 }, exponentformat: "power", nticks: 7, ...more };
    if (!log) {
      const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      return { rangemode: "normal", separatethousands: true, ...look, ...(most >= 1e3 && most < 1e7 ? { exponentformat: "none" } : {}) };
    }
    const positive = values.filter((value) => value !== null && value > 0);
    if (!positive.length) return look;
    const low = Math.log10(positive.reduce((a, b) => Math.min(a, b))), high = Math.log10(positive.reduce((a, b) => Math.max(a, b)));
    const room = Math.max(0.05, 0.04 * (high - low)), range = [low - room, high + room];
    // plotly writes powers a quarter larger than it was asked to
    if (high - low > 1.6) return { range, ...look, dtick: decades(range), tickfont: { size: 9.4 } };
    const ticks = [];
    for (let power = Math.floor(range[0]); power <= range[1]; power++) {
      for (const factor of high - low > 1 ? [1, 3] : high - low > 0.4 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]) ticks.push(factor * 10 ** power);
    }
    return { range, ...look, tickvals: ticks, ticktext: ticks.map((tick) => number(tick) + (more.ticksuffix || "")) };
  };

  const layout = (x, y, more = {}) => ({
    xaxis: x, yaxis: y, showlegend: false, margin: { l: 10, r: 12, t: 10, b: 10 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, color: colour("muted"), size: 12 }, hovermode: "closest", dragmode: "zoom",
    hoverlabel: { bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("ink"), size: 12 }, align: "left", namelength: -1 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("ink") }, ...more,
  });

  // Who zooms into a single decade gets the ticks that lie inside it.
  const finer = (place) => {
    const changes = {};
    for (const name of ["xaxis", "yaxis"]) {
      const { type, tickvals, range } = place._fullLayout[name];
      const wanted = decades(range);
      if (type === "log" && !tickvals && (wanted === null) !== (place.layout[name].dtick === null || place.layout[name].dtick === undefined)) changes[`${name}.dtick`] = wanted;
    }
    if (Object.keys(changes).length) Plotly.relayout(place, changes);
  };

  // What was zoomed into stays where a chart is drawn again: with other methods, or more of the curves. The document keeps
  // it, as the live page draws on new elements now and then. A chart is known by what its axes show (`meta`).
  const zooms = (document.zooms ||= new Map()), resets = new Set();
  const zoomed = (place, changes) => {
    const { xaxis, yaxis, meta } = place._fullLayout;
    if (resets.delete(place)) { zooms.delete(meta); everything(); return; }
    if (meta && ("xaxis.range[0]" in changes || "yaxis.range[0]" in changes)) zooms.set(meta, [[...xaxis.range], [...yaxis.range]]);
  };
  const kept = (look) => {
    const ranges = zooms.get(look.meta);
    if (ranges) [look.xaxis, look.yaxis].forEach((axis, i) => { axis.range = ranges[i]; });
  };

  const draw = (place, traces, look, nothing) => {
    const empty = !traces.some((trace) => trace.x.length);
    place.classList.toggle("empty", empty);
    if (empty) {
      Plotly.purge(place);
      place.textContent = nothing;
      return;
    }
    if (!place.classList.contains("js-plotly-plot")) place.textContent = "";
    const first = !place.classList.contains("js-plotly-plot");
    kept(look);
    Plotly.react(place, traces, look, config);
    if (first) place.on("plotly_relayout", (changes) => { zoomed(place, changes); finer(place); });
    if (first) place.on("plotly_doubleclick", () => resets.add(place)); // what it was before comes next
    if (first && place.dataset.curves) place.on("plotly_afterplot", () => { if (moment !== null) asyncsim.moment(moment); });
  };

  // -- curves --
  const state = { quantity: choice("quantity", (value) => { state.quantity = value; curves(); }) };
  state.x = choice("x-axis", (value) => { state.x = value; curves(); });
  state.y = choice("y-axis", (value) => { state.y = value; curves(); });
  state.rounds = choice("rounds-axis", (value) => { state.rounds = value; regret(); });
  const WORDS = { iteration: "iterations", worker_seconds: "total worker time" };
  choice("second", (value) => {
    const place = document.querySelector("[data-curves]:not([data-curves=time])");
    place.dataset.curves = value;
    place.parentElement.querySelector("[data-axis-name]").textContent = WORDS[value];
    curves();
  });

  const MANY = 8; // bands of more methods than these would hide each other's lines

  // The bands come first and the one that is pointed at last, so that no line lies under a band or behind the others.
  const inOrder = (labels) => {
    const rank = (label) => (label === pointed() ? 2 : weak(label) ? 0 : 1);
    return [...labels].sort((a, b) => rank(a) - rank(b));
  };
  const STRONG = 6; // of more than MANY methods, the best so many stand before the others
  const weak = (label) => shown().length > MANY && page.best.filter((other) => shown().includes(other)).indexOf(label) >= STRONG;
  const strength = (label) => {
    if (pointed() !== null && shown().includes(pointed())) return pointed() === label ? 1 : 0.14;
    return weak(label) ? 0.6 : 1;
  };

  const lines = (label, line, logs, banded) => {
    const { colour: hue, dash } = style(label);
    // what a logarithmic axis cannot show leaves a gap instead of a warning
    const hide = (values, log) => (log ? values.map((value) => (value > 0 ? value : null)) : values);
    const xs = hide(line.x, logs.x), ys = hide(line.median, logs.y);
    const traces = [];
    if (line.lower && line.x.length > 1 && (banded || pointed() === label)) {
      const low = hide(line.lower, logs.y), high = hide(line.upper, logs.y);
      // a band needs both of its edges
      const whole = xs.map((value, i) => i).filter((i) => xs[i] !== null && low[i] !== null && high[i] !== null);
      const edge = { mode: "lines", line: { width: 0 }, hoverinfo: "skip", legendgroup: label };
      traces.push({ ...edge, x: whole.map((i) => xs[i]), y: whole.map((i) => low[i]) });
      traces.push({ ...edge, x: whole.map((i) => xs[i]), y: whole.map((i) => high[i]), fill: "tonexty", fillcolor: faint(hue, 0.16 * strength(label)) });
    }
    const single = ys.filter((value) => value !== null).length < 2;
    traces.push({ x: xs, y: ys, name: label, mode: single ? "markers" : "lines", opacity: strength(label),
      line: { color: hue, dash, width: pointed() === label ? 2.8 : weak(label) ? 1.1 : 2.2 }, marker: { color: hue, size: 8 },
      legendgroup: label, text: line.x.map((value, i) => `${number(value)} → ${number(line.median[i])}`), hovertemplate: "<b>%{fullData.name}</b><br>%{text}<extra></extra>" });
    return traces;
  };

  const target = (key, x, labels, logs) => {
    if (!page.target || !(key in page.target)) return { shapes: [], annotations: [], traces: [] };
    const level = page.target[key];
    const at = logs.y ? Math.log10(level) : level;
    const traces = x !== "time" ? [] : labels.filter((label) => page.reached[label] != null).map((label) => ({
      x: [page.reached[label]], y: [level], mode: "markers", name: label, opacity: strength(label), marker: { symbol: "diamond", size: 11, color: style(label).colour,
        line: { color: colour("paper"), width: 1.5 } }, hovertemplate: `<b>%{fullData.name}</b><br>target after ${number(page.reached[label])} s<extra></extra>`,
    }));
    return {
      traces,
      shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: level, y1: level, line: { color: colour("ink"), width: 1.2, dash: "dot" } }],
      annotations: [{ xref: "paper", x: x === "time" ? 0 : 1, y: at, xanchor: x === "time" ? "left" : "right", yanchor: "top", text: `target ${number(level)}`, showarrow: false,
        font: { size: 11.5, color: colour("ink") }, bgcolor: faint(colour("paper"), 0.75) }],
    };
  };

  const curves = () => {
    document.querySelectorAll("[data-curves]").forEach((place) => {
      const x = place.dataset.curves, key = place.dataset.quantity || state.quantity;
      const logs = { x: state.x === "log", y: state.y === "log" && key !== "test_accuracy" };
      const labels = shown();
      const traces = inOrder(labels).flatMap((label) => lines(label, page.curves[label][x][key], logs, labels.length <= MANY));
      const goal = target(key, x, labels, logs);
      const own = labels.map((label) => page.curves[label][x][key]);
      const values = own.flatMap((line) => [line.median, line.lower || [], line.upper || []].flat()).concat(goal.shapes.length ? [page.target[key]] : []);
      const y = axis("", logs.y, values);
      const across = own.flatMap((line) => line.x), last = across.reduce((a, b) => Math.max(a, b), 0);
      const look = layout(axis(page.axes[x], logs.x, across, logs.x || !last ? {} : { range: [0, 1.02 * last] }), y, { shapes: goal.shapes, annotations: goal.annotations,
        meta: [x, key, state.x, state.y].join() });
      draw(place, [...traces, ...goal.traces], look, labels.length ? "nothing was recorded" : "no method is chosen");
      const caption = place.parentElement.querySelector("[data-quantity-name]");
      if (caption) caption.textContent = page.quantities[key];
    });
  };

  // -- regret --
  const regret = () => document.querySelectorAll("[data-regret]").forEach((place) => {
    const labels = shown().filter((label) => label in page.regret), logs = { x: state.rounds === "log", y: false };
    const traces = inOrder(labels).flatMap((label) => lines(label, page.regret[label], logs, labels.length <= MANY));
    const across = labels.flatMap((label) => page.regret[label].x);
    const look = layout(axis("rounds", logs.x, across, logs.x ? {} : { rangemode: "tozero" }), axis("", false, labels.flatMap((label) => page.regret[label].median), { rangemode: "tozero" }));
    draw(place, traces, look, "no method with an allocation is chosen");
  });

  // -- delays --
  const delays = () => document.querySelectorAll("[data-delays]").forEach((place) => {
    const label = place.dataset.delays, table = page.delays[label];
    place.closest("figure").classList.toggle("hidden", !shown().includes(label));
    if (place.closest("details:not([open])")) return; // drawn when it is opened
    const centre = table.delay.map((delay) => delay + (table.width - 1) / 2);
    const words = table.delay.map((delay, i) => `delay ${table.width > 1 ? `${delay} to ${delay + table.width - 1}` : delay}<br>`
      + `${number(table.arrived[i], 7)} arrived, ${number(table.used[i], 7)} used`);
    // a bar on a logarithmic axis stands on a half: one gradient is still seen
    const bar = { x: centre, width: table.width * (table.delay.length > 40 ? 1 : 0.86), type: "bar", text: words, hovertemplate: "%{text}<extra></extra>", textposition: "none" };
    const base = 0.5;
    const from = table.used.map((value) => Math.max(value, base));
    const traces = [
      { ...bar, y: table.used.map((value) => (value > 0 ? value - base : null)), base, marker: { color: colour("used") } },
      { ...bar, y: table.arrived.map((value, i) => (value > from[i] ? value - from[i] : null)), base: from,
        marker: { color: colour("discarded"), pattern: { shape: "/", fgcolor: colour("discarded"), bgcolor: faint(colour("discarded"), 0.3), size: 5, solidity: 0.5 } } },
    ];
    const most = Math.log10(table.arrived.reduce((a, b) => Math.max(a, b), 1));
    const last = table.delay.length ? table.delay[table.delay.length - 1] + table.width : 1;
    const x = axis("delay (iterations)", false, [], { range: [-0.7, Math.max(last - 0.3, 3)], showgrid: false, nticks: 6, tickformat: ",d" });
    const y = axis("", true, [], { range: [Math.log10(base), most + 0.15], dtick: Math.max(1, Math.ceil((most + 0.3) / 4)), tickfont: { size: 9.4 }, tickvals: undefined, ticktext: undefined });
    draw(place, traces, layout(x, y, { barmode: "overlay", margin: { l: 10, r: 4, t: 6, b: 10 } }), "no gradient arrived");
  });

  // -- who contributed --
  const shares = () => document.querySelectorAll("[data-shares]").forEach((place) => {
    const labels = inOrder(shown());
    const traces = labels.map((label) => {
      const { worker, time, share } = page.shares[label];
      const { colour: hue, symbol } = style(label);
      return { opacity: strength(label), x: time, y: share.map((value) => (value === null ? null : 100 * value)), mode: "markers", name: label, type: "scatter",
        marker: { color: faint(hue, 0.72), symbol, size: worker.length > 300 ? 5 : 7, line: { width: worker.length > 300 ? 0 : 0.6, color: colour("paper") } },
        customdata: worker, hovertemplate: "<b>%{fullData.name}</b><br>worker %{customdata}: %{y:.3g} % of the used gradients<br>%{x:.4g} s a gradient<extra></extra>" };
    });
    const all = (key) => traces.flatMap((trace) => trace[key]);
    draw(place, traces, layout(axis("mean compute time of a gradient (s)", true, all("x")), axis("", true, all("y"), { ticksuffix: " %", exponentformat: "none", nticks: 5 })),
      labels.length ? "no gradient was used" : "no method is chosen");
  });

  // The player's moment as a line over the charts of time; moved without drawing anything anew.
  let moment = null;
  asyncsim.moment = (now) => {
    moment = now;
    document.querySelectorAll("[data-curves=time]").forEach((place) => {
      const { xaxis, yaxis } = place._fullLayout || {};
      let line = place.parentElement.querySelector(".moment");
      if (!line) {
        line = document.createElement("i");
        line.className = "moment";
        place.parentElement.append(line);
      }
      const at = xaxis && now > 0 ? xaxis.l2p(xaxis.type === "log" ? Math.log10(now) : now) : -1;
      line.style.display = at >= 0 && at <= xaxis._length ? "block" : "none";
      if (at < 0) return;
      line.style.transform = `translate(${place.offsetLeft + xaxis._offset + at}px, ${place.offsetTop + yaxis._offset}px)`;
      line.style.height = `${yaxis._length}px`;
    });
  };

  const everything = () => { curves(); regret(); delays(); shares(); };
  onChange(everything);
  let asked = false;
  onPoint(() => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; curves(); regret(); shares(); });
  });
  everything();
})();
