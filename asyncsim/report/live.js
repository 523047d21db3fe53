"use strict";
// The live page: takes what the server pushes into the page without loading it anew.
//
// What has only words (a table, the sentence) is replaced; charts are given new data and draw it where they stand, zoom and
// all. Only when a part with controls or pictures has changed (a method more, a run that ended) the report is drawn again on
// new elements, with the same choices, open parts and place on the page; not while somebody uses it or the player plays.

(() => {
  const strip = document.querySelector(".live"), store = document.getElementById("data");
  const places = new Map([...document.querySelectorAll("[data-part]")].map((place) => [place.dataset.part, place]));
  const texts = new Map([...places].map(([part, place]) => [part, place.innerHTML]));
  const blob = JSON.parse(store.textContent);
  const waiting = { sections: new Map(), data: {} };
  let drawn = null, drawing = 0, used = -Infinity, listening = [];

  // Listeners of what outlives the elements are taken away before the next drawing.
  const draw = () => {
    const mine = ++drawing, proto = MediaQueryList.prototype, before = proto.addEventListener;
    listening.forEach(([query, ...rest]) => query.removeEventListener(...rest));
    listening = [];
    if (!Object.keys(blob).length) return; // no run has begun
    proto.addEventListener = function (...rest) { listening.push([this, ...rest]); return before.apply(this, rest); };
    try { drawn = window.asyncsimDraw(() => mine === drawing); } finally { proto.addEventListener = before; }
  };

  const PICTURES = "input, select, button, canvas, .chart";
  const hasPictures = (text) => {
    const probe = document.createElement("template");
    probe.innerHTML = text;
    return probe.content.querySelector(PICTURES) !== null;
  };

  ["pointerdown", "pointermove", "wheel", "keydown"].forEach((kind) => document.addEventListener(kind, (event) => {
    if (kind !== "pointermove" || event.buttons) used = performance.now();
  }, { capture: true, passive: true }));
  const busy = () => performance.now() - used < 1500 || document.querySelector("[data-play][aria-pressed=true]") !== null;

  const control = (input) => JSON.stringify([input.name, input.dataset.method || "", input.type === "radio" ? input.value : "", input.dataset]);
  const choices = () => {
    const inputs = new Map([...document.querySelectorAll("[data-part] input")].map((input) => [control(input), input]));
    const open = new Map([...document.querySelectorAll("[data-part] details")].map((part, i) => [`${part.querySelector("summary")?.textContent.replace(/\d+/g, "")} ${i}`, part]));
    return { inputs, open };
  };
  const again = () => {
    const before = choices(), focus = document.activeElement instanceof HTMLInputElement ? control(document.activeElement) : null, { scrollX, scrollY } = window;
    document.querySelectorAll(".js-plotly-plot").forEach((place) => Plotly.purge(place));
    places.forEach((place, part) => { place.innerHTML = texts.get(part); });
    store.textContent = JSON.stringify(blob);
    const after = choices();
    after.inputs.forEach((input, key) => {
      const old = before.inputs.get(key);
      if (old && (input.type === "checkbox" || input.type === "radio")) input.checked = old.checked;
    });
    after.open.forEach((part, key) => { if (before.open.has(key)) part.open = before.open.get(key).open; });
    draw();
    window.scrollTo(scrollX, scrollY);
    if (focus !== null && after.inputs.has(focus)) after.inputs.get(focus).focus({ preventScroll: true });
  };

  let asked = null;
  const take = () => {
    asked = null;
    const pictures = [...waiting.sections].filter(([part, text]) => hasPictures(text) || hasPictures(texts.get(part)));
    if (pictures.length && busy()) { asked = setTimeout(take, 500); return; }
    waiting.sections.forEach((text, part) => texts.set(part, text));
    Object.assign(blob, waiting.data);
    if (pictures.length || drawn === null) again();
    else {
      waiting.sections.forEach((text, part) => { places.get(part).innerHTML = text; });
      if (Object.keys(waiting.data).length) drawn.renew(waiting.data);
    }
    waiting.sections.clear();
    waiting.data = {};
  };

  const events = new EventSource(`/events?since=${strip.dataset.version}`);
  events.onmessage = (event) => {
    for (const [name, value] of Object.entries(JSON.parse(event.data))) {
      if (name === "progress") strip.innerHTML = value;
      else if (name.startsWith("section ")) waiting.sections.set(name.slice(8), value);
      else waiting.data[name.slice(5)] = value;
    }
    strip.dataset.version = event.lastEventId;
    if (asked === null && (waiting.sections.size || Object.keys(waiting.data).length)) take();
  };
  const quiet = (words) => { strip.append(` · ${words}`); };
  events.addEventListener("end", () => { events.close(); quiet("this page no longer changes"); });
  events.onerror = () => { if (events.readyState === EventSource.CLOSED) quiet("the server of this page has ended"); };
  draw();
})();
