"use strict";
// Draws the charts that the page describes, in the colours of its theme. Everything it needs stands in the page.

const charts = JSON.parse(document.getElementById("charts").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

const digits = (value) => {
  const size = Math.abs(value);
  const places = size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return String(Number(value.toFixed(places)));
};
const scaled = (value, steps) => {
  const [size, unit] = steps.find(([size]) => Math.abs(value) >= size) || steps[steps.length - 1];
  return digits(value / size) + unit;
};
const units = {
  count: (value) => scaled(value, [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]]),
  rate: (value) => units.count(value) + "/s",
  time: (value) => scaled(value, [[1e6, " s"], [1e3, " ms"], [1, " us"]]),
  bytes: (value) => scaled(value, [[2 ** 30, " GiB"], [2 ** 20, " MiB"], [2 ** 10, " KiB"], [1, " B"]]),
  cores: (value) => digits(value),
};
// Sizes are read in powers of two, so the axis steps in them.
const steps = {
  bytes: Array.from({ length: 45 }, (_, n) => 2 ** n),
  clock: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400],
};
const clock = (seconds) => {
  const whole = Math.round(seconds);
  const pad = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  return minutes >= 60
    ? Math.floor(minutes / 60) + ":" + pad(minutes % 60) + ":" + pad(whole % 60)
    : minutes + ":" + pad(whole % 60);
};
// The curve's x is 1 / (1 - quantile): every step of its log axis is one nine more.
const percentile = (x) => {
  const nines = Math.round(Math.log10(x));
  return Number((100 - 100 / x).toFixed(Math.max(0, nines))) + "%";
};

// Each series on top of those before it, hidden ones left out.
const stacked = (rows, shown) => {
  const sum = new Array(rows[0].length).fill(0);
  return rows.map((row, n) => row.map((value, i) => (sum[i] += shown(n) ? value || 0 : 0)));
};

// Faults: a line where one begins, a shade for as long as it lasts, and its name.
const marks = (chart) => ({
  hooks: {
    drawClear: (u) => {
      const { ctx, bbox } = u;
      ctx.save();
      ctx.fillStyle = colour("mark-back");
      for (const mark of chart.marks) {
        if (mark.to === null) continue;
        const from = Math.max(u.valToPos(mark.at, "x", true), bbox.left);
        const to = Math.min(u.valToPos(mark.to, "x", true), bbox.left + bbox.width);
        if (to > from) ctx.fillRect(from, bbox.top, to - from, bbox.height);
      }
      ctx.restore();
    },
    draw: (u) => {
      const { ctx, bbox } = u;
      const ratio = devicePixelRatio;
      ctx.save();
      ctx.font = 11 * ratio + "px system-ui, sans-serif";
      ctx.textBaseline = "top";
      ctx.textAlign = "left";
      const ends = [];
      for (const mark of chart.marks) {
        const x = u.valToPos(mark.at, "x", true);
        if (x < bbox.left || x > bbox.left + bbox.width) continue;
        ctx.strokeStyle = ctx.fillStyle = colour(mark.fault ? "mark" : "quiet");
        ctx.lineWidth = ratio;
        ctx.setLineDash([4 * ratio, 3 * ratio]);
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
        // To the left of the line where there is no room to the right; a line lower where another name stands.
        const width = ctx.measureText(mark.label).width;
        const left = x + width + 6 * ratio > bbox.left + bbox.width ? x - width - 4 * ratio : x + 4 * ratio;
        let row = 0;
        while (ends[row] !== undefined && ends[row] > left) row += 1;
        ends[row] = left + width + 6 * ratio;
        ctx.fillText(mark.label, left, bbox.top + (2 + row * 13) * ratio);
      }
      ctx.restore();
    },
  },
});

const HEIGHT = 250;
const sync = uPlot.sync("time");

const draw = (chart) => {
  const place = document.getElementById("chart-" + chart.id);
  place.textContent = "";
  const overTime = chart.x === "time";
  const unit = units[chart.unit];
  const rows = chart.series.map((series) => series.data);
  const shown = chart.series.map((series) => series.shown);
  const values = () => [chart.xs, ...(chart.stacked ? stacked(rows, (n) => shown[n]) : rows)];
  const axis = { stroke: colour("quiet"), grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  const longest = (self, labels) => Math.max(0, ...(labels || []).map((label) => (label || "").length)) * 7 + 12;
  const series = chart.series.map((series, n) => ({
    label: series.label,
    show: series.shown,
    stroke: colour(series.colour),
    width: series.dash ? 1.5 : 2,
    dash: series.dash ? [6, 4] : undefined,
    fill: chart.stacked ? colour(series.colour) + "55" : undefined,
    points: { show: false },
    spanGaps: false,
    value: (self, value, index, at) => (at === null || rows[n][at] === null ? "–" : unit(rows[n][at])),
  }));
  const options = {
    width: place.clientWidth,
    height: HEIGHT,
    legend: { live: true },
    cursor: { y: false, sync: overTime ? { key: sync.key } : undefined, points: { size: 7 } },
    scales: {
      x: overTime ? { time: false } : { time: false, distr: 3, log: 10 },
      y: chart.log ? { distr: 3, log: 10 } : { range: (self, min, max) => [0, max > 0 ? max * 1.08 : 1] },
    },
    axes: [
      { ...axis, size: 26, incrs: overTime ? steps.clock : undefined, values: (self, splits) => splits.map((x) => (x === null ? "" : overTime ? clock(x) : percentile(x))) },
      { ...axis, size: longest, incrs: steps[chart.unit], values: (self, splits) => splits.map((y) => (y === null ? "" : unit(y))) },
    ],
    series: [
      { label: overTime ? "at" : "percentile", value: (self, x) => (x === null ? "–" : overTime ? clock(x) : percentile(x)) },
      ...series,
    ],
    bands: chart.stacked ? chart.series.slice(1).map((_, n) => ({ series: [n + 2, n + 1] })) : [],
    plugins: overTime ? [marks(chart)] : [],
    hooks: {
      setSeries: [
        (u, n, change) => {
          if (!chart.stacked || n === null || change.show === undefined) return;
          shown[n - 1] = change.show;
          u.setData(values());
        },
      ],
    },
  };
  const plot = new uPlot(options, values(), place);
  return { plot, place };
};

let drawn = [];
const drawAll = () => {
  drawn.forEach(({ plot }) => plot.destroy());
  drawn = charts.map(draw);
  document.documentElement.dataset.drawn = drawn.length;
};
const resize = new ResizeObserver(() => {
  for (const { plot, place } of drawn) {
    if (place.clientWidth !== plot.width) plot.setSize({ width: place.clientWidth, height: HEIGHT });
  }
});
drawAll();
drawn.forEach(({ place }) => resize.observe(place));
dark.addEventListener("change", drawAll);
