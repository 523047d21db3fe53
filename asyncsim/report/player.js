"use strict";
// The player: one clock for the workers of all methods and for their curves. It keeps the moment, moves it, and has
// everything painted; what a panel and the chart look like is in stage.js and race.js.
//
// A frame paints only what is to be seen: a part of the page that is scrolled away costs nothing. Everything follows from the
// moment alone, so the same moment is the same picture however one came there.

(() => {
  const { page, shown, onChange, style, number, choice } = asyncsim;
  const root = document.querySelector(".player");
  if (!root) return;
  const data = page.player, films = new Map(data.labels.map((label) => [label, asyncsim.film(label)]));
  const slider = root.querySelector("[data-now]"), output = root.querySelector("output"), play = root.querySelector("[data-play]");
  const news = root.querySelector("[role=status]"), race = root.querySelector("[data-race]");
  const panels = [...root.querySelectorAll("[data-film]")].map((canvas) => {
    const figure = canvas.closest("figure");
    const places = Object.fromEntries([...figure.querySelectorAll("[data-so-far]")].map((place) => [place.dataset.soFar, place]));
    return { canvas, figure, film: films.get(canvas.dataset.film), places, pen: canvas.getContext("2d") };
  });
  const state = { now: 0, range: data.ranges[0], playing: false, rate: 1, seen: false, frame: null, last: null };

  // So many seconds are shown to the left of now, and pass in ten of the viewer's: a gradient of the middle worker and a bit.
  const pace = () => {
    const lengths = [...films.values()].flatMap((film) => film.lanes.filter((lane) => lane.count > 0)
      .map((lane) => (lane.ended[lane.count - 1] - lane.sent[0]) / lane.count)).filter((length) => length > 0).sort((a, b) => a - b);
    const middle = lengths[Math.floor(lengths.length / 2)] || (state.range.to - state.range.from) / 20 || 1;
    return Math.min(1.25 * middle, Math.max(state.range.to - state.range.from, 1e-9));
  };
  let seconds = pace();

  state.quantity = choice("quantity", (value) => { state.quantity = value; layout(); }) || Object.keys(page.quantities)[0];
  state.speed = Number(choice("speed", (value) => { state.speed = Number(value); }) || 1);
  state.order = choice("order", (value) => { state.order = value; arrange(); paint(); }) || "worker";
  choice("range", (value) => { state.range = data.ranges[Number(value)]; pause(); seconds = pace(); go(opening()); layout(); });
  // It opens at a moment that tells something: lanes are full, or the first has just reached the target.
  const opening = () => {
    const reached = data.labels.map((label) => data.runs[label].reached).filter((time) => time !== null && time > state.range.from);
    const first = Math.min(...reached, Infinity) * 1.12;
    return first < state.range.to ? first : Math.min(state.range.to, state.range.from + 1.02 * seconds);
  };

  const visible = () => panels.filter((panel) => shown().includes(panel.film.label));
  const arrange = () => {
    const time = (lane) => page.timeline.times[page.timeline.workers.indexOf(lane.worker)] ?? Infinity;
    panels.forEach((panel) => {
      panel.lanes = state.order === "speed" ? [...panel.film.lanes].sort((a, b) => time(a) - time(b) || a.worker - b.worker) : panel.film.lanes;
    });
  };

  // -- painting --
  let look = null, axes = null, paper = null;
  const fit = (canvas, height) => {
    const unit = window.devicePixelRatio || 1, width = canvas.clientWidth;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * unit);
    canvas.height = Math.round(height * unit);
    return width;
  };
  const layout = () => {
    const chosen = visible();
    panels.forEach((panel) => panel.figure.classList.toggle("hidden", !chosen.includes(panel)));
    root.querySelector(".stages").dataset.figures = String(chosen.length + 1);
    chosen.forEach((panel) => {
      const width = panel.canvas.clientWidth;
      panel.box = asyncsim.stage(width, panel.lanes.length);
      fit(panel.canvas, panel.box.height);
    });
    const height = Math.max(190, Math.min(chosen[0]?.box.height ?? 240, 260));
    paper = { pen: race.getContext("2d"), width: fit(race, height), height };
    look = asyncsim.look(paper.pen);
    chosen.forEach((panel) => { panel.look = asyncsim.look(panel.pen); });
    axes = asyncsim.raceAxes(chosen.map((panel) => panel.film), state.quantity, state.range.from, state.range.to);
    root.querySelector("[data-race-name]").textContent = page.quantities[state.quantity];
    paint();
  };

  let asked = false;
  const paint = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; paintNow(); });
  };
  const paintNow = () => {
    if (!look) return;
    const begun = performance.now(), { now } = state;
    slider.value = String(now);
    const words = moment(now);
    output.textContent = words;
    slider.setAttribute("aria-valuetext", words);
    root.dataset.moment = String(now);
    if (state.seen) {
      const chosen = visible();
      chosen.forEach((panel) => {
        asyncsim.paintStage(panel.canvas, panel.pen, panel.film, panel.lanes, now, seconds, panel.box, panel.look);
        soFar(panel, now);
      });
      if (!race.matches(".dragged")) axes.to = horizon(now);
      if (!axes.log) axes.high = 1.1 * Math.max(1, ...chosen.map(({ film }) => film.value(state.quantity)(axes.to) || 0));
      asyncsim.paintRace(paper.pen, chosen.map((panel) => panel.film), now, axes, paper.width, paper.height, look);
    }
    asyncsim.moment(now);
    root.dataset.cost = String(performance.now() - begun);
  };
  // The chart shows what was and a little of what will be, so that an early lead is not a few pixels wide.
  const horizon = (now) => Math.min(state.range.to, Math.max(state.range.from + 1.9 * (now - state.range.from), state.range.from + 1.5 * seconds));
  const places = () => Math.max(0, Math.min(9, 2 - Math.floor(Math.log10(seconds / 10))));
  const moment = (now) => `${now.toFixed(Math.min(6, places()))} s`;

  const put = (place, text) => { if (place && place.textContent !== text) place.textContent = text; };
  const soFar = ({ film, places: at, figure }, now) => {
    const until = Math.min(now, film.run.end ?? now), last = film.lastArrival(until);
    put(at.k, film.k(until).toLocaleString("en"));
    const value = film.value(state.quantity)(until);
    put(at.value, state.quantity === "iteration" || value === null ? "" : `${page.quantities[state.quantity]} ${number(value, 3)}`);
    for (const key of ["used", "discarded", "stopped"]) {
      const count = film.count(key, until);
      put(at[key], count ? Math.floor(count).toLocaleString("en") : "0");
      if (at[key]) at[key].parentElement.classList.toggle("none", !count);
    }
    put(at.delay, last && film.isKept(now) ? `last delay ${last.delay}` : "");
    figure.classList.toggle("there", film.run.reached !== null && film.run.reached <= now);
  };
  const tell = () => {
    const each = visible().map(({ film }) => {
      const value = film.value(state.quantity)(state.now);
      return `${film.label}: iteration ${film.k(state.now)}${value === null ? "" : `, ${page.quantities[state.quantity]} ${number(value, 3)}`}`;
    });
    news.textContent = `At ${moment(state.now)}. ${each.join("; ")}.`;
  };

  // -- moving --
  const go = (now) => { state.now = Math.max(state.range.from, Math.min(state.range.to, now)); paint(); };
  const turn = (time) => {
    state.frame = null;
    if (!state.playing) return;
    if (state.last !== null) {
      // a frame that came late moves the clock by a tenth of a second at most: nothing is jumped over
      go(state.now + (Math.min(100, time - state.last) / 1000) * (seconds / 10) * state.speed);
    }
    state.last = time;
    if (state.now >= state.range.to) { pause(); return; }
    state.frame = requestAnimationFrame(turn);
  };
  const pause = () => { state.playing = false; state.last = null; label(); if (look) tell(); };
  const start = () => {
    if (state.now >= state.range.to) go(state.range.from);
    state.playing = true;
    label();
    if (state.frame === null) state.frame = requestAnimationFrame(turn);
  };
  const label = () => {
    play.textContent = state.playing ? "❚❚ pause" : "▶ play";
    play.setAttribute("aria-pressed", String(state.playing));
    root.dataset.playing = String(state.playing);
  };
  const toggle = () => (state.playing ? pause() : start());
  const stepped = (forward) => {
    pause();
    const moments = visible().map(({ film }) => film.neighbour(state.now, forward)).filter((time) => time !== null && time >= state.range.from && time <= state.range.to);
    if (moments.length) go(forward ? Math.min(...moments) : Math.max(...moments));
    tell();
  };
  const faster = (by) => {
    const buttons = [...root.querySelectorAll("input[name=speed]")], at = buttons.findIndex((button) => button.checked);
    buttons[Math.max(0, Math.min(buttons.length - 1, at + by))].click();
  };

  slider.addEventListener("input", () => { pause(); go(Number(slider.value)); });
  play.addEventListener("click", toggle);
  root.querySelectorAll("[data-step]").forEach((button) => button.addEventListener("click", () => stepped(button.dataset.step === "1")));
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input[type=radio], a, summary")) return;
    if (event.key === " " && event.target.closest("button")) return; // a button has its own space
    const by = (event.shiftKey ? 1 / 4 : 1 / 40) * seconds;
    const actions = { " ": toggle, ArrowLeft: () => { pause(); go(state.now - by); }, ArrowRight: () => { pause(); go(state.now + by); },
      ",": () => stepped(false), ".": () => stepped(true), "[": () => faster(-1), "]": () => faster(1),
      Home: () => { pause(); go(state.range.from); }, End: () => { pause(); go(state.range.to); } };
    if (!(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  });
  // whoever draws along the chart moves the clock
  const scrub = (event) => {
    const box = race.getBoundingClientRect(), share = (event.clientX - box.left - 46) / (box.width - 56);
    pause();
    go(axes.from + share * (axes.to - axes.from));
  };
  const release = () => { race.classList.remove("dragged"); paint(); };
  race.addEventListener("pointerdown", (event) => { race.setPointerCapture(event.pointerId); race.classList.add("dragged"); slider.focus({ preventScroll: true, focusVisible: false }); scrub(event); });
  race.addEventListener("pointermove", (event) => { if (race.hasPointerCapture(event.pointerId)) scrub(event); });
  race.addEventListener("pointerup", release);
  race.addEventListener("pointercancel", release);
  panels.forEach(({ canvas }) => canvas.addEventListener("click", () => { slider.focus({ preventScroll: true, focusVisible: false }); toggle(); }));

  const bounds = () => {
    slider.min = String(state.range.from); slider.max = String(state.range.to); slider.step = "any";
  };
  choice("range", bounds);
  new IntersectionObserver((entries) => { state.seen = entries.at(-1).isIntersecting; if (state.seen) paint(); }, { rootMargin: "200px" }).observe(root);
  new ResizeObserver(layout).observe(root.querySelector(".stages"));
  onChange(layout);
  asyncsim.player = { state, go, pause, start, seconds: () => seconds };
  bounds();
  arrange();
  go(opening());
  layout();
})();
