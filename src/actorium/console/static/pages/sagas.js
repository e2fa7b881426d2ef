// Sagas: find them, read what they did, repair those that are stuck.
import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { Actions, Badge, Choice, Field, Json, More, Note, Table, Time, Waiting, duration, go, link, useAnswer, usePages }
  from "../parts.js";

const STATUSES = [["", "any"], ["failed", "failed (stuck)"], ["running", "running"], ["undoing", "compensating"],
  ["undone", "undone"], ["completed", "completed"]];
const IDLE = [["", "any time"], ["60", "a minute ago"], ["3600", "an hour ago"], ["86400", "a day ago"]];
const KINDS = [["retry", "Retry", "Try the current step again."], ["skip", "Skip", "Treat the current step as done."],
  ["complete", "Complete", "End it as completed, even if steps remain."],
  ["compensate", "Compensate", "Undo the steps that were done."]];

const actionsOn = (targets) => KINDS.map(([action, title, text]) => ({
  title, text: `${text} ${targets.length} saga${targets.length === 1 ? "" : "s"}.`, path: `sagas/${action}`, body: { targets },
  disabled: !targets.length, danger: action !== "retry",
}));

export function Sagas({ query, can }) {
  const [wanted, setWanted] = useState({ type: "", status: "", step: "", prefix: "", idle_s: "", ...query });
  const [selected, setSelected] = useState(new Set());
  const [tick, setTick] = useState(0);
  useEffect(() => { setSelected(new Set()); }, [JSON.stringify(wanted)]);
  const set = (name) => (value) => setWanted({ ...wanted, [name]: value });
  const found = usePages("sagas", wanted, (page) => page.sagas,
    (last) => (last.after_id ? { after_type: last.after_type, after_id: last.after_id } : null), tick);
  const keyOf = (one) => JSON.stringify([one.type, one.id]);
  const targets = [...selected].map((key) => { const [type, id] = JSON.parse(key); return { type, id }; });
  return html`<h1>Sagas</h1>
    <div class="row">
      <${Choice} label="Status" value=${wanted.status} set=${set("status")} options=${STATUSES} />
      <${Field} label="Start of the id" value=${wanted.prefix} set=${set("prefix")} />
      <${Field} label="Type" value=${wanted.type} set=${set("type")} />
      <${Field} label="Step" value=${wanted.step} set=${set("step")} />
      <${Choice} label="Last change before" value=${wanted.idle_s} set=${set("idle_s")} options=${IDLE} />
      <button type="button" onClick=${() => setTick(tick + 1)}>Refresh</button>
    </div>
    ${selected.size > 0 && html`<${Actions} can=${can} actions=${actionsOn(targets.slice(0, 100))}
      done=${() => { setSelected(new Set()); setTick(tick + 1); }} />`}
    ${found.error && html`<${Waiting} error=${found.error} />`}
    ${found.isLoaded && html`<section class="panel"><${Table} rows=${found.rows} keyOf=${keyOf}
      selected=${can ? selected : undefined} select=${setSelected}
      open=${(one) => go("saga", { type: one.type, id: one.id })} empty="No such sagas." columns=${[
        { name: "id", cell: (one) => html`<a href=${link("saga", { type: one.type, id: one.id })}>${one.id}</a>` },
        { name: "type", kind: "short", cell: (one) => one.type },
        { name: "status", kind: "short", cell: (one) => html`<${Badge} status=${one.status} saga />` },
        { name: "step", kind: "short", cell: (one) => one.step },
        { name: "changed", kind: "time", cell: (one) => html`<${Time} at=${one.updated_at} ago />` },
        { name: "reason", cell: (one) => one.reason },
      ]} /><${More} load=${found.load} /></section>`}`;
}

const toneOf = (text) =>
  / by an operator: /.test(text) ? "person" : /^stuck|^[^:]*: (failed|command \d+ refused)/.test(text) ? "bad"
    : /: done$|^completed$/.test(text) ? "good" : "";

export function Saga({ query, can, latest }) {
  const [tick, setTick] = useState(0);
  const { value, error } = useAnswer("saga", query, `${tick} ${latest?.position}`);
  if (!value) return html`<h1>Saga ${query.id}</h1><${Waiting} error=${error} />`;
  return html`<div class="row spread"><h1>${value.type} ${value.id}</h1>
      <span aria-live="polite"><${Badge} status=${value.status} saga /></span></div>
    ${value.reason && html`<${Note} tone=${value.status === "failed" ? "bad" : "warn"}>${value.step && html`<b>${value.step}: </b>`}${value.reason}<//>`}
    ${value.status === "failed" && html`<${Actions} can=${can} actions=${actionsOn([{ type: value.type, id: value.id }])}
      done=${() => setTick(tick + 1)} />`}
    <div class="grid">
      <section class="panel"><h2>Timeline</h2>
        ${value.lines_before > 0 && html`<p class="soft">${value.lines_before} older lines are left out.</p>`}
        <ol class="timeline">${value.history.map((line) => html`<li class=${toneOf(line.text)}>
          <div>${line.text}</div><div class="soft"><${Time} at=${line.at} />
          ${line.took_s > 0 && html` · ${duration(line.took_s)}`}${line.attempts > 1 && ` · ${line.attempts} attempts`}</div></li>`)}</ol>
      </section>
      <section class="panel"><h2>Fields</h2><${Json} value=${value.state} />
        <p><a href=${link("stream", { type: value.type, id: value.id })}>Its events</a></p></section>
    </div>`;
}
