// Schedules: when each fires next, and pause, resume and run now.
import { html, useState } from "../vendor/htm-preact.js";
import { Actions, Table, Time, Waiting, useAnswer } from "../parts.js";

const EVERY_MS = 5000;
const KINDS = [["pause", "Pause", "They fire no more until they are resumed, also after a restart."],
  ["resume", "Resume", "They fire again, from their next time on."],
  ["run-now", "Run now", "Their commands are submitted once more, now."]];

export function Schedules({ can, latest }) {
  const [selected, setSelected] = useState(new Set());
  const [tick, setTick] = useState(0);
  const beat = latest ? Math.floor(Date.parse(latest.at) / EVERY_MS) : 0;
  const { value, error } = useAnswer("schedules", {}, `${tick} ${beat}`);
  if (!value) return html`<h1>Schedules</h1><${Waiting} error=${error} />`;
  const names = [...selected];
  const actions = KINDS.map(([action, title, text]) => ({ title, text: `${text} ${names.join(", ")}`, path: `schedules/${action}`, body: { names } }));
  return html`<h1>Schedules</h1>
    ${selected.size > 0 && html`<${Actions} can=${can} actions=${actions} done=${() => { setSelected(new Set()); setTick(tick + 1); }} />`}
    <section class="panel"><${Table} rows=${value.schedules} keyOf=${(one) => one.name} selected=${can ? selected : undefined}
      select=${setSelected} empty="This application has no schedules." columns=${[
        { name: "name", kind: "short", cell: (one) => html`<b>${one.name}</b>` },
        { name: "when", cell: (one) => html`<code>${one.every}</code> <span class="soft">${one.time_zone}</span>` },
        { name: "next", kind: "time", cell: (one) => (one.paused ? html`<span class="badge warn">paused</span>`
          : one.next_due ? html`<${Time} at=${one.next_due} ago />` : "never") },
        { name: "last", kind: "time", cell: (one) => (one.last_fired ? html`<${Time} at=${one.last_fired} ago />` : "never") },
        { name: "reason or error", cell: (one) => one.reason || (one.error && html`<span class="bad">${one.error}</span>`) },
      ]} /></section>`;
}
