// Events that handlers could not handle: read why, retry or discard them.
import { html, useState } from "../vendor/htm-preact.js";
import { Actions, EventDetail, Field, More, Note, Table, Time, Waiting, number, useAnswer, usePages } from "../parts.js";

export function DeadLetters({ query, can, latest }) {
  const [wanted, setWanted] = useState({ processor: "", discarded: false, ...query });
  const [selected, setSelected] = useState(new Set());
  const [open, setOpen] = useState(null);
  const parked = latest ? latest.processors.reduce((sum, one) => sum + one.parked, 0) : 0;
  const [tick, setTick] = useState(0);
  const asked = { processor: wanted.processor, discarded: wanted.discarded ? "true" : "" };
  const found = usePages("dead-letters", asked, (page) => page.dead_letters,
    (last) => (last.after_processor ? { after_position: last.after_position, after_processor: last.after_processor } : null),
    `${tick} ${parked}`);
  const keyOf = (one) => JSON.stringify([one.processor, one.position]);
  const targets = [...selected].slice(0, 100).map((key) => { const [processor, position] = JSON.parse(key); return { processor, position }; });
  const actions = [["retry", "Retry", "Deliver them again, and the events held back behind them."],
    ["discard", "Discard", "Skip them, and deliver the events held back behind them."]].map(([action, title, text]) => ({
    title, text: `${text} ${targets.length} events.`, path: `dead-letters/${action}`, body: { targets }, danger: action === "discard" }));
  const first = found.pages[0];
  return html`<h1>Dead letters</h1>
    <div class="row">
      <${Field} label="Processor" value=${wanted.processor} set=${(value) => setWanted({ ...wanted, processor: value })} placeholder="any" />
      <label class="check"><input type="checkbox" checked=${wanted.discarded}
        onChange=${() => setWanted({ ...wanted, discarded: !wanted.discarded })} />discarded ones</label>
    </div>
    ${selected.size > 0 && html`<${Actions} can=${can} actions=${actions}
      done=${() => { setSelected(new Set()); setOpen(null); setTick(tick + 1); }} />`}
    ${found.error && html`<${Waiting} error=${found.error} />`}
    ${open && html`<${Letter} key=${keyOf(open)} letter=${open} can=${can} close=${() => setOpen(null)} />`}
    ${first && html`<section class="panel"><p class="soft">${number(first.total)} in all</p>
      <${Table} rows=${found.rows} keyOf=${keyOf} open=${setOpen} selected=${can && !wanted.discarded ? selected : undefined}
        select=${setSelected} empty="No dead letters." columns=${[
          { name: "event", cell: (one) => html`<b>${one.event_type}</b>` },
          { name: "stream", cell: (one) => `${one.stream_type} ${one.stream_id} v${one.version}` },
          { name: "processor", cell: (one) => one.processor },
          { name: "parked", kind: "time", cell: (one) => html`<${Time} at=${one.parked_at} ago />` },
          { name: "attempts", kind: "number", cell: (one) => one.attempts },
          { name: wanted.discarded ? "discarded because" : "error", cell: (one) => one.discarded || one.error },
        ]} /><${More} load=${found.load} /></section>`}`;
}

function Letter({ letter, can, close }) {
  const { value, error } = useAnswer("dead-letter", { processor: letter.processor, position: letter.position });
  return html`<section class="panel"><div class="row spread"><h2>${letter.event_type} at position ${number(letter.position)}</h2>
    <button onClick=${close}>Close</button></div>
    <${Note} tone="bad">${letter.error}<//>
    ${value ? html`<pre>${value.traceback}</pre>${value.event && html`<${EventDetail} event=${value.event} can=${can} />`}`
      : html`<${Waiting} error=${error} />`}</section>`;
}
