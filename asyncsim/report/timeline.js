"use strict";
// The workers' timeline: a lane a worker, one canvas a method, all on the same scale of seconds.
//
// Lanes are painted into a buffer of pixels, not by canvas calls: a hundred thousand intervals cost a few milliseconds.
// An interval at least two pixels wide is drawn as it is. Narrower ones are summed per pixel column, and the column is divided
// among their outcomes from the bottom up: the picture stays true to the legend however many intervals share a pixel, and the
// empty part on top is the time in which the worker was idle.

(() => {
  const { page, shown, onChange, colour, number, choice } = asyncsim;
  const root = document.querySelector(".timeline");
  if (!root) return;
  const { OUTCOMES, WORDS, step } = asyncsim;
  const GUTTER = 40, AXIS = 22, RIGHT = 10;
  const data = page.timeline;
  const tip = root.querySelector(".tip");

  const state = { window: 0, start: 0, span: 1, whole: 1 };
  state.seed = choice("seed", (value) => { state.seed = value; whole(); }) || data.seeds[0];
  state.window = Number(choice("window", (value) => { state.window = Number(value); whole(); }) || 0);
  state.order = choice("order", (value) => { state.order = value; paint(); }) || "worker";

  const unpacked = new Map();
  const unpack = (label) => {
    const key = JSON.stringify([label, state.seed, state.window]);
    if (!unpacked.has(key)) unpacked.set(key, asyncsim.opened((data.panels[label][state.seed] || [])[state.window]));
    return unpacked.get(key);
  };

  // -- panels --
  const panels = [...root.querySelectorAll("[data-lanes]")].map((canvas) => {
    const figure = canvas.closest("figure"), hair = figure.querySelector(".hair");
    return { canvas, figure, hair, label: canvas.dataset.lanes, lanes: [], height: 0 };
  });
  const visible = () => panels.filter((panel) => !panel.figure.classList.contains("hidden"));

  const ordered = (view) => {
    const time = (lane) => data.times[data.workers.indexOf(lane.worker)] ?? Infinity;
    return state.order === "speed" ? [...view.lanes].sort((a, b) => time(a) - time(b) || a.worker - b.worker) : view.lanes;
  };

  const bits = (text) => { // a colour as the 32 bits of a pixel
    const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    probe.fillStyle = text;
    probe.fillRect(0, 0, 1, 1);
    return new Uint32Array(probe.getImageData(0, 0, 1, 1).data.buffer)[0];
  };
  const mixed = (a, b, share) => { // two opaque pixels mixed
    let pixel = 0xff000000;
    for (const shift of [0, 8, 16]) pixel |= Math.round(((a >>> shift) & 255) * (1 - share) + ((b >>> shift) & 255) * share) << shift;
    return pixel >>> 0;
  };
  const paints = () => {
    const paper = bits(colour("panel")), track = bits(colour("track")), dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const solid = OUTCOMES.map((name) => bits(colour(name)));
    return { paper, track, solid, power: bits(colour("power")), away: bits(colour("away")), cross: bits(colour("away-line")), hatch: solid.map((pixel) => mixed(pixel, dark ? bits("#0a0e12") : bits("#ffffff"), dark ? 0.58 : 0.62)) };
  };
  // Whether the pattern of an outcome is light at a place (in CSS pixels); the same patterns as in the legend.
  const PATTERNS = [
    () => false,
    (x, y) => (x + y) % 6 < 2,
    (x, y) => x % 4 < 2 && y % 4 < 2,
    (x) => x % 5 < 2,
    (x, y) => y % 4 < 2,
    (x, y) => (x - y + 8000) % 8 < 4,
  ];

  // A row of pixels in an outcome's pattern, as wide as the picture: made once a frame, then copied wherever it is needed.
  const PERIOD = 24; // of all patterns downwards
  let strips = new Map();
  const strip = (outcome, v, width, look, unit, shift) => {
    const key = outcome * PERIOD + (v % PERIOD);
    if (!strips.has(key)) {
      const row = new Uint32Array(width), solid = look.solid[outcome], hatch = look.hatch[outcome], light = PATTERNS[outcome];
      for (let x = 0; x < width; x++) row[x] = light(Math.floor((x + shift) / unit) % 120, v % PERIOD) ? hatch : solid;
      strips.set(key, row);
    }
    return strips.get(key);
  };
  const box = (buffer, width, x0, x1, y0, y1, outcome, look, unit, shift) => {
    const plain = outcome === 0 || x1 - x0 < 4 * unit || y1 - y0 < 4 * unit;
    for (let y = y0; y < y1; y++) {
      const line = y * width;
      if (plain) buffer.fill(look.solid[outcome], line + x0, line + x1);
      else buffer.set(strip(outcome, Math.floor(y / unit), width, look, unit, shift).subarray(x0, x1), line + x0);
    }
  };

  // Over all else: whatever was in hand stands still meanwhile, or is lost. Short absences take their share of a column, from
  // the top.
  const paintAway = (buffer, width, top, bottom, lane, look, unit) => {
    const scale = width / state.span, start = state.start, tall = bottom - top;
    const shift = Math.round((start * scale) % (120 * unit));
    const paintColumn = (x, share) => {
      const upTo = share > 0.97 ? bottom : top + Math.min(tall, Math.max(1, Math.round(share * tall))), u = Math.floor((x + shift) / unit) % 120;
      for (let y = top; y < upTo; y++) {
        const v = Math.floor(y / unit);
        buffer[y * width + x] = (u + v) % 6 === 0 || (u - v + 6000) % 6 === 0 ? look.cross : look.away;
      }
    };
    const shares = new Map();
    for (let i = 0; i < lane.away.length; i += 2) {
      const x0 = Math.max(0, (lane.away[i] - start) * scale), x1 = Math.min(width, (lane.away[i + 1] - start) * scale);
      for (let x = Math.floor(x0); x < x1; x++) shares.set(x, (shares.get(x) || 0) + Math.min(x1, x + 1) - Math.max(x0, x));
    }
    shares.forEach((share, x) => { if (x < width) paintColumn(x, share); });
  };

  // Where the power changes, a line under the lane: dark where the worker is as fast as it gets, pale where it is slow.
  const paintPowers = (buffer, width, top, bottom, lane, look) => {
    const scale = width / state.span, start = state.start, { powers, fastest } = lane;
    const seen = new Float32Array(width), sum = new Float32Array(width);
    for (let i = 0; i < powers.length; i += 3) {
      const x0 = Math.max(0, (powers[i] - start) * scale), x1 = Math.min(width, (powers[i + 1] - start) * scale);
      for (let x = Math.floor(x0); x < x1; x++) {
        const part = Math.min(x1, x + 1) - Math.max(x0, x);
        seen[x] += part;
        sum[x] += part * powers[i + 2];
      }
    }
    for (let x = 0; x < width; x++) {
      const pixel = seen[x] > 0 ? mixed(look.paper, look.power, 0.08 + 0.92 * Math.min(1, sum[x] / seen[x] / fastest)) : look.paper;
      for (let y = top; y < bottom; y++) buffer[y * width + x] = pixel;
    }
  };

  const paintLane = (buffer, width, top, lower, view, lane, look, unit) => {
    const line = lane.powers.length ? Math.round(unit * (lower - top >= 14 * unit ? 3 : lower - top >= 5 * unit ? 2 : 1)) : 0, bottom = lower - line;
    if (line) paintPowers(buffer, width, bottom, lower, lane, look);
    const scale = width / state.span, start = state.start, stop = start + state.span;
    // beyond the end of what was kept nothing is known: no lane there
    const kept = Math.max(0, Math.min(width, Math.ceil((view.span - start) * scale)));
    for (let y = top; y < bottom; y++) buffer.fill(look.track, y * width, y * width + kept);
    let low = lane.first, high = lane.end; // the first interval that ends inside
    while (low < high) { const middle = (low + high) >> 1; if (view.ended[middle] <= start) low = middle + 1; else high = middle; }
    const tall = bottom - top, thin = Math.max(1, Math.round(tall / 3)), lift = Math.round((tall - thin) / 2);
    const shift = Math.round((start * scale) % (120 * unit));
    let narrow = null;
    const wide = [];
    for (let row = low; row < lane.end && view.sent[row] < stop; row++) {
      const x0 = (view.sent[row] - start) * scale, x1 = (view.ended[row] - start) * scale;
      if (x1 - x0 >= 2) { wide.push(row); continue; }
      narrow = narrow || new Float32Array(6 * width);
      const outcome = view.outcome[row] * width, first = Math.max(0, Math.floor(x0));
      if (x1 <= first + 1) { if (first < width) narrow[outcome + first] += Math.max(x1 - Math.max(x0, 0), 0.02); continue; }
      for (let x = first; x < x1 && x < width; x++) narrow[outcome + x] += Math.min(x1, x + 1) - Math.max(x0, x);
    }
    if (narrow) {
      for (let x = 0; x < width; x++) {
        let sum = 0, drawn = 0;
        for (let outcome = 0; outcome < 6; outcome++) {
          const part = narrow[outcome * width + x];
          if (part === 0) continue;
          sum += part;
          const upTo = Math.min(tall, Math.max(Math.round(sum * tall), drawn + 1));
          for (let y = drawn; y < upTo; y++) buffer[(bottom - 1 - y) * width + x] = look.solid[outcome];
          drawn = upTo;
        }
      }
    }
    const limit = (x) => Math.min(width, Math.max(0, Math.round((x - start) * scale)));
    for (const row of wide) {
      const x0 = limit(view.sent[row]), x3 = limit(view.ended[row]);
      let x1 = limit(view.from[row]), x2 = limit(view.to[row]);
      const end = x3 - x0 > 5 * unit && x3 < width ? x3 - Math.max(1, Math.floor(unit)) : x3; // a seam to the next one
      x1 = Math.min(x1, end); x2 = Math.min(x2, end);
      const outcome = view.outcome[row];
      if (x1 > x0) box(buffer, width, x0, x1, top + lift, top + lift + thin, outcome, look, unit, shift);
      if (x2 > x1) box(buffer, width, x1, x2, top, bottom, outcome, look, unit, shift);
      if (end > x2) box(buffer, width, x2, end, top + lift, top + lift + thin, outcome, look, unit, shift);
    }
    paintAway(buffer, width, top, bottom, lane, look, unit);
  };

  const paintPanel = (panel, look) => {
    const { canvas } = panel, unit = window.devicePixelRatio || 1;
    const view = unpack(panel.label), width = canvas.clientWidth;
    if (!width) return;
    panel.view = view;
    panel.lanes = view ? ordered(view) : [];
    const count = Math.max(1, panel.lanes.length);
    panel.pitch = Math.max(5, Math.min(20, Math.floor(230 / count)));
    const tall = view ? count * panel.pitch : 40;
    panel.height = tall;
    panel.plot = Math.max(20, width - GUTTER - RIGHT);
    const height = tall + AXIS;
    canvas.style.height = `${height}px`;
    if (canvas.width !== Math.round(width * unit)) canvas.width = Math.round(width * unit);
    if (canvas.height !== Math.round(height * unit)) canvas.height = Math.round(height * unit);
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.setTransform(unit, 0, 0, unit, 0, 0);
    pen.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    pen.fillStyle = colour("muted");
    if (!view) {
      pen.textAlign = "left"; pen.textBaseline = "middle";
      pen.fillText("nothing was kept for this window", GUTTER, 20);
      return;
    }
    const across = Math.round(panel.plot * unit), down = Math.round(tall * unit);
    const image = pen.createImageData(across, down), buffer = new Uint32Array(image.data.buffer);
    strips = new Map();
    const seam = panel.pitch >= 5 ? Math.max(1, Math.round(unit * (panel.pitch >= 12 ? 2 : 1))) : 0;
    panel.lanes.forEach((lane, i) => {
      const top = Math.round(i * panel.pitch * unit), bottom = Math.round((i + 1) * panel.pitch * unit) - seam;
      paintLane(buffer, across, top, bottom, view, lane, look, unit);
    });
    pen.putImageData(image, Math.round(GUTTER * unit), 0);
    pen.textAlign = "right"; pen.textBaseline = "middle";
    const every = Math.ceil(12 / panel.pitch);
    panel.lanes.forEach((lane, i) => { if (i % every === 0) pen.fillText(String(lane.worker), GUTTER - 7, Math.max(5.5, (i + 0.5) * panel.pitch)); });
    const rest = panel.plot * (1 - (view.span - state.start) / state.span);
    if (rest > 60) {
      pen.textAlign = "center";
      pen.fillText("not kept", GUTTER + panel.plot - Math.min(rest, panel.plot) / 2, tall / 2);
    }
    ticks(pen, panel, view, tall);
  };

  const ticks = (pen, panel, view, tall) => {
    const every = step(state.span, panel.plot), places = Math.max(0, -Math.floor(Math.log10(every) + 1e-9));
    const from = view.start + state.start, to = from + state.span;
    pen.textAlign = "center"; pen.textBaseline = "top";
    pen.fillStyle = colour("muted"); pen.strokeStyle = colour("line");
    for (let tick = Math.ceil(from / every - 1e-9); tick * every <= to + 1e-9 * every; tick++) {
      const x = GUTTER + ((tick * every - from) / state.span) * panel.plot;
      pen.beginPath(); pen.moveTo(x, tall); pen.lineTo(x, tall + 4); pen.stroke();
      const text = `${(tick * every).toFixed(Math.min(places, 12))}`, half = pen.measureText(text).width / 2;
      if (x + half < GUTTER + panel.plot + RIGHT) pen.fillText(text, x, tall + 7);
    }
    pen.textAlign = "right";
    pen.fillText("s", GUTTER - 20, tall + 7); // clear of a first label such as 0.00
  };

  let asked = false, look = null;
  const paint = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; paintNow(); });
  };
  const paintNow = () => {
    const begun = performance.now(), chosen = shown();
    look = look || paints();
    panels.forEach((panel) => panel.figure.classList.toggle("hidden", !chosen.includes(panel.label)));
    root.querySelector(".lanes").classList.toggle("two", chosen.length > 3);
    visible().forEach((panel) => paintPanel(panel, look));
    root.dataset.span = state.span;
    root.dataset.start = state.start;
    root.dataset.cost = String(performance.now() - begun); // milliseconds
  };

  // -- moving --
  const views = () => page.methods.map(unpack).filter(Boolean);
  const clamp = () => {
    state.span = Math.min(state.whole, Math.max(state.span, state.whole * 1e-5));
    state.start = Math.min(Math.max(0, state.start), state.whole - state.span);
  };
  const move = (start, span = state.span) => { state.start = start; state.span = span; clamp(); hide(); paint(); };
  const zoom = (factor, share = 0.5) => {
    const span = Math.min(state.whole, Math.max(state.span * factor, state.whole * 1e-5));
    move(state.start + (state.span - span) * share, span);
  };
  const whole = () => { state.whole = Math.max(...views().map((view) => view.span), 0) || 1; move(0, state.whole); };
  // At first some dozen intervals of a worker in the middle: what one gradient did is to be seen at once. Where workers are
  // away or change their speed, but not so soon, all that was kept of every method.
  const opening = () => {
    whole();
    const lengths = views().flatMap((view) => view.lanes.filter((lane) => lane.end > lane.first).map((lane) => view.span / (lane.end - lane.first)));
    const middle = lengths.sort((a, b) => a - b)[Math.floor(lengths.length / 2)] || state.whole;
    const kept = Math.min(...views().map((view) => view.span));
    const span = Math.max(2 * middle, Math.min(24 * middle, kept));
    const changes = views().flatMap((view) => view.lanes.map((lane) => Math.min(...[...lane.away, ...lane.powers.filter((_, i) => i % 3 === 1)]
      .filter((moment) => moment > 0 && moment < view.span)))).filter(Number.isFinite);
    move(0, changes.length && Math.min(...changes) > span / 2 ? Math.max(span, kept) : span);
  };

  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, button")) return;
    const actions = { ArrowLeft: () => move(state.start - state.span / 8), ArrowRight: () => move(state.start + state.span / 8), "+": () => zoom(1 / 1.5),
      "=": () => zoom(1 / 1.5), "-": () => zoom(1.5), 0: whole, Home: () => move(0), End: () => move(state.whole) };
    if (!(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  });
  root.querySelectorAll("[data-zoom]").forEach((button) => button.addEventListener("click", () => {
    ({ in: () => zoom(1 / 1.5), out: () => zoom(1.5), whole })[button.dataset.zoom]();
  }));

  const place = (panel, event) => {
    const rect = panel.canvas.getBoundingClientRect();
    return { share: (event.clientX - rect.left - GUTTER) / panel.plot, y: event.clientY - rect.top };
  };
  panels.forEach((panel) => {
    const { canvas } = panel, fingers = new Map();
    canvas.addEventListener("wheel", (event) => {
      const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
      const focused = root.contains(document.activeElement) || event.ctrlKey || event.metaKey;
      // the page scrolls on past a timeline that nobody has turned to, and past one that is whole already
      if (!sideways && (!focused || (event.deltaY > 0 && state.span >= state.whole))) return;
      event.preventDefault();
      const amount = event.deltaMode === 1 ? 33 : 1;
      if (sideways) move(state.start + ((event.deltaX || event.deltaY) * amount * state.span) / panel.plot);
      else zoom(Math.exp(Math.max(-0.5, Math.min(0.5, event.deltaY * amount * 0.0022))), Math.min(1, Math.max(0, place(panel, event).share)));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      fingers.set(event.pointerId, event.clientX);
      canvas.setPointerCapture(event.pointerId);
      canvas.classList.add("dragged");
      root.querySelector(".lanes").focus({ preventScroll: true, focusVisible: false });
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!fingers.has(event.pointerId)) { hover(panel, event); return; }
      const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, x]) => x);
      const before = fingers.get(event.pointerId);
      fingers.set(event.pointerId, event.clientX);
      if (others.length) { // two fingers: their distance zooms
        const ratio = Math.abs(before - others[0]) / Math.max(8, Math.abs(event.clientX - others[0]));
        zoom(Math.min(2, Math.max(0.5, ratio)), Math.min(1, Math.max(0, place(panel, event).share)));
      } else move(state.start - ((event.clientX - before) * state.span) / panel.plot);
    });
    const release = (event) => { fingers.delete(event.pointerId); if (!fingers.size) canvas.classList.remove("dragged"); };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("pointerleave", hide);
  });

  // -- what lies under the pointer --
  function hide() {
    tip.style.display = "none";
    panels.forEach((panel) => { panel.hair.style.display = "none"; });
  }
  const found = (panel, event) => {
    const { share, y } = place(panel, event), { view } = panel;
    const lane = panel.lanes[Math.floor(y / panel.pitch)];
    if (!view || !lane || y < 0 || y >= panel.height || share < 0 || share > 1) return null;
    const time = state.start + share * state.span;
    let low = lane.first, high = lane.end;
    while (low < high) { const middle = (low + high) >> 1; if (view.ended[middle] <= time) low = middle + 1; else high = middle; }
    if (time > view.span) return null;
    return { lane, time, share, row: low < lane.end && view.sent[low] <= time ? low : null, before: low > lane.first ? view.ended[low - 1] : 0,
      after: low < lane.end ? view.sent[low] : view.span };
  };
  const powerAt = (lane, time) => {
    for (let i = 0; i < lane.powers.length; i += 3) if (lane.powers[i] <= time && time < lane.powers[i + 1]) return lane.powers[i + 2];
    return null;
  };
  const hover = (panel, event) => {
    const at = found(panel, event);
    if (!at) { hide(); return; }
    const { view } = panel, seconds = (value) => `${number(value, 4)} s`, moment = (value) => number(view.start + value, 6);
    tip.textContent = "";
    const line = (text, strong) => {
      const part = document.createElement(strong ? "b" : "div");
      part.textContent = text;
      tip.append(part);
    };
    const gone = at.lane.away.findLastIndex((moment) => moment <= at.time);
    if (gone % 2 === 0 && gone >= 0) {
      const swatch = document.createElement("i");
      swatch.className = "away";
      tip.append(swatch);
      line(`Worker ${at.lane.worker}: away, or without power`, true);
      line(`${moment(at.lane.away[gone])} → ${moment(at.lane.away[gone + 1])} s`);
    } else if (at.row === null) {
      line(`Worker ${at.lane.worker}: idle`, true);
      line(`${moment(at.before)} → ${moment(at.after)} s, ${seconds(at.after - at.before)} without work`);
    } else {
      const { row } = at, outcome = view.outcome[row], swatch = document.createElement("i");
      swatch.className = OUTCOMES[outcome];
      tip.append(swatch);
      if (view.merged) {
        line(`Worker ${at.lane.worker}: ${view.m[row]} gradients ${WORDS[outcome]}`, true);
        line(`${seconds(view.ended[row] - view.sent[row])} together, near ${moment(view.sent[row])} s`);
        line(`up to iteration ${view.k[row]}, mean delay ${view.delay[row]}`);
        pointed(event, at);
        return;
      }
      line(`Worker ${at.lane.worker}, gradient ${view.m[row]}: ${WORDS[outcome]}`, true);
      line(`${moment(view.sent[row])} → ${moment(view.ended[row])} s, ${seconds(view.to[row] - view.from[row])} computing`);
      const down = view.from[row] - view.sent[row], up = view.ended[row] - view.to[row];
      if (down > 0 || up > 0) line(`downlink ${number(down, 3)} s, uplink ${number(up, 3)} s`);
      line(outcome === 5 ? `delay so far ${view.delay[row]}` : `at iteration ${view.k[row]}, delay ${view.delay[row]}`);
    }
    pointed(event, at);
  };
  const pointed = (event, at) => {
    const power = powerAt(at.lane, at.time);
    if (power !== null) {
      const part = document.createElement("div");
      part.textContent = `power ${number(power, 3)}, at most ${number(at.lane.fastest, 3)} here`;
      tip.append(part);
    }
    tip.style.display = "block";
    const { offsetWidth: w, offsetHeight: h } = tip;
    tip.style.left = `${Math.max(6, Math.min(event.clientX + 14, document.documentElement.clientWidth - w - 6))}px`;
    tip.style.top = `${event.clientY + 18 + h > window.innerHeight ? event.clientY - h - 12 : event.clientY + 18}px`;
    visible().forEach((other) => {
      other.hair.style.display = "block";
      other.hair.style.left = `${GUTTER + at.share * other.plot}px`;
      other.hair.style.top = `${other.canvas.offsetTop}px`;
      other.hair.style.height = `${other.height}px`;
    });
  };

  onChange(() => { look = null; paint(); });
  new ResizeObserver(paint).observe(root);
  opening();
})();
