// Events: live, or by type, flow and time.
import { html, useState } from "../vendor/htm-preact.js";
import { EventDetail, Field, More, Table, Time, Waiting, link, number, useAnswer, usePages } from "../parts.js";

const COLUMNS = [
  { name: "position", kind: "number", cell: (one) => number(one.position) },
  { name: "recorded", kind: "time", cell: (one) => html`<${Time} at=${one.recorded_at} />` },
  { name: "type", kind: "short", cell: (one) => html`<b>${one.type}</b>` },
  { name: "stream", kind: "short", cell: (one) => html`<a href=${link("stream", { type: one.stream_type, id: one.stream_id })}
    onClick=${(event) => event.stopPropagation()}>${one.stream_type} ${one.stream_id}</a> <span class="soft">v${one.version}</span>` },
  { name: "payload", cell: (one) => html`<code>${JSON.stringify(one.payload).slice(0, 120)}</code>` },
];
const asTime = (local) => (local ? new Date(local).toISOString() : "");

export function Events({ query, can, samples }) {
  const [wanted, setWanted] = useState({ types: "", correlation_id: "", since: "", until: "", ...query });
  const [isLive, setLive] = useState(false);
  const [open, setOpen] = useState(null);
  const { value: types } = useAnswer("event-types");
  const set = (name) => (value) => setWanted({ ...wanted, [name]: value });
  const asked = { ...wanted, types: wanted.types.split(/\s*,\s*/), since: asTime(wanted.since), until: asTime(wanted.until) };
  const found = usePages("events", asked, (page) => page.events,
    (last) => (last.is_last ? null : wanted.correlation_id ? { after: last.searched_to } : { before: last.searched_to }));
  const names = asked.types.filter(Boolean);
  const newest = samples.slice(-30).flatMap((one) => one.events).reverse()
    .filter((one) => (!names.length || names.includes(one.type))
      && (!wanted.correlation_id || [one.correlation_id, one.command_id].includes(wanted.correlation_id))).slice(0, 100);
  const leftOut = samples.slice(-30).reduce((sum, one) => sum + one.events_left_out, 0);
  const rows = isLive ? newest : found.rows;
  const last = found.pages[found.pages.length - 1];
  return html`<h1>Events</h1>
    <div class="row">
      <${Field} label="Types" value=${wanted.types} set=${set("types")} list=${types ? types.names : []} placeholder="any" />
      <${Field} label="Flow (correlation id)" value=${wanted.correlation_id} set=${set("correlation_id")} />
      <${Field} label="Since" type="datetime-local" value=${wanted.since} set=${set("since")} />
      <${Field} label="Until" type="datetime-local" value=${wanted.until} set=${set("until")} />
      <label class="check"><input type="checkbox" checked=${isLive} onChange=${() => setLive(!isLive)} />live</label>
    </div>
    ${isLive && leftOut > 0 && html`<p class="soft">${number(leftOut)} events of the last 30 seconds are not shown: they came too fast.</p>`}
    ${found.error && html`<${Waiting} error=${found.error} />`}
    ${open && html`<section class="panel"><div class="row spread"><h2>${open.type} at position ${number(open.position)}</h2>
      <button onClick=${() => setOpen(null)}>Close</button></div><${EventDetail} key=${open.position} event=${open} can=${can} /></section>`}
    <section class="panel"><${Table} rows=${rows} keyOf=${(one) => one.id + one.position} columns=${COLUMNS} open=${setOpen}
      empty=${isLive ? "Waiting for events…" : found.isLoaded ? "No such events here." : "Loading…"} />
      ${!isLive && html`<${More} load=${found.load} label=${rows.length || !last ? "Older events"
        : `Searched down to ${number(last.searched_to)}; search on`} />`}</section>`;
}
