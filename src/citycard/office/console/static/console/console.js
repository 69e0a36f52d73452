// Light by default, and the charts: drawn with the Chart.js that django-unfold serves.
"use strict";

if (localStorage.getItem("adminTheme") === null) {
  localStorage.setItem("adminTheme", '"light"');
}

(() => {
  const PALETTE = ["#14688f", "#e0a030", "#3f9c78", "#b4577a", "#7a6fb0", "#8a9a3c", "#c46a3d", "#5f7f95"];
  const PLUS = "#2f8f6b";
  const MINUS = "#c0504d";
  const WARN = "#d08a2c";
  const yuan = (fen) => (fen / 100).toLocaleString("en-US", { minimumFractionDigits: 2 });
  const count = (n) => n.toLocaleString("en-US");
  const short = (text) => (text.length > 26 ? text.slice(0, 25) + "…" : text);

  function colours(data, index) {
    if (data.signed) return data.series[index].values.map((value) => (value < 0 ? MINUS : PLUS));
    if (data.tone === "warn") return WARN;
    if (data.kind === "doughnut") return PALETTE;
    return PALETTE[index % PALETTE.length];
  }

  function options(data, ink, line) {
    const say = data.unit === "fen" ? yuan : count;
    const plain = { ticks: { color: ink, callback(value) { return short(this.getLabelForValue(value)); } }, grid: { display: false }, stacked: !!data.stacked };
    const measured = {
      ticks: { color: ink, maxTicksLimit: 6, precision: 0, callback: (value) => (data.unit === "fen" ? count(value / 100) : count(value)) },
      grid: { color: line }, border: { display: false }, beginAtZero: true, stacked: !!data.stacked,
    };
    const round = data.kind === "doughnut";
    return {
      animation: false, responsive: true, maintainAspectRatio: false, cutout: "62%",
      indexAxis: data.horizontal ? "y" : "x",
      scales: round ? {} : data.horizontal ? { x: measured, y: plain } : { x: plain, y: measured },
      plugins: {
        legend: { display: !round && data.series.length > 1, position: "bottom", labels: { color: ink, boxWidth: 12, boxHeight: 12 } },
        tooltip: { callbacks: { label: (item) => ` ${item.dataset.label || item.label}: ${say(item.raw)}` } },
      },
    };
  }

  function draw() {
    const dark = document.documentElement.classList.contains("dark");
    const ink = dark ? "#aab4c0" : "#52606d";
    const line = dark ? "#2e3846" : "#e8ecf0";
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    for (const canvas of document.querySelectorAll("canvas[data-chart]")) {
      const data = JSON.parse(document.getElementById(canvas.dataset.chart).textContent);
      const datasets = data.series.map((series, index) => ({
        label: series.label, data: series.values, backgroundColor: colours(data, index),
        borderWidth: 0, borderRadius: data.kind === "doughnut" ? 0 : 3, maxBarThickness: 26,
      }));
      new Chart(canvas, { type: data.kind || "bar", data: { labels: data.labels, datasets }, options: options(data, ink, line) });
    }
  }
  window.addEventListener("load", draw);
})();
