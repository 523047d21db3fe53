"use strict";
// A film is one method's run as the player needs it: lanes of intervals in absolute seconds, all kept windows together, and
// what stood in the record at any moment. Nothing here paints.

(() => {
  const { page } = asyncsim;

  // The first index whose value is greater than x, in an ascending array.
  const after = (values, x, low = 0, high = values.length) => {
    while (low < high) { const middle = (low + high) >> 1; if (values[middle] <= x) low = middle + 1; else high = middle; }
    return low;
  };

  // One list of intervals a worker. Windows may overlap, and what was cut off by the end of one is whole in the next: of
  // several with one m, the last counts unless it is the one that was cut off.
  const lanesOf = (views) => {
    const byWorker = new Map();
    for (const view of views) {
      for (const lane of view.lanes) {
        if (!byWorker.has(lane.worker)) byWorker.set(lane.worker, { rows: new Map(), away: [] });
        const { rows, away } = byWorker.get(lane.worker);
        for (let row = lane.first; row < lane.end; row++) {
          if (view.outcome[row] === 5 && rows.has(view.m[row])) continue;
          rows.set(view.m[row], { sent: view.start + view.sent[row], from: view.start + view.from[row], to: view.start + view.to[row],
            ended: view.start + view.ended[row], outcome: view.outcome[row], m: view.m[row], k: view.k[row], delay: view.delay[row] });
        }
        for (const moment of lane.away) away.push(view.start + moment);
      }
    }
    return [...byWorker].sort(([a], [b]) => a - b).map(([worker, { rows, away }]) => {
      const sorted = [...rows.values()].sort((a, b) => a.ended - b.ended || a.sent - b.sent);
      const column = (name) => Float64Array.from(sorted, (row) => row[name]);
      return { worker, away, count: sorted.length, sent: column("sent"), from: column("from"), to: column("to"), ended: column("ended"),
        outcome: Uint8Array.from(sorted, (row) => row.outcome), m: column("m"), k: column("k"), delay: column("delay") };
    });
  };

  // The moments at which k is known, and k there. Each arrival knows k before the step it causes. Where all workers are
  // shown nothing else can cause one, so the step to the k of the next arrival was made at this one.
  const iterations = (lanes, run, everybody) => {
    const known = lanes.flatMap((lane) => Array.from(lane.ended, (time, i) => [time, lane.k[i]])).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const knots = everybody ? known.map(([time], i) => [time, i + 1 < known.length ? known[i + 1][1] : known[i][1]]) : known;
    run.t.forEach((time, i) => { if (run.k[i] !== null) knots.push([time, run.k[i]]); });
    knots.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const times = new Float64Array(knots.length), values = new Float64Array(knots.length);
    let most = 0;
    knots.forEach(([time, k], i) => { times[i] = time; values[i] = most = Math.max(most, k); });
    return (now) => { const i = after(times, now); return i ? values[i - 1] : 0; };
  };

  // A column of the record at a moment: between two points in the logarithm where that exists, as the page's curves are.
  const column = (t, values, smooth) => (now) => {
    const right = after(t, now), left = right - 1;
    if (left < 0) return null;
    const a = values[left], b = right < t.length ? values[right] : null;
    if (a === null || b === null || right >= t.length) return a;
    const share = (now - t[left]) / (t[right] - t[left]);
    if (!smooth) return a + (b - a) * share;
    return a > 0 && b > 0 ? Math.exp((1 - share) * Math.log(a) + share * Math.log(b)) : a;
  };

  asyncsim.film = (label) => {
    const { seed, runs } = page.player, run = runs[label];
    const all = (page.timeline.panels[label][seed] || []).map(asyncsim.opened);
    // where everything was kept as it was, that is the film; of its workers those that are shown elsewhere too
    const views = all[3] && !all[3].merged ? [all[3]] : all.slice(0, 3).filter(Boolean);
    const some = new Set(page.timeline.workers);
    const lanes = lanesOf(views).filter((lane) => !some.size || some.has(lane.worker));
    const counts = Object.fromEntries(["used", "discarded", "stopped"].map((key) => [key, column(run.t, run[key], false)]));
    const arrivals = lanes.flatMap((lane) => Array.from(lane.ended, (time, i) => [time, lane.outcome[i], lane.delay[i]]))
      .filter(([, outcome]) => outcome < 2).sort((a, b) => a[0] - b[0]);
    const times = Float64Array.from(arrivals, ([time]) => time);
    return {
      label, lanes, run,
      kept: views.map((view) => [view.start, view.start + view.span]),
      isKept(now) { return this.kept.some(([start, end]) => start <= now && now <= end * (1 + 1e-9)); },
      k: iterations(lanes, run, lanes.length === run.n),
      value: (key) => column(run.t, run.q[key] || [], true),
      count: (key, now) => counts[key](now),
      lastArrival: (now) => { const i = after(times, now); return i ? { time: times[i - 1], outcome: arrivals[i - 1][1], delay: arrivals[i - 1][2] } : null; },
      // the next (or previous) moment at which something arrived at the server
      neighbour: (now, forward) => {
        if (forward) return times[after(times, now * (1 + 1e-12) + 1e-12)] ?? null;
        let i = after(times, now) - 1;
        while (i >= 0 && times[i] >= now * (1 - 1e-12) - 1e-12) i--;
        return i >= 0 ? times[i] : null;
      },
    };
  };
  asyncsim.after = after;
})();
