// Other services: what this one uses of them, whether they answer, and whether the contracts fit.
import { html } from "../vendor/htm-preact.js";
import { Note, Table, Waiting, number, useAnswer } from "../parts.js";

const Names = ({ names }) => (names.length ? html`<code>${names.join(", ")}</code>` : html`<span class="soft">nothing</span>`);

function Contract({ peer }) {
  const problems = Object.values(peer.problems);
  if (problems.length) return html`<ul class="problems">${problems.map((one) => html`<li>${one}</li>`)}</ul>`;
  return peer.is_known ? html`<span class="badge good">fits</span>` : html`<span class="badge">not seen</span>`;
}

export function Services({ latest }) {
  const { value, error } = useAnswer("services", {}, latest?.at);
  if (!value) return html`<h1>Services</h1><${Waiting} error=${error} />`;
  if (!value.name) return html`<h1>Services</h1><${Note}>This application is not connected with other services.<//>`;
  return html`<h1>Services</h1>
    ${!value.is_connected && html`<${Note} tone="bad">The bus ${value.bus} is not connected: commands to other services fail.<//>`}
    ${value.problem && html`<${Note} tone="bad">${value.problem}<//>`}
    <section class="panel"><h2>${value.name} <span class="badge ${value.is_connected ? "good" : "bad"}">
        ${value.is_connected ? "connected" : "not connected"}</span></h2>
      <p class="soft">on ${value.bus}; ${number(value.asked)} commands of other services taken, ${number(value.refused)} refused</p>
      <div class="pairs"><span>accepts</span><${Names} names=${value.accepts} /><span>publishes</span><${Names} names=${value.publishes} /></div>
    </section>
    <section class="panel"><h2>It uses</h2><${Table} rows=${value.peers} keyOf=${(one) => one.name} empty="No other service." columns=${[
      { name: "service", kind: "short", cell: (one) => html`<b>${one.name}</b>` },
      { name: "circuit", cell: (one) => html`<span class="badge ${one.circuit === "open" ? "bad" : "good"}">${one.circuit}</span>` },
      { name: "unanswered", kind: "number", cell: (one) => number(one.unanswered) },
      { name: "waiting", kind: "number", cell: (one) => number(one.waiting) },
      { name: "refused", kind: "number", cell: (one) => number(one.refused) },
      { name: "commands", cell: (one) => html`<${Names} names=${one.commands} />` },
      { name: "events", cell: (one) => html`<${Names} names=${one.events} />` },
      { name: "contract", cell: (one) => html`<${Contract} peer=${one} />` },
    ]} /></section>
    <section class="panel"><h2>It is used by</h2><${Table} rows=${value.guests} keyOf=${(one) => one.name}
      empty="No other service has used it since it started." columns=${[
        { name: "service", kind: "short", cell: (one) => html`<b>${one.name}</b>` },
        { name: "in flight", kind: "number", cell: (one) => number(one.in_flight) },
        { name: "contract", cell: (one) => html`<${Contract} peer=${{ problems: one.problems, is_known: true }} />` },
      ]} /></section>`;
}
