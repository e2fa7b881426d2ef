// The nodes of a cluster, and the shards and followers that each of them owns.
import { html } from "../vendor/htm-preact.js";
import { Badge, Note, Table, Waiting, number, useAnswer } from "../parts.js";

const EVERY_MS = 2000;
const COLOURS = 8;

export function Nodes({ latest }) {
  const beat = latest ? Math.floor(Date.parse(latest.at) / EVERY_MS) : 0;
  const { value, error } = useAnswer("nodes", {}, beat);
  if (!value) return html`<h1>Nodes</h1><${Waiting} error=${error} />`;
  if (!value.shards.length) {
    return html`<h1>Nodes</h1><${Note}>This log belongs to one process. The nodes of a cluster share a log in PostgreSQL.<//>`;
  }
  const places = new Map(value.nodes.map((one, index) => [one.name, index % COLOURS]));
  return html`<h1>Nodes</h1>
    <section class="panel"><${Table} rows=${value.nodes} keyOf=${(one) => one.number} empty="No node has joined." columns=${[
      { name: "node", kind: "short", cell: (one) => html`<i class="swatch shade-${places.get(one.name)}" /> <b>${one.name}</b>` },
      { name: "number", kind: "number", cell: (one) => one.number },
      { name: "state", cell: (one) => html`<${Badge} status=${one.state} />` },
      { name: "code", cell: (one) => one.code || "–" },
      { name: "shards", kind: "number", cell: (one) => number(one.shards) },
      { name: "followers", cell: (one) => one.followers.join(", ") },
    ]} /></section>
    <section class="panel"><h2>Shards</h2><${Shards} runs=${value.shards} places=${places} /></section>`;
}

function Shards({ runs, places }) {
  const all = runs[runs.length - 1].last + 1;
  return html`<svg class="shards" viewBox="0 0 ${all} 40" preserveAspectRatio="none" role="img" aria-label="Owners of the shards">
      ${runs.map((run) => html`<rect x=${run.first} width=${run.last - run.first + 1} height="40"
        class=${run.node ? `shade-${places.get(run.node)}` : "nobody"}><title>${run.first}–${run.last}: ${run.node || "nobody"}</title></rect>`)}
    </svg><p class="soft">Shards 0 to ${number(all - 1)}${runs.some((run) => !run.node) ? "; the pale ones belong to nobody" : ""}.</p>`;
}
