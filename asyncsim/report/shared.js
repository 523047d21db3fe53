"use strict";
// What the page's scripts share: the data, which methods are shown, the colours in force, numbers as text.

const asyncsim = (() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const listeners = [];
  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
  const SYMBOLS = ["circle", "diamond", "square", "triangle-up", "x", "cross", "star", "triangle-down"];

  const boxes = [...document.querySelectorAll("input[data-method]")];
  const shown = () => boxes.filter((box) => box.checked).map((box) => box.dataset.method);
  const changed = () => listeners.forEach((listener) => listener());
  boxes.forEach((box) => box.addEventListener("change", changed));
  document.querySelectorAll("[data-choose]").forEach((button) => button.addEventListener("click", () => {
    const chosen = JSON.parse(button.dataset.choose);
    boxes.forEach((box) => { box.checked = chosen.includes(box.dataset.method); });
    changed();
  }));
  document.querySelectorAll("details.more").forEach((part) => part.addEventListener("toggle", changed));

  // Whoever points at a chip, or comes to it by keyboard, sees that method's lines before the others.
  let pointed = null;
  const point = (label) => {
    if (label === pointed) return;
    pointed = label;
    spotlights.forEach((listener) => listener());
  };
  const spotlights = [];
  if (boxes.length > 1) boxes.forEach((box) => {
    const chip = box.closest(".chip");
    chip.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse" && box.checked) point(box.dataset.method); });
    chip.addEventListener("pointerleave", () => point(null));
    box.addEventListener("focus", () => { if (box.matches(":focus-visible") && box.checked) point(box.dataset.method); });
    box.addEventListener("blur", () => point(null));
    box.addEventListener("change", () => point(null));
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const faint = (hex, alpha) => {
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    return `rgba(${r},${g},${b},${alpha})`;
  };
  const style = (label) => {
    const i = page.styles.indexOf(label);
    return { colour: colour(`m${i % 8}`), dash: DASHES[i % DASHES.length], symbol: SYMBOLS[i % SYMBOLS.length] };
  };
  const number = (value, digits = 4) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (size !== 0 && (size >= 1e6 || size < 1e-3)) return value.toExponential(2).replace("e+", "e").replace(/\.?0+e/, "e");
    return String(Number(value.toPrecision(digits)));
  };
  // The value of a group of radio buttons, and a call when it changes.
  const choice = (name, listener) => {
    const buttons = [...document.querySelectorAll(`input[name="${name}"]`)];
    buttons.forEach((button) => button.addEventListener("change", () => listener(button.value)));
    const chosen = buttons.find((button) => button.checked);
    return chosen ? chosen.value : null;
  };

  // The live page has new data for what stands here already.
  const renew = (fresh) => { Object.assign(page, fresh); changed(); };

  return { page, renew, shown, onChange: (listener) => listeners.push(listener), onPoint: (listener) => spotlights.push(listener), pointed: () => pointed, colour, faint, style, number, choice };
})();
