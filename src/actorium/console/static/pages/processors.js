// What follows the log: projections, reactions, outlets, sagas and the agenda.
import { html, useState } from "../vendor/htm-preact.js";
import { Actions, Badge, Table, Waiting, duration, link, number, useAnswer } from "../parts.js";

const KINDS = [["pause", "Pause", "No events are delivered until they are resumed, or the application restarts."],
  ["resume", "Resume", "They continue where they stopped."],
  ["reset", "Reset", "They start over from the first event; projections are emptied and rebuilt."]];

export function Processors({ can, latest }) {
  const [selected, setSelected] = useState(new Set());
  const [tick, setTick] = useState(0);
  const { value, error } = useAnswer("processors", {}, `${tick} ${latest?.at}`);
  if (!value) return html`<h1>Processors</h1><${Waiting} error=${error} />`;
  const rates = new Map((latest ? latest.processors : []).map((one) => [one.name, one.handled_per_s]));
  const names = [...selected];
  const actions = KINDS.map(([action, title, text]) => ({ title, text: `${text} ${names.join(", ")}`, path: `processors/${action}`,
    body: { names }, danger: action === "reset" }));
  return html`<h1>Processors</h1>
    ${selected.size > 0 && html`<${Actions} can=${can} actions=${actions} done=${() => { setSelected(new Set()); setTick(tick + 1); }} />`}
    <section class="panel"><${Table} rows=${value.processors} keyOf=${(one) => one.name} selected=${can ? selected : undefined}
      select=${setSelected} columns=${[
        { name: "name", cell: (one) => one.name },
        { name: "kind", cell: (one) => one.kind },
        { name: "state", cell: (one) => html`<${Badge} status=${one.state} />` },
        { name: "position", kind: "number", cell: (one) => number(one.position) },
        { name: "events behind", kind: "number", cell: (one) => number(one.lag_events) },
        { name: "time behind", kind: "number", cell: (one) => (one.lag_s ? duration(one.lag_s) : "–") },
        { name: "per second", kind: "number", cell: (one) => number(rates.get(one.name) || 0, 1) },
        { name: "parked", kind: "number", cell: (one) => (one.parked ? html`<a href=${link("dead-letters", { processor: one.name })}>
          ${number(one.parked)}</a>` : "0") },
        { name: "error", cell: (one) => one.error },
      ]} /></section>`;
}
