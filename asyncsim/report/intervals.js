"use strict";
// Unpacking a window of intervals: differences of ticks become seconds from the window's start, one typed array a column.

(() => {
  const data = asyncsim.page.timeline;

  asyncsim.opened = (packed) => {
    if (!packed) return null;
    const total = packed.outcome.length;
    const at = (column, i) => (typeof column === "number" ? column : column[i]);
    const columns = { sent: new Float64Array(total), from: new Float64Array(total), to: new Float64Array(total), ended: new Float64Array(total),
      outcome: new Uint8Array(total), m: new Float64Array(total), k: new Float64Array(total), delay: new Float64Array(total) };
    const lanes = [];
    let row = 0;
    packed.worker.forEach((worker, lane) => {
      let clock = 0, m = 0, k = 0;
      lanes.push({ worker, first: row, end: row + packed.count[lane] });
      for (const end = row + packed.count[lane]; row < end; row++) {
        clock += at(packed.gap, row); columns.sent[row] = clock * packed.tick;
        clock += at(packed.down, row); columns.from[row] = clock * packed.tick;
        clock += at(packed.compute, row); columns.to[row] = clock * packed.tick;
        clock += at(packed.up, row); columns.ended[row] = clock * packed.tick;
        columns.outcome[row] = packed.outcome.charCodeAt(row) - 48;
        columns.m[row] = m += at(packed.m, row);
        columns.k[row] = k += at(packed.k, row);
        columns.delay[row] = at(packed.delay, row);
      }
    });
    const asked = new Set(packed.worker);
    (packed.lanes || data.workers).filter((worker) => !asked.has(worker)).forEach((worker) => lanes.push({ worker, first: 0, end: 0 }));
    const away = new Map((packed.away || []).map(([worker, ...ticks]) => [worker, ticks.map((tick) => tick * packed.tick)]));
    // [from, to, power, from, to, power, …]
    const powers = new Map((packed.powers || []).map(([worker, ...parts]) => [worker, parts.map((part, i) => (i % 3 === 2 ? part : part * packed.tick))]));
    lanes.forEach((lane) => {
      lane.away = away.get(lane.worker) || [];
      lane.powers = powers.get(lane.worker) || [];
      lane.fastest = lane.powers.reduce((most, power, i) => (i % 3 === 2 ? Math.max(most, power) : most), 0);
    });
    lanes.sort((a, b) => a.worker - b.worker);
    return { ...columns, lanes, merged: Boolean(packed.merged), start: packed.start, span: packed.end - packed.start };
  };

  // What two pictures of the workers have in common: the six outcomes, as classes of style.css and in words.
  asyncsim.OUTCOMES = ["used", "discarded", "stopped", "timed-out", "lost", "in-flight"];
  asyncsim.WORDS = ["used", "discarded", "stopped", "timed out", "lost", "in flight"];

  // 1-2-5 steps of an axis with room for their labels.
  asyncsim.step = (span, room, label = 84) => {
    const least = span / Math.max(1, Math.floor(room / label)), power = 10 ** Math.floor(Math.log10(least));
    return [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= least) || 10 * power;
  };
})();
