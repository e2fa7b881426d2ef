// Corrections: cases of wrong events, from what they touched over the plan and its approval to the report.
import { html, useState } from "../vendor/htm-preact.js";
import { Actions, Badge, Choice, Json, More, Note, Table, Time, Waiting, link, number, useAnswer, usePages } from "../parts.js";

const STATUSES = ["open", "planned", "approved", "applying", "applied", "closed", "cancelled"].map((one) => [one, one]);
const NEXT = {
  open: ["plan", "cancel"], planned: ["plan", "dry-run", "approve", "cancel"], approved: ["plan", "apply", "cancel"],
  applying: ["apply"], applied: ["close"], closed: [], cancelled: [],
};
const WORDS = {
  plan: ["Plan", "What is done about each event."],
  "dry-run": ["Dry run", "Try the plan on a copy of the log in memory; nothing is changed."],
  approve: ["Approve", "The plan may be applied; a second person must do this, not the one who opened the case."],
  apply: ["Apply", "Record the corrections, repair the projections, run the reactions again. This cannot be taken back."],
  close: ["Close", "The case is over; outlets and reactions that it held continue."],
  cancel: ["Cancel the case", "Give it up; nothing was applied."],
};

const lines = (text) => text.split(/[\s,]+/).filter(Boolean);
const names = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);

function opening(values) {
  return { id: values.id.trim(), selection: { events: lines(values.events) }, hold: values.hold };
}

function planning(events) {
  return (values) => {
    const right = {};
    for (const event of events) {
      const text = (values[`right ${event}`] || "").trim();
      if (!text) continue;
      try {
        right[event] = JSON.parse(text);
      } catch (error) {
        throw new Error(`${event}: ${error.message}`);
      }
    }
    return { right, skip: names(values.skip || ""), repair: names(values.repair || ""), rerun: names(values.rerun || "") };
  };
}

export function Cases({ corrects }) {
  const [status, setStatus] = useState("");
  const [tick, setTick] = useState(0);
  const found = usePages("cases", { status }, (page) => page.cases, (last) => (last.after ? { after: last.after } : null), tick);
  const open = { title: "Open a case", path: "cases/open", bodyOf: opening, show: () => {},
    text: "For events that should not be in the log as they are. Nothing is changed yet.", fields: [
      { key: "id", label: "Id of the case" },
      { key: "events", label: "Ids of the events, as <type>/<id>/<version>", area: true },
      { key: "hold", label: "hold outlets and reactions until the case is closed", check: true },
    ] };
  return html`<h1>Corrections</h1>
    <div class="row"><${Choice} label="Status" value=${status} set=${setStatus} options=${[["", "any"], ...STATUSES]} /></div>
    <${Actions} can=${corrects} actions=${[open]} done=${() => setTick(tick + 1)} />
    ${found.error && html`<${Waiting} error=${found.error} />`}
    ${found.isLoaded && html`<section class="panel"><${Table} rows=${found.rows} keyOf=${(one) => one.id} empty="No such cases." columns=${[
      { name: "id", kind: "short", cell: (one) => html`<a href=${link("case", { id: one.id })}>${one.id}</a>` },
      { name: "status", cell: (one) => html`<${Badge} status=${one.status} />` },
      { name: "events", kind: "number", cell: (one) => number(one.events) },
      { name: "opened by", cell: (one) => one.opened_by },
      { name: "approved by", cell: (one) => one.approved_by || "–" },
      { name: "reason", cell: (one) => one.reason },
    ]} /><${More} load=${found.load} /></section>`}`;
}

export function Case({ query, corrects }) {
  const [tick, setTick] = useState(0);
  const [tried, setTried] = useState(null);
  const { value: one, error } = useAnswer("case", query, tick);
  if (!one) return html`<h1>${query.id}</h1><${Waiting} error=${error} />`;
  const actions = NEXT[one.status].map((action) => ({ label: WORDS[action][0], title: WORDS[action][0], text: WORDS[action][1],
    path: `cases/${action}`, body: { id: one.id }, danger: action === "apply" || action === "cancel",
    show: (acted) => setTried(acted.differences), ...(action === "plan" ? planForm(one) : {}) }));
  return html`<h1>${one.id} <${Badge} status=${one.status} /></h1>
    <p>Opened by ${one.opened_by}: ${one.reason}${one.approved_by && html`<br />Approved by ${one.approved_by}`}
      ${one.closed_by && html`<br />Ended by ${one.closed_by}`}</p>
    ${one.held.length > 0 && !["closed", "cancelled"].includes(one.status) && html`<${Note} tone="warn">Held until it is closed: ${one.held.join(", ")}<//>`}
    <${Actions} can=${corrects} actions=${actions} done=${() => setTick(tick + 1)} />
    ${tried && html`<section class="panel"><h2>What the plan would change</h2><${Counts} counts=${tried.counts} /></section>`}
    <${Plan} one=${one} dryRun=${tried ? null : one.dry_run} />
    <${Impact} id=${one.id} />
    ${!["open", "planned"].includes(one.status) && html`<${Report} id=${one.id} tick=${tick} />`}`;
}

function planForm(one) {
  return { bodyOf: (values) => ({ id: one.id, ...planning(one.events)(values) }), fields: [
    ...one.events.slice(0, 20).map((event) => ({ key: `right ${event}`, label: `${event}: right fields as JSON, or null if it should not have happened`,
      placeholder: '{"amount": 90}' })),
    { key: "skip", label: "Followers that skip the events, as: outlet bank, projection Balances" },
    { key: "repair", label: "Projections to repair, as: Balances" },
    { key: "rerun", label: "Reactions to run again for the events, as: thank" },
  ] };
}

function Counts({ counts }) {
  const rows = Object.entries(counts).filter(([, count]) => count);
  if (!rows.length) return html`<p class="soft">Nothing.</p>`;
  return html`<div class="pairs">${rows.map(([name, count]) => html`<span>${name}</span><b>${number(count)}</b>`)}</div>`;
}

function Plan({ one, dryRun }) {
  const outcomes = new Map(one.outcomes.map((outcome) => [outcome.event, outcome]));
  const reruns = Object.entries(one.reruns);
  const failed = Object.entries(one.rerun).flatMap(([name, outcomes]) => Object.entries(outcomes).filter(([, why]) => why)
    .map(([event, why]) => ({ name, event, why })));
  const isEmpty = !one.corrections.length && !one.marks.length && !one.repairs.length && !reruns.length;
  return html`<section class="panel"><h2>Plan</h2>
    ${isEmpty && html`<p class="soft">Nothing is planned yet.</p>`}
    ${one.corrections.length > 0 && html`<${Table} rows=${one.corrections} keyOf=${(row) => row.event} columns=${[
      { name: "event", cell: (row) => html`<a href=${link("causes", { event_id: row.event })}><code>${row.event}</code></a>` },
      { name: "instead", cell: (row) => html`<code>${row.command ? `${row.command} ${JSON.stringify(row.fields)}`
        : row.right === null ? "it did not happen" : JSON.stringify(row.right)}</code>` },
      { name: "outcome", cell: (row) => { const outcome = outcomes.get(row.event); if (!outcome) return "–";
        return outcome.error ? html`<span class="bad">${outcome.error}</span>` : `corrected at ${number(outcome.position)}`; } },
    ]} />`}
    ${one.marks.length > 0 && html`<p>${one.marks.map((mark) => html`<code>${mark.follower}</code> skips ${mark.positions.length} events. `)}</p>`}
    ${one.repairs.length > 0 && html`<p>Repairs ${one.repairs.map((name) => html`<code>${name}</code>${one.repaired.includes(name) ? " (done)" : ""} `)}</p>`}
    ${reruns.map(([name, events]) => html`<p><code>${name}</code> runs again for ${number(events.length)} events (${number(Object.keys(one.rerun[name] || {}).length)} done)</p>`)}
    ${failed.map((row) => html`<p class="bad">${row.name}, ${row.event}: ${row.why}</p>`)}
    ${dryRun && html`<h2>Dry run</h2><${Counts} counts=${dryRun} />`}
  </section>`;
}

function Impact({ id }) {
  const { value, error } = useAnswer("case/impact", { id });
  if (!value) return html`<section class="panel"><h2>What the events touched</h2><${Waiting} error=${error} /></section>`;
  return html`<section class="panel"><h2>What the events touched</h2><${Counts} counts=${value.counts} />
    <pre class="lines">${value.tree.join("\n")}</pre>
    ${value.projections.length > 0 && html`<${Table} rows=${value.projections} keyOf=${(row) => row.name} columns=${[
      { name: "projection", cell: (row) => `${row.name} version ${row.version}` },
      { name: "events", kind: "number", cell: (row) => number(row.events) },
      { name: "handled", kind: "number", cell: (row) => number(row.handled) },
      { name: "rows", kind: "number", cell: (row) => number(row.rows) },
    ]} />`}
    ${value.followers.length > 0 && html`<${Table} rows=${value.followers} keyOf=${(row) => `${row.kind} ${row.name}`} columns=${[
      { name: "outside", cell: (row) => `${row.kind} ${row.name}` },
      { name: "events", kind: "number", cell: (row) => number(row.events) },
      { name: "handled", kind: "number", cell: (row) => number(row.handled) },
    ]} />`}
    ${value.services.length > 0 && html`<h2>Other services</h2><${TouchedServices} services=${value.services} />`}</section>`;
}

function TouchedServices({ services }) {
  return services.map((one) => html`<p><b>${one.name}</b>${" "}
    ${one.problem ? html`<span class="bad">did not answer: ${one.problem}</span>` : ""}${" "}
    ${Object.entries(one.counts).map(([kind, count]) => `${number(count)} ${kind}`).join(", ") || (one.problem ? "" : "nothing")}</p>
    ${one.tree.length > 0 && html`<pre class="lines">${one.tree.join("\n")}</pre>`}
    ${one.services.length > 0 && html`<${TouchedServices} services=${one.services} />`}`);
}

function Report({ id, tick }) {
  const { value, error } = useAnswer("case/report", { id }, tick);
  if (!value) return html`<section class="panel"><h2>Report</h2><${Waiting} error=${error} /></section>`;
  return html`<section class="panel"><h2>Report</h2>
    ${Object.entries(value.repaired).map(([name, rows]) => html`<p>${name}: ${rows < 0 ? "rebuilt" : `${number(rows)} rows repaired`}</p>`)}
    <h2>What the corrections touched</h2><${Counts} counts=${value.corrected} />
    <h2>Steps</h2><ol class="timeline">${value.steps.map((step) => html`<li key=${step.position}><b>${step.type.replace("correction.", "")}</b>
      <span class="soft"> <${Time} at=${new Date(step.recorded_us / 1000).toISOString()} /></span>
      <details><summary class="soft">content</summary><${Json} value=${step.content} /></details></li>`)}</ol></section>`;
}
