// The application at a glance: is it ready, what does it do now, what needs a person.
import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { health } from "../api.js";
import { Chart } from "../chart.js";
import { Badge, Note, Table, Waiting, duration, link, number, useAnswer } from "../parts.js";

const rate = (name) => (sample) => sample.rates[name];
const gauge = (name) => (sample) => sample.gauges[name];
const SAGA_WORDS = { failed: "stuck", undoing: "compensating" };

export function Overview({ samples, latest, theme, isLive }) {
  const beat = Math.floor((latest ? Date.parse(latest.at) : 0) / 5000);
  const { value, error } = useAnswer("overview", {}, beat);
  const [ready, setReady] = useState(null);
  useEffect(() => { health().then(setReady, () => setReady(null)); }, [beat]);
  if (!value) return html`<${Waiting} error=${error} />`;
  const processors = latest && latest.processors.length ? latest.processors : value.processors;
  const names = processors.map((one) => one.name).slice(0, 6);
  const lag = (name) => (sample) => sample.processors.find((one) => one.name === name)?.lag_events;
  return html`<h1>Overview</h1>
    ${isLive && ready && (ready.ok ? html`<${Note} tone="good">Ready: the store answers, there is room, and every processor keeps up.<//>`
      : html`<${Note} tone="bad">Not ready<ul>${ready.reasons.map((one) => html`<li>${one}</li>`)}</ul><//>`)}
    ${!isLive && html`<${Note}>This is the log of an application that is not reached: states and actions need it.<//>`}
    <div class="tiles">
      <${Tile} value=${number(latest?.position ?? value.position)} name="events in the log" href=${link("events")} />
      ${isLive && html`
        <${Tile} value=${number(latest?.rates.events, 1)} name="events per second" />
        <${Tile} value=${number(latest?.rates.acknowledged, 1)} name="commands per second" />
        <${Tile} value=${number(latest?.gauges.in_flight)} name="commands in flight" />
        <${Tile} value=${duration(latest?.gauges.expected_wait_s)} name="expected wait" />
        <${Tile} value=${duration(latest?.loop_delay_s)} name="event loop delay" />`}
      ${Object.entries(value.sagas).map(([status, count]) => html`<${Tile} value=${count >= 10000 ? "10,000+" : number(count)}
        name="sagas ${SAGA_WORDS[status] || status}" href=${link("sagas", { status })} />`)}
      <${Tile} value=${number(value.dead_letters)} name="dead letters" href=${link("dead-letters")} />
    </div>
    ${isLive && html`<div class="grid">
      <${Chart} title="Commands per second" samples=${samples} theme=${theme} unit=${(v) => number(v, 1)} lines=${[
        ["acknowledged", rate("acknowledged")], ["rejected", rate("rejected")], ["failed", rate("failed")],
        ["refused (overload)", rate("refused")]]} />
      <${Chart} title="Duration of commits" samples=${samples} theme=${theme} unit=${duration} lines=${[
        ["median", (one) => one.commit_s?.[0]], ["longest", (one) => one.commit_s?.[1]]]} />
      <${Chart} title="Queues" whole samples=${samples} theme=${theme} unit=${(v) => number(v)} lines=${[
        ["in flight", gauge("in_flight")], ["waiting for room", gauge("waiting_for_room")],
        ["actors with mail", gauge("ready_actors")], ["waiting appends", gauge("waiting_appends")]]} />
      <${Chart} title="Events behind, by processor" whole samples=${samples} theme=${theme} unit=${(v) => number(v)}
        lines=${names.map((name) => [name, lag(name)])} />
    </div>
    <section class="panel"><h2>Processors</h2>
      <${Table} rows=${processors} keyOf=${(one) => one.name} columns=${[
        { name: "name", cell: (one) => html`<a href=${link("processors")}>${one.name}</a>` },
        { name: "state", cell: (one) => html`<${Badge} status=${one.state} />` },
        { name: "behind", kind: "number", cell: (one) => number(one.lag_events) },
        { name: "per second", kind: "number", cell: (one) => number(one.handled_per_s, 1) },
        { name: "parked", kind: "number", cell: (one) => number(one.parked) },
      ]} /></section>`}`;
}

const Tile = ({ value, name, href }) =>
  href ? html`<a class="tile" href=${href}><b>${value}</b><span>${name}</span></a>`
    : html`<div class="tile"><b>${value}</b><span>${name}</span></div>`;
