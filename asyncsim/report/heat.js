"use strict";
// Who delivered when: a heat map a method, worker × slice of time, coloured by the share of the gradients delivered in that slice.
//
// The colour counts shares in equal shares (1/n), on a logarithmic scale that begins at nothing: log(1 + 4ns) / log(1 + 4n). So
// "nothing", "as much as anybody" and "everything" are three different colours whatever n is, the same ones for all methods.

(() => {
  const { page, shown, onChange, colour, number, step } = asyncsim;
  const root = document.querySelector(".heat");
  if (!root) return;
  const data = page.deliveries, tip = root.querySelector(".tip");
  const GUTTER = 40, AXIS = 20, RIGHT = 8;

  const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const scale = () => { // 256 colours between the four of style.css
    const stops = [0, 1, 2, 3].map((i) => rgb(colour(`h${i}`)));
    return Array.from({ length: 256 }, (_, i) => {
      const place = (i / 255) * 3, low = Math.min(2, Math.floor(place)), part = place - low;
      return `rgb(${stops[low].map((value, c) => Math.round(value + part * (stops[low + 1][c] - value))).join(",")})`;
    });
  };
  const level = (share) => Math.log1p(4 * data.n * share) / Math.log1p(4 * data.n);
  const share = (panel, worker, slice) => {
    const total = panel.totals[slice];
    return total > 0 ? panel.counts[slice * panel.workers.length + worker] / total : 0;
  };

  const panels = [...root.querySelectorAll("[data-heat]")].map((canvas) => ({ canvas, label: canvas.dataset.heat, ...data.panels[canvas.dataset.heat] }));

  const paintPanel = (panel, colours) => {
    const { canvas, workers, edges } = panel, unit = window.devicePixelRatio || 1, width = canvas.clientWidth;
    const last = edges[edges.length - 1]; // each has its own scale: this is about change, not about speed
    if (!width) return;
    panel.pitch = Math.max(4, Math.min(16, Math.floor(160 / workers.length)));
    panel.plot = width - GUTTER - RIGHT;
    const tall = workers.length * panel.pitch;
    canvas.style.height = `${tall + AXIS}px`;
    canvas.width = Math.round(width * unit);
    canvas.height = Math.round((tall + AXIS) * unit);
    const pen = canvas.getContext("2d");
    pen.setTransform(unit, 0, 0, unit, 0, 0);
    const at = (time) => GUTTER + (time / last) * panel.plot, snap = (value) => Math.round(value * unit) / unit;
    for (let slice = 0; slice + 1 < edges.length; slice++) {
      const x = snap(at(edges[slice])), next = snap(at(edges[slice + 1]));
      workers.forEach((_, worker) => {
        pen.fillStyle = colours[Math.round(255 * Math.min(1, level(share(panel, worker, slice))))];
        pen.fillRect(x, snap(worker * panel.pitch), next - x, snap((worker + 1) * panel.pitch) - snap(worker * panel.pitch));
      });
    }
    pen.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    pen.fillStyle = colour("muted");
    pen.textAlign = "right"; pen.textBaseline = "middle";
    pen.fillText(String(workers[0]), GUTTER - 6, Math.max(6, panel.pitch / 2));
    if (workers.length > 1) pen.fillText(String(workers[workers.length - 1]), GUTTER - 6, tall - Math.max(5, panel.pitch / 2));
    pen.textBaseline = "top";
    pen.fillText("s", GUTTER - 6, tall + 6);
    const every = step(last, panel.plot, 64);
    pen.textAlign = "center";
    for (let tick = 0; tick * every <= last * (1 + 1e-9); tick++) {
      const text = number(tick * every, 6), x = at(tick * every);
      if (x + pen.measureText(text).width / 2 <= width) pen.fillText(text, x, tall + 6);
    }
  };
  let asked = false;
  const paint = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      const chosen = shown(), colours = scale();
      panels.forEach((panel) => {
        panel.canvas.closest("figure").classList.toggle("hidden", !chosen.includes(panel.label));
        paintPanel(panel, colours);
      });
    });
  };

  const hide = () => { tip.style.display = "none"; };
  panels.forEach((panel) => {
    panel.canvas.addEventListener("pointerleave", hide);
    panel.canvas.addEventListener("pointermove", (event) => {
      const rect = panel.canvas.getBoundingClientRect(), time = ((event.clientX - rect.left - GUTTER) / panel.plot) * panel.edges[panel.edges.length - 1];
      const worker = Math.floor((event.clientY - rect.top) / panel.pitch);
      const slice = panel.edges.findIndex((edge, i) => edge <= time && time < panel.edges[i + 1]);
      if (slice < 0 || worker < 0 || worker >= panel.workers.length) { hide(); return; }
      const count = panel.counts[slice * panel.workers.length + worker], total = panel.totals[slice];
      tip.textContent = "";
      const head = document.createElement("b"), words = document.createElement("div");
      head.textContent = `Worker ${panel.workers[worker]}, ${number(panel.edges[slice])} to ${number(panel.edges[slice + 1])} s`;
      words.textContent = `${count} of the ${total} gradients delivered${total > 0 ? ` (${number((100 * count) / total, 3)} %)` : ""}`;
      tip.append(head, words);
      tip.style.display = "block";
      tip.style.left = `${Math.max(6, Math.min(event.clientX + 14, document.documentElement.clientWidth - tip.offsetWidth - 6))}px`;
      tip.style.top = `${event.clientY + 18 + tip.offsetHeight > window.innerHeight ? event.clientY - tip.offsetHeight - 12 : event.clientY + 18}px`;
    });
  });

  onChange(paint);
  new ResizeObserver(paint).observe(root);
})();
