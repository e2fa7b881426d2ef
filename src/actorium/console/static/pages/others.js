// What operators did, and the settings in force.
import { html } from "../vendor/htm-preact.js";
import { More, Table, Time, Waiting, link, useAnswer, usePages } from "../parts.js";

export function Operators() {
  const found = usePages("actions", {}, (page) => page.events, (last) => (last.is_last ? null : { before: last.searched_to }));
  if (!found.isLoaded) return html`<h1>Operators</h1><${Waiting} error=${found.error} />`;
  const outcomes = new Map(found.rows.filter((one) => one.type === "operator.action_ended")
    .map((one) => [`${one.stream_id} ${one.payload.acted_version}`, one.payload.error || "done"]));
  const rows = found.rows.filter((one) => one.type === "operator.acted");
  return html`<h1>What operators did</h1><section class="panel"><${Table} rows=${rows} keyOf=${(one) => one.id}
    empty="Nobody has acted yet." columns=${[
      { name: "time", kind: "time", cell: (one) => html`<${Time} at=${one.recorded_at} />` },
      { name: "who", cell: (one) => html`<a href=${link("stream", { type: one.stream_type, id: one.stream_id })}>${one.stream_id}</a>` },
      { name: "action", kind: "short", cell: (one) => one.payload.action },
      { name: "on", cell: (one) => one.payload.targets.join(", ") },
      { name: "reason", cell: (one) => one.payload.reason },
      { name: "outcome", cell: (one) => outcomes.get(`${one.stream_id} ${one.version}`) || "" },
    ]} /><${More} load=${found.load} /></section>`;
}

export function SettingsInForce() {
  const { value, error } = useAnswer("settings");
  if (!value) return html`<h1>Settings</h1><${Waiting} error=${error} />`;
  const rows = [["store", value.store], ...Object.entries(value.settings)];
  return html`<h1>Settings in force</h1><section class="panel"><${Table} rows=${rows} keyOf=${(one) => one[0]} columns=${[
    { name: "setting", cell: (one) => html`<code>${one[0]}</code>` },
    { name: "value", cell: (one) => html`<code>${typeof one[1] === "object" ? JSON.stringify(one[1]) : String(one[1])}</code>` },
  ]} /></section>`;
}
