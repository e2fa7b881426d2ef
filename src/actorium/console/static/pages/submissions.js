// Submitted commands, and everything else that is due.
import { html, useState } from "../vendor/htm-preact.js";
import { Actions, Badge, Choice, Field, More, Table, Time, Waiting, link, usePages } from "../parts.js";

const STATUSES = [["waiting", "waiting"], ["", "any"], ["done", "done"], ["failed", "failed"], ["cancelled", "cancelled"]];

export function Submissions({ can }) {
  const [wanted, setWanted] = useState({ status: "waiting", type: "" });
  const [selected, setSelected] = useState(new Set());
  const [tick, setTick] = useState(0);
  const found = usePages("submissions", wanted, (page) => page.submissions, (last) => (last.after ? { after: last.after } : null), tick);
  const set = (name) => (value) => { setSelected(new Set()); setWanted({ ...wanted, [name]: value }); };
  const ids = [...selected].slice(0, 100);
  const actions = [["run-now", "Run now", "Make them due now."], ["cancel", "Cancel", "They will never take effect."]].map(
    ([action, title, text]) => ({ title, text: `${text} ${ids.length} commands.`, path: `submissions/${action}`, body: { ids },
      disabled: !ids.length, danger: action === "cancel" }));
  return html`<h1>Submitted commands</h1>
    <div class="row">
      <${Choice} label="Status" value=${wanted.status} set=${set("status")} options=${STATUSES} />
      <${Field} label="Type of command" value=${wanted.type} set=${set("type")} />
      <button onClick=${() => setTick(tick + 1)}>Refresh</button>
    </div>
    ${selected.size > 0 && html`<${Actions} can=${can} actions=${actions} done=${() => { setSelected(new Set()); setTick(tick + 1); }} />`}
    ${found.error && html`<${Waiting} error=${found.error} />`}
    ${found.isLoaded && html`<section class="panel"><${Table} rows=${found.rows} keyOf=${(one) => one.id}
      selected=${can ? selected : undefined} select=${setSelected} empty="No such commands." columns=${[
        { name: "id", cell: (one) => html`<a href=${link("events", { correlation_id: one.id })}><code>${one.id}</code></a>` },
        { name: "command", cell: (one) => one.type },
        { name: "status", cell: (one) => html`<${Badge} status=${one.status} />` },
        { name: "due", kind: "time", cell: (one) => (one.due_at ? html`<${Time} at=${one.due_at} ago />` : "at once") },
        { name: "submitted", kind: "time", cell: (one) => html`<${Time} at=${one.submitted_at} />` },
        { name: "reason", cell: (one) => one.reason },
      ]} /><${More} load=${found.load} /></section>`}
    <${Timers} tick=${tick} />`;
}

function Timers({ tick }) {
  const found = usePages("timers", { limit: 20 }, (page) => page.timers, (last) => (last.after ? { after: last.after } : null), tick);
  if (!found.isLoaded) return html`<${Waiting} error=${found.error} />`;
  return html`<section class="panel"><h2>What is due</h2><${Table} rows=${found.rows}
    keyOf=${(one) => JSON.stringify([one.owner, one.id, one.key, one.what])} empty="Nothing waits for its time." columns=${[
      { name: "due", kind: "time", cell: (one) => (one.due_at ? html`<${Time} at=${one.due_at} ago />` : "now") },
      { name: "of", cell: (one) => `${one.owner} ${one.id}` },
      { name: "step", cell: (one) => one.key },
      { name: "what", cell: (one) => one.what },
    ]} /><${More} load=${found.load} /></section>`;
}
