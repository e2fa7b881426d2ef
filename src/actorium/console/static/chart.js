// Line charts of the live samples.
import { html, useEffect, useRef } from "./vendor/htm-preact.js";

const COLOURS = {
  light: ["#2158c4", "#16703a", "#b3261e", "#855300", "#6a3fb5", "#00707d"],
  dark: ["#7fb0ff", "#6fd598", "#ff8f85", "#f0bd62", "#c3a2ff", "#5fd0dd"],
};

const WHOLE = [1, 2, 5].flatMap((digit) => [...Array(10).keys()].map((power) => digit * 10 ** power)).sort((a, b) => a - b);

// `whole`: values are numbers of things, so that the axis has no fractions. `lines` are [name, function from a sample to a number or null]; `unit` formats a value.
export function Chart({ title, samples, lines, unit, theme, whole = false }) {
  const place = useRef(null);
  const plot = useRef(null);
  const shape = `${theme} ${lines.map(([name]) => name).join()}`;
  useEffect(() => {
    const style = getComputedStyle(document.documentElement);
    const axis = { stroke: style.getPropertyValue("--soft"), grid: { stroke: style.getPropertyValue("--line"), width: 1 },
      ticks: { show: false }, font: "11px system-ui" };
    const options = {
      width: place.current.clientWidth, height: 170, legend: { show: false }, cursor: { y: false },
      scales: { y: { range: (_, low, high) => [0, whole ? Math.max(high * 1.1, 4) : high * 1.1 || 1] } },
      axes: [{ ...axis, space: 70 }, { ...axis, size: 62, incrs: whole ? WHOLE : undefined, values: (_, values) => values.map(unit) }],
      series: [{}, ...lines.map(([name], index) => ({
        label: name, stroke: COLOURS[theme][index % 6], width: 1.8, points: { show: false } }))],
    };
    plot.current = new uPlot(options, dataOf(samples, lines), place.current);
    const resize = new ResizeObserver(() => plot.current.setSize({ width: place.current.clientWidth, height: 170 }));
    resize.observe(place.current);
    return () => { resize.disconnect(); plot.current.destroy(); };
  }, [shape]);
  useEffect(() => { plot.current?.setData(dataOf(samples, lines)); }, [samples]);
  const last = samples[samples.length - 1];
  return html`<section class="panel"><h2>${title}</h2><div class="chart" ref=${place} role="img" aria-label=${title} />
    <div class="legend">${lines.map(([name, read], index) => html`<span><i style=${{ background: COLOURS[theme][index % 6] }} />
      ${name} <b>${last ? unit(read(last)) : "–"}</b></span>`)}</div></section>`;
}

const dataOf = (samples, lines) => [
  samples.map((one) => Date.parse(one.at) / 1000),
  ...lines.map(([, read]) => samples.map((one) => read(one) ?? null)),
];
