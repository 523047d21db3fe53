"use strict";
// The player's chart: what each method has reached so far, drawn up to now, with a line that moves.

(() => {
  const { page, style, number, step, after } = asyncsim;
  const LEFT = 46, RIGHT = 10, TOP = 8, BOTTOM = 34;
  const DASHES = { solid: [], dash: [7, 4], dot: [2, 3], dashdot: [7, 3, 2, 3], longdash: [11, 4], longdashdot: [11, 3, 2, 3] };

  // The axes hold all the methods reach within the range, whatever part of it is shown.
  asyncsim.raceAxes = (films, key, from, to) => {
    const values = films.flatMap((film) => (film.run.q[key] || []).filter((value, i) => value !== null && film.run.t[i] >= from && film.run.t[i] <= to));
    if (page.target && key in page.target) values.push(page.target[key]);
    const positive = values.filter((value) => value > 0);
    const log = !["iteration", "gradients_used"].includes(key) && positive.length > 0;
    const known = log ? positive : values;
    let low = known.reduce((a, b) => Math.min(a, b), Infinity), high = known.reduce((a, b) => Math.max(a, b), -Infinity);
    if (!known.length) { low = 0; high = 1; }
    if (log) { low = Math.log10(low); high = Math.log10(high); } else if (low > 0) low = 0;
    const room = 0.05 * (high - low) || 0.5;
    return { key, log, from, to, low: low - (log ? room : 0), high: high + room };
  };

  asyncsim.paintRace = (pen, films, now, axes, width, height, look) => {
    pen.setTransform(look.unit, 0, 0, look.unit, 0, 0);
    pen.clearRect(0, 0, width, height);
    const across = width - LEFT - RIGHT, down = height - TOP - BOTTOM;
    const x = (time) => LEFT + ((time - axes.from) / (axes.to - axes.from || 1)) * across;
    const y = (value) => TOP + (1 - ((axes.log ? Math.log10(value) : value) - axes.low) / (axes.high - axes.low)) * down;
    frame(pen, axes, { across, down, x, y }, look);
    const target = page.target && axes.key in page.target ? page.target[axes.key] : null;
    if (target !== null) {
      pen.strokeStyle = look.ink; pen.lineWidth = 1.2; pen.setLineDash([2, 3]);
      pen.beginPath(); pen.moveTo(LEFT, y(target)); pen.lineTo(LEFT + across, y(target)); pen.stroke(); pen.setLineDash([]);
      pen.textAlign = "left"; pen.textBaseline = "top"; pen.font = `11px ${look.font}`;
      pen.strokeStyle = look.paper; pen.lineWidth = 3; pen.strokeText(`target ${number(target)}`, LEFT + 4, y(target) + 3);
      pen.fillStyle = look.ink; pen.fillText(`target ${number(target)}`, LEFT + 4, y(target) + 3);
    }
    pen.strokeStyle = look.ink; pen.globalAlpha = 0.55; pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(x(now), TOP); pen.lineTo(x(now), TOP + down); pen.stroke(); pen.globalAlpha = 1;
    const heads = films.map((film) => line(pen, film, now, axes, { x, y })).filter(Boolean);
    if (target !== null) films.forEach((film) => { if (film.run.reached !== null && film.run.reached <= now) diamond(pen, x(film.run.reached), y(target), style(film.label).colour, look); });
    names(pen, heads, { across, down }, look);
  };

  const line = (pen, film, now, axes, { x, y }) => {
    const { t, q } = film.run, values = q[axes.key] || [], until = Math.min(now, film.run.end ?? now);
    const last = after(t, until), hue = style(film.label);
    const shown = (value) => value !== null && (!axes.log || value > 0);
    pen.strokeStyle = hue.colour; pen.lineWidth = 2.2; pen.lineJoin = "round"; pen.setLineDash(DASHES[hue.dash]);
    pen.beginPath();
    let down = false, first = Math.max(0, after(t, axes.from) - 1);
    for (let i = first; i < last; i++) {
      if (!shown(values[i])) { down = false; continue; }
      const px = Math.max(x(t[i]), LEFT), py = y(values[i]);
      if (down) pen.lineTo(px, py); else pen.moveTo(px, py);
      down = true;
    }
    const head = film.value(axes.key)(until);
    if (down && shown(head)) pen.lineTo(x(until), y(head));
    pen.stroke(); pen.setLineDash([]);
    if (!down || !shown(head)) return null;
    pen.fillStyle = hue.colour;
    pen.beginPath(); pen.arc(x(until), y(head), 4, 0, 7); pen.fill();
    return { label: film.label, x: x(until), y: y(head), hue: hue.colour };
  };

  // The names stand at the heads of the lines, pushed apart where lines meet.
  const names = (pen, heads, { across, down }, look) => {
    pen.font = `600 11.5px ${look.font}`; pen.textBaseline = "middle";
    const sorted = heads.sort((a, b) => a.y - b.y);
    let previous = -Infinity;
    sorted.forEach((head) => { head.at = Math.max(head.y, previous + 14); previous = head.at; });
    const over = previous - (TOP + down - 6);
    if (over > 0) {
      let next = Infinity;
      [...sorted].reverse().forEach((head) => { head.at = Math.min(head.at, next - 14, TOP + down - 6); next = head.at; });
    }
    sorted.forEach((head) => {
      const wide = pen.measureText(head.label).width, right = head.x + 9 + wide < LEFT + across + RIGHT;
      const from = right ? head.x + 9 : Math.max(LEFT + 2, head.x - 9 - wide);
      pen.textAlign = "left";
      pen.strokeStyle = look.paper; pen.lineWidth = 3.5; pen.lineJoin = "round";
      pen.strokeText(head.label, from, head.at);
      pen.fillStyle = head.hue; pen.fillText(head.label, from, head.at);
    });
  };

  const diamond = (pen, x, y, hue, look) => {
    pen.fillStyle = hue; pen.strokeStyle = look.paper; pen.lineWidth = 1.5;
    pen.beginPath(); pen.moveTo(x - 6, y); pen.lineTo(x, y - 6); pen.lineTo(x + 6, y); pen.lineTo(x, y + 6); pen.closePath(); pen.fill(); pen.stroke();
  };

  const frame = (pen, axes, { across, down, x }, look) => {
    pen.font = `11px ${look.font}`; pen.fillStyle = look.muted; pen.strokeStyle = look.line; pen.lineWidth = 1;
    const every = step(axes.to - axes.from, across, 70), places = Math.min(12, Math.max(0, -Math.floor(Math.log10(every) + 1e-9)));
    pen.textAlign = "center"; pen.textBaseline = "top";
    for (let tick = Math.ceil(axes.from / every - 1e-9); tick * every <= axes.to * (1 + 1e-9); tick++) {
      const at = x(tick * every);
      pen.beginPath(); pen.moveTo(at, TOP); pen.lineTo(at, TOP + down + 4); pen.globalAlpha = 0.6; pen.stroke(); pen.globalAlpha = 1;
      if (at < LEFT + across - 4) pen.fillText((tick * every).toFixed(places), at, TOP + down + 6);
    }
    pen.fillText("simulated time (s)", LEFT + across / 2, TOP + down + 20);
    pen.textAlign = "right"; pen.textBaseline = "middle";
    const marks = axes.log ? decades(axes) : linear(axes, down);
    marks.forEach(([value, words]) => {
      const at = TOP + (1 - (value - axes.low) / (axes.high - axes.low)) * down;
      pen.globalAlpha = 0.6; pen.beginPath(); pen.moveTo(LEFT, at); pen.lineTo(LEFT + across, at); pen.stroke(); pen.globalAlpha = 1;
      pen.fillText(words, LEFT - 6, at);
    });
  };
  const decades = ({ low, high }) => {
    const marks = [], every = Math.max(1, Math.ceil((high - low) / 6)), factors = high - low < 0.8 ? [1, 1.5, 2, 3, 5, 7] : high - low < 1.7 ? [1, 2, 5] : [1];
    for (let power = Math.floor(low); power <= high; power++) {
      if (power % every) continue;
      for (const factor of factors) {
        const value = power + Math.log10(factor);
        if (value >= low && value <= high) marks.push([value, number(factor * 10 ** power)]);
      }
    }
    return marks;
  };
  const linear = ({ low, high }, down) => {
    const every = step(high - low, down, 34), marks = [];
    for (let tick = Math.ceil(low / every - 1e-9); tick * every <= high; tick++) marks.push([tick * every, number(tick * every)]);
    return marks;
  };
})();
