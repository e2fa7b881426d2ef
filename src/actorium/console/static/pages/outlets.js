// The ways of events out and in: how far behind they are, and the events that can still be recalled.
import { html, useState } from "../vendor/htm-preact.js";
import { Actions, Badge, More, Table, Time, Waiting, duration, link, number, useAnswer, usePages } from "../parts.js";

export function Outlets({ query, can, latest }) {
  const { value, error } = useAnswer("outlets", {}, latest?.at);
  const [open, setOpen] = useState(query.processor || "");
  if (!value) return html`<h1>Outlets and inboxes</h1><${Waiting} error=${error} />`;
  const holding = value.channels.find((one) => one.processor === open && one.hold_s);
  return html`<h1>Outlets and inboxes</h1>
    <section class="panel"><${Table} rows=${value.channels} keyOf=${(one) => one.processor}
      empty="No outlet, no inbox, and no reaction that holds events." columns=${[
        { name: "name", kind: "short", cell: (one) => html`<b>${one.name}</b>` },
        { name: "kind", kind: "short", cell: (one) => one.kind },
        { name: "state", cell: (one) => html`<${Badge} status=${one.state} />` },
        { name: "events behind", kind: "number", cell: (one) => number(one.lag_events) },
        { name: "time behind", kind: "number", cell: (one) => (one.lag_s ? duration(one.lag_s) : "–") },
        { name: "handled", kind: "number", cell: (one) => number(one.handled) },
        { name: "parked", kind: "number", cell: (one) => (one.parked ? html`<a href=${link("dead-letters", { processor: one.processor })}>
          ${number(one.parked)}</a>` : "0") },
        { name: "holds for", kind: "number", cell: (one) => (one.hold_s ? duration(one.hold_s) : "–") },
        { name: "held", kind: "short", cell: (one) => one.hold_s > 0 && html`<button type="button" aria-pressed=${one.processor === open}
          onClick=${() => setOpen(one.processor === open ? "" : one.processor)}>${one.processor === open ? "Hide" : "Show"}</button>` },
        { name: "events", cell: (one) => html`<code>${one.types.join(", ")}</code>` },
        { name: "error", cell: (one) => one.error },
      ]} /></section>
    ${holding && html`<${Held} key=${open} channel=${holding} can=${can} />`}`;
}

function Held({ channel, can }) {
  const [selected, setSelected] = useState(new Set());
  const [tick, setTick] = useState(0);
  const found = usePages("held", { processor: channel.processor }, (page) => page.events,
    (last) => (last.is_last ? null : { after: last.searched_to }), `${tick} ${channel.lag_events}`);
  const targets = [...selected].slice(0, 100).map((key) => ({ processor: channel.processor, position: Number(key) }));
  const recall = { title: "Recall", path: "outlets/recall", body: { targets }, danger: true,
    text: `${targets.length} events are never handed out by ${channel.name}. They are listed among the discarded dead letters.` };
  return html`<section class="panel"><h2>Held by ${channel.name}</h2>
    ${selected.size > 0 && html`<${Actions} can=${can} actions=${[recall]} done=${() => { setSelected(new Set()); setTick(tick + 1); }} />`}
    ${found.error && html`<${Waiting} error=${found.error} />`}
    <${Table} rows=${found.rows} keyOf=${(one) => String(one.position)} selected=${can ? selected : undefined} select=${setSelected}
      empty="It holds no events." columns=${[
        { name: "position", kind: "number", cell: (one) => number(one.position) },
        { name: "recorded", kind: "time", cell: (one) => html`<${Time} at=${one.recorded_at} ago />` },
        { name: "type", kind: "short", cell: (one) => html`<b>${one.type}</b>` },
        { name: "stream", cell: (one) => html`<a href=${link("stream", { type: one.stream_type, id: one.stream_id })}>
          ${one.stream_type} ${one.stream_id}</a> <span class="soft">v${one.version}</span>` },
      ]} /><${More} load=${found.load} /></section>`;
}
