"use strict";
// One moment of a film on a canvas: a lane a worker with its past on the left of the line "now", the server on the right,
// and between them what is on its way at this moment.
//
//   worker | past …………………… now |  ●→   | server
//
// What ends at a moment lands at the server at that moment. It travels as long as its uplink takes, but at least a thirtieth
// of the seconds shown, so that it can be seen where messages take no time; it lands a little delay number, which fades. What
// has not ended yet is drawn as in flight: what becomes of it is not known then.

(() => {
  const { colour, faint, OUTCOMES, step, after } = asyncsim;
  const GUTTER = 30, AXIS = 20, SERVER = 40;

  // Colours and patterns in force; made anew when the colour scheme changes.
  const tile = (size, paint, pen, unit) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = Math.round(size * unit);
    const brush = canvas.getContext("2d");
    brush.scale(canvas.width / size, canvas.height / size);
    paint(brush, size);
    const pattern = pen.createPattern(canvas, "repeat");
    return { pattern, scale: size / canvas.width, size };
  };
  const stripes = (solid, light, turn) => (brush, size) => {
    brush.fillStyle = solid; brush.fillRect(0, 0, size, size);
    brush.strokeStyle = light; brush.lineWidth = 2;
    brush.beginPath();
    for (const shift of [-size, 0, size]) {
      if (turn > 0) { brush.moveTo(shift, size); brush.lineTo(shift + size, 0); } else { brush.moveTo(shift, 0); brush.lineTo(shift + size, size); }
    }
    brush.stroke();
  };
  const bars = (solid, light, across) => (brush, size) => {
    brush.fillStyle = solid; brush.fillRect(0, 0, size, size);
    brush.fillStyle = light;
    if (across) brush.fillRect(0, size - 2, size, 2); else brush.fillRect(size - 2, 0, 2, size);
  };
  const dots = (solid, light) => (brush, size) => {
    brush.fillStyle = solid; brush.fillRect(0, 0, size, size);
    brush.fillStyle = light; brush.fillRect(1, 1, 2, 2);
  };
  asyncsim.look = (pen) => {
    const unit = window.devicePixelRatio || 1, light = colour("hatch");
    const solid = OUTCOMES.map(colour);
    const fills = [
      null,
      tile(7, stripes(solid[1], light, 1), pen, unit),
      tile(5, dots(solid[2], light), pen, unit),
      tile(5, bars(solid[3], light, false), pen, unit),
      tile(5, bars(solid[4], light, true), pen, unit),
      tile(8, stripes(solid[5], light, -1), pen, unit),
    ];
    const away = tile(6, (brush, size) => {
      stripes(colour("away"), colour("away-line"), 1)(brush, size);
      brush.strokeStyle = colour("away-line"); brush.beginPath(); brush.moveTo(0, 0); brush.lineTo(size, size); brush.stroke();
    }, pen, unit);
    return { unit, solid, fills, away, track: colour("track"), ink: colour("ink"), muted: colour("muted"), line: colour("line"), panel: colour("panel"),
      paper: colour("paper"), font: getComputedStyle(document.body).fontFamily };
  };
  const set = (pen, fill, shift) => {
    fill.pattern.setTransform(new DOMMatrix([fill.scale, 0, 0, fill.scale, shift % fill.size, 0]));
    pen.fillStyle = fill.pattern;
  };

  // The layout of a panel of this width with so many lanes, in CSS pixels.
  asyncsim.stage = (width, count) => {
    const pitch = Math.max(5, Math.min(18, Math.floor(200 / Math.max(1, count))));
    const way = width < 340 ? 36 : 64;
    return { width, pitch, way, x0: GUTTER, x1: width - SERVER - way, server: width - SERVER, tall: Math.max(40, count * pitch), height: Math.max(40, count * pitch) + AXIS };
  };

  const rectangles = (film, lanes, now, seconds, box) => {
    const scale = (box.x1 - box.x0) / seconds, start = now - seconds;
    const paths = OUTCOMES.map(() => new Path2D()), seam = box.pitch >= 12 ? 2 : 1;
    const away = new Path2D();
    lanes.forEach((lane, i) => {
      const top = i * box.pitch, tall = box.pitch - seam, thin = Math.max(1, Math.round(tall / 3)), lift = top + Math.round((tall - thin) / 2);
      for (let row = after(lane.ended, start); row < lane.count && lane.sent[row] < now; row++) {
        const done = lane.ended[row] <= now, path = paths[done ? lane.outcome[row] : 5];
        const place = (time) => box.x0 + (Math.max(start, Math.min(now, time)) - start) * scale;
        const a = place(lane.sent[row]), d = place(lane.ended[row]), gap = done && d - a > 5 ? 1 : 0;
        const b = Math.min(place(lane.from[row]), d - gap), c = Math.min(place(lane.to[row]), d - gap);
        if (b > a) path.rect(a, lift, b - a, thin);
        if (c > b) path.rect(b, top, Math.max(c - b, 0.4), tall);
        if (d - gap > c) path.rect(c, lift, d - gap - c, thin);
      }
      for (let j = 0; j < lane.away.length; j += 2) {
        const from = Math.max(start, lane.away[j]), to = Math.min(now, lane.away[j + 1]);
        if (to > from) away.rect(box.x0 + (from - start) * scale, top, (to - from) * scale, tall);
      }
    });
    return { paths, away };
  };

  // What travels or has just landed, lane by lane.
  const messages = (pen, film, lanes, now, seconds, box, look) => {
    const flight = seconds / 30, glow = seconds / 16, near = box.x1 + 4, far = box.server - 4;
    pen.font = `600 10.5px ${look.font}`;
    pen.textBaseline = "middle"; pen.textAlign = "left";
    const labels = [];
    lanes.forEach((lane, i) => {
      const y = (i + 0.5) * box.pitch - 0.5;
      for (let row = after(lane.ended, now - glow); row < lane.count && lane.sent[row] <= now; row++) {
        const outcome = lane.outcome[row], ended = lane.ended[row];
        const hue = look.solid[outcome];
        if (outcome < 2) { // to the server
          const leaves = Math.min(lane.to[row], ended - flight);
          if (now < leaves) continue;
          const share = Math.min(1, (now - leaves) / (ended - leaves)), fade = now <= ended ? 1 : 1 - (now - ended) / glow;
          if (now <= ended) {
            const x = near + (far - near) * share;
            pen.globalAlpha = 0.35; pen.strokeStyle = hue; pen.lineWidth = 1.6;
            pen.beginPath(); pen.moveTo(Math.max(near, x - 22), y); pen.lineTo(x, y); pen.stroke();
            pen.globalAlpha = 1;
            mark(pen, x, y, outcome, hue);
          } else {
            pen.globalAlpha = fade;
            mark(pen, far, y, outcome, hue, 2 + 5 * (1 - fade));
            pen.globalAlpha = 1;
            labels.push({ y, outcome, hue, fade, delay: lane.delay[row], ended });
          }
        } else if (outcome < 5 && now >= ended) { // called off: the word comes from the server
          const fade = 1 - (now - ended) / glow;
          pen.globalAlpha = 0.75 * fade; pen.strokeStyle = hue; pen.lineWidth = 1;
          if (outcome === 2) { pen.beginPath(); pen.moveTo(far, y); pen.lineTo(near + 3, y); pen.stroke(); }
          pen.fillStyle = hue; pen.fillRect(near, y - 2.5, 5, 5);
          pen.globalAlpha = 1;
        }
        if (lane.from[row] > lane.sent[row] && now < lane.from[row]) { // the point on its way to the worker
          const x = far - ((far - near) * (now - lane.sent[row])) / (lane.from[row] - lane.sent[row]);
          pen.fillStyle = look.muted;
          pen.beginPath(); pen.arc(x, y, 1.7, 0, 7); pen.fill();
        }
      }
    });
    // the newest numbers keep their place, older ones give way
    const taken = [];
    labels.sort((a, b) => b.ended - a.ended).forEach((label) => {
      if (taken.some((y) => Math.abs(y - label.y) < 10)) return;
      taken.push(label.y);
      pen.globalAlpha = Math.min(1, 1.6 * label.fade);
      pen.fillStyle = label.hue;
      pen.fillText(`${label.outcome === 1 ? "×" : ""}${short(label.delay)}`, box.server + 7, Math.min(box.tall - 5, Math.max(6, label.y)));
      pen.globalAlpha = 1;
    });
    return labels;
  };
  const short = (value) => (value < 10000 ? String(value) : `${Math.round(value / 1000)}k`);
  const mark = (pen, x, y, outcome, hue, size = 3) => {
    pen.fillStyle = pen.strokeStyle = hue;
    pen.beginPath();
    if (outcome === 0) { pen.arc(x, y, size, 0, 7); pen.fill(); return; }
    pen.lineWidth = 2;
    pen.moveTo(x - size, y - size); pen.lineTo(x + size, y + size); pen.moveTo(x - size, y + size); pen.lineTo(x + size, y - size); pen.stroke();
  };

  asyncsim.paintStage = (canvas, pen, film, lanes, now, seconds, box, look) => {
    const { unit } = look;
    pen.setTransform(unit, 0, 0, unit, 0, 0);
    pen.clearRect(0, 0, box.width, box.height);
    const scale = (box.x1 - box.x0) / seconds, start = now - seconds, seam = box.pitch >= 12 ? 2 : 1;
    // tracks, as far as something is known
    pen.fillStyle = look.track;
    const zero = Math.max(start, 0), known = film.kept.map(([a, b]) => [Math.max(a, zero), Math.min(b, now)]).filter(([a, b]) => b >= a);
    for (const [a, b] of known) for (let i = 0; i < lanes.length; i++) pen.fillRect(box.x0 + (a - start) * scale, i * box.pitch, (b - a) * scale, box.pitch - seam);
    const { paths, away } = rectangles(film, lanes, now, seconds, box);
    const shift = -start * scale;
    paths.forEach((path, outcome) => {
      if (look.fills[outcome]) set(pen, look.fills[outcome], shift); else pen.fillStyle = look.solid[outcome];
      pen.fill(path);
    });
    set(pen, look.away, shift);
    pen.fill(away);
    // who they are
    pen.fillStyle = look.muted; pen.font = `11px ${look.font}`; pen.textAlign = "right"; pen.textBaseline = "middle";
    const every = Math.ceil(12 / box.pitch);
    lanes.forEach((lane, i) => { if (i % every === 0) pen.fillText(String(lane.worker), box.x0 - 6, Math.max(5.5, (i + 0.5) * box.pitch)); });
    // now, the way, the server
    pen.strokeStyle = look.ink; pen.lineWidth = 1; pen.globalAlpha = 0.55;
    pen.beginPath(); pen.moveTo(box.x1 + 0.5, 0); pen.lineTo(box.x1 + 0.5, box.tall); pen.stroke();
    pen.globalAlpha = 1;
    const landed = film.isKept(now) ? messages(pen, film, lanes, now, seconds, box, look) : [];
    const shine = Math.max(0, ...landed.filter((label) => label.outcome === 0).map((label) => 1 - 5 * (1 - label.fade)));
    pen.fillStyle = look.ink; pen.fillRect(box.server - 1.5, 0, 3, box.tall);
    if (shine > 0) { pen.globalAlpha = shine; pen.fillStyle = look.solid[0]; pen.fillRect(box.server - 2.5, 0, 5, box.tall); pen.globalAlpha = 1; }
    ticks(pen, start, now, seconds, box, look);
    const ended = film.run.end !== null && now > film.run.end;
    if (ended || !film.isKept(now)) said(pen, ended ? `ended after ${asyncsim.number(film.run.end)} s` : "the workers of this moment were not kept", box, look);
  };

  const ticks = (pen, start, now, seconds, box, look) => {
    const every = step(seconds, box.x1 - box.x0, 64), places = Math.min(12, Math.max(0, -Math.floor(Math.log10(every) + 1e-9)));
    pen.textAlign = "center"; pen.textBaseline = "top"; pen.fillStyle = look.muted; pen.strokeStyle = look.line; pen.font = `11px ${look.font}`;
    for (let tick = Math.ceil(Math.max(0, start) / every - 1e-9); tick * every <= now + 1e-9 * every; tick++) {
      const x = box.x0 + ((tick * every - start) / seconds) * (box.x1 - box.x0), text = (tick * every).toFixed(places), half = pen.measureText(text).width / 2;
      pen.beginPath(); pen.moveTo(x, box.tall); pen.lineTo(x, box.tall + 4); pen.stroke();
      if (x + half < box.x1 - 16 && x - half > box.x0 - 22) pen.fillText(text, x, box.tall + 6);
    }
    pen.fillStyle = look.ink;
    pen.fillText("now", box.x1, box.tall + 6);
    pen.fillText("server", Math.min(box.server, box.width - 18), box.tall + 6);
  };
  const said = (pen, words, box, look) => {
    pen.font = `600 12px ${look.font}`; pen.textAlign = "center"; pen.textBaseline = "middle";
    const x = (box.x0 + box.x1) / 2, y = box.tall / 2, wide = pen.measureText(words).width + 18;
    pen.fillStyle = look.panel; pen.strokeStyle = look.line;
    pen.beginPath(); pen.roundRect(x - wide / 2, y - 12, wide, 24, 6); pen.fill(); pen.stroke();
    pen.fillStyle = look.ink; pen.fillText(words, x, y + 0.5);
  };
})();
