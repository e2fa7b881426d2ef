// What led to an event, and what it caused.
import { html } from "../vendor/htm-preact.js";
import { EventDetail, Note, Time, Waiting, link, useAnswer } from "../parts.js";

const Line = ({ event, here }) => html`<span class=${here ? "here" : ""}>
  <a href=${link("causes", { event_id: event.id })}>${event.type}</a>
  <span class="soft"> ${event.stream_type} ${event.stream_id} v${event.version} · <${Time} at=${event.recorded_at} /></span></span>`;

function Effects({ of, children }) {
  const found = children.get(of) || [];
  if (!found.length) return null;
  return html`<ul>${found.map((one) => html`<li key=${one.id}><${Line} event=${one} /><${Effects} of=${one.id} children=${children} /></li>`)}</ul>`;
}

export function Causes({ query, can }) {
  const { value, error } = useAnswer("causes", query);
  if (!value) return html`<h1>Causes and effects</h1><${Waiting} error=${error} />`;
  const children = new Map();
  for (const effect of value.effects) children.set(effect.causation_id, [...(children.get(effect.causation_id) || []), effect]);
  const centre = html`<li><${Line} event=${value.event} here /><${Effects} of=${value.event.id} children=${children} /></li>`;
  const tree = value.causes.reduceRight((inner, cause) => html`<li><${Line} event=${cause} /><ul>${inner}</ul></li>`, centre);
  return html`<h1>Causes and effects</h1>
    ${!value.is_complete && html`<${Note} tone="warn">Only the first ${value.effects.length} effects are shown.<//>`}
    ${value.origin && html`<${Note}>The flow came from the service <b>${value.origin.service}</b>: its event <code>${value.origin.id}</code>.<//>`}
    <section class="panel"><ul class="tree">${tree}</ul></section>
    ${value.from_services.length > 0 && html`<section class="panel"><h2>Taken in from other services, in the same flow</h2>
      <ul class="tree">${value.from_services.map((one) => html`<li key=${one.id}><${Line} event=${one} />
        <span class="soft"> because of <code>${one.causation_id}</code></span></li>`)}</ul></section>`}
    <section class="panel"><h2>${value.event.type}</h2><${EventDetail} key=${value.event.id} event=${value.event} can=${can} /></section>`;
}
