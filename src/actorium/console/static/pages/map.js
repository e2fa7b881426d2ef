// The map of the application: aggregates and other services on the left, what follows their events on the right, and what
// flows now.
import { html } from "../vendor/htm-preact.js";
import { Waiting, go, number, useAnswer } from "../parts.js";

const WIDTH = 230, HEIGHT = 46, GAP = 22, COLUMN = 520;

export function AppMap({ latest }) {
  const { value, error } = useAnswer("map");
  if (!value) return html`<h1>Map</h1><${Waiting} error=${error} />`;
  const counts = [0, 0];
  const places = {};
  for (const node of value.nodes) {
    const column = node.kind === "aggregate" || node.kind === "service" ? 0 : 1;
    places[node.name] = { node, x: 10 + column * COLUMN, y: 24 + counts[column]++ * (HEIGHT + GAP) };
  }
  const height = 40 + Math.max(...counts) * (HEIGHT + GAP);
  const flow = latest ? latest.flow : {};
  const rateOf = (edge) => edge.event_types.reduce((sum, type) => sum + (flow[`event ${type}`] || 0), 0);
  const open = { aggregate: (node) => go("streams", { type: node.stream_type }), saga: (node) => go("sagas", { type: node.stream_type }),
    service: () => go("services"), outlet: () => go("outlets") };
  return html`<h1>Map</h1><p class="soft">Events flow along the solid lines, commands of sagas along the dashed ones.
    Numbers are events in the last second.</p>
    <section class="panel scroll"><svg class="map" width=${COLUMN + WIDTH + 20} height=${height} role="img" aria-label="Map">
      ${value.edges.map((edge) => html`<${Edge} key=${`${edge.source} ${edge.target}`} edge=${edge} from=${places[edge.source]}
        to=${places[edge.target]} rate=${rateOf(edge)} />`)}
      ${Object.values(places).map(({ node, x, y }) => html`<g key=${node.name} transform="translate(${x} ${y})"
          onClick=${() => (open[node.kind] || (() => go("processors")))(node)}>
        <title>${[...node.commands, ...node.queries].join(", ")}</title>
        <rect class=${node.kind} width=${WIDTH} height=${HEIGHT} rx="7" />
        <text class="kind" x="12" y="17">${node.kind}${flow[node.stream_type] ? ` · ${number(flow[node.stream_type])}/s` : ""}</text>
        <text x="12" y="35">${node.name}</text></g>`)}
    </svg></section>`;
}

function Edge({ edge, from, to, rate }) {
  const isBack = to.x <= from.x;
  const start = [from.x + (isBack ? 0 : WIDTH), from.y + HEIGHT / 2 + (isBack ? 8 : -4)];
  const end = [to.x + (isBack ? WIDTH : 0), to.y + HEIGHT / 2 + (isBack ? 8 : -4)];
  const bend = Math.max(50, Math.abs(end[0] - start[0]) / 2) * (isBack ? -1 : 1);
  const path = `M${start} C${start[0] + bend},${start[1]} ${end[0] - bend},${end[1]} ${end}`;
  const said = [...edge.event_types, ...edge.commands].join(", ");
  return html`<g><path class="${edge.commands.length ? "commands" : ""} ${rate ? "flows" : ""}" d=${path}><title>${said}</title></path>
    ${rate > 0 && html`<text class="rate" x=${(start[0] + end[0]) / 2} y=${(start[1] + end[1]) / 2 - 4}>${number(rate)}</text>`}</g>`;
}
