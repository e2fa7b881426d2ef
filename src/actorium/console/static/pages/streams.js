// Streams: find one, walk through its history, see its state as it was.
import { html, useState } from "../vendor/htm-preact.js";
import { Actions, Choice, Differences, EventDetail, Field, Json, More, Note, Table, Time, Waiting, go, link, number, useAnswer,
  usePages } from "../parts.js";

export function Streams({ query }) {
  const { value: types } = useAnswer("stream-types");
  const [wanted, setWanted] = useState({ type: "", prefix: "", ...query });
  const type = wanted.type || (types && types.names[0]) || "";
  if (!types) return html`<h1>Streams</h1><${Waiting} />`;
  return html`<h1>Streams</h1>
    <div class="row">
      <${Choice} label="Type" value=${type} set=${(value) => setWanted({ ...wanted, type: value })}
        options=${types.names.map((one) => [one, one])} />
      <${Field} label="Start of the id" value=${wanted.prefix} set=${(value) => setWanted({ ...wanted, prefix: value })} />
    </div>
    ${type ? html`<${Ids} type=${type} prefix=${wanted.prefix} />` : html`<p class="soft">The log is empty.</p>`}`;
}

function Ids({ type, prefix }) {
  const found = usePages("streams", { type, prefix }, (page) => page.ids, (last) => (last.after ? { after: last.after } : null));
  if (!found.isLoaded) return html`<${Waiting} error=${found.error} />`;
  return html`<section class="panel"><${Table} rows=${found.rows} keyOf=${(id) => id} open=${(id) => go("stream", { type, id })}
    empty="No such streams." columns=${[{ name: "id", cell: (id) => html`<a href=${link("stream", { type, id })}>${id}</a>` }]} />
    <${More} load=${found.load} /></section>`;
}

export function Stream({ query, can }) {
  const found = usePages("stream", query, (page) => page.changes, (last) => {
    const oldest = last.changes[last.changes.length - 1];
    return oldest && oldest.event.version > 1 ? { before_version: oldest.event.version } : null;
  });
  const [open, setOpen] = useState(null);
  const first = found.pages[0];
  if (!first) return html`<h1>${query.type} ${query.id}</h1><${Waiting} error=${found.error} />`;
  return html`<h1>${query.type} ${query.id} <span class="soft">at version ${number(first.version)}</span></h1>
    ${first.why_no_states && html`<${Note}>No states: ${first.why_no_states}.<//>`}
    <section class="panel"><ol class="timeline">${found.rows.map((change) => {
      const { event } = change;
      const isOpen = open === event.version;
      return html`<li key=${event.version}>
        <div class="row spread"><button onClick=${() => setOpen(isOpen ? null : event.version)} aria-expanded=${isOpen}>
          v${event.version} <b>${event.type}</b></button><span class="soft"><${Time} at=${event.recorded_at} /></span></div>
        ${!first.why_no_states && html`<${Differences} list=${change.differences} />`}
        ${isOpen && html`<${EventDetail} event=${event} can=${can} />
          ${!first.why_no_states && html`<${StateAt} query=${query} version=${event.version} can=${can} />`}`}
      </li>`; })}</ol><${More} load=${found.load} label="Older events" /></section>`;
}

function StateAt({ query, version, can }) {
  const { value, error } = useAnswer("state", { ...query, version });
  const [shown, setShown] = useState(null);
  if (!value) return html`<${Waiting} error=${error} />`;
  const one = shown || value;
  const show = { title: "Show hidden values", path: "values/state", body: { ...query, version }, show: setShown };
  return html`<h2>State after version ${version}</h2><${Json} value=${one.state} />
    ${one.is_masked && html`<${Actions} can=${can} actions=${[show]} />`}`;
}
