// The parts that the pages share.
import { html, useCallback, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { get, post, queryOf } from "./api.js";

export const link = (page, query = {}) => {
  const text = queryOf(query);
  return `#/${page}${text ? `?${text}` : ""}`;
};
export const go = (page, query) => { location.hash = link(page, query); };

export const number = (value, digits = 0) =>
  value === undefined || value === null ? "–" : value.toLocaleString("en", { maximumFractionDigits: digits });

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (!seconds) return "0 s";
  if (seconds < 0.001) return `${number(seconds * 1e6)} µs`;
  if (seconds < 1) return `${number(seconds * 1000, 1)} ms`;
  if (seconds < 120) return `${number(seconds, 1)} s`;
  if (seconds < 7200) return `${number(seconds / 60)} min`;
  return seconds < 172800 ? `${number(seconds / 3600)} h` : `${number(seconds / 86400)} d`;
}

export function Time({ at, ago = false }) {
  if (!at) return null;
  const time = new Date(at);
  const text = `${time.toLocaleDateString("sv")} ${time.toLocaleTimeString("sv")}`;
  const age = (Date.now() - time) / 1000;
  const said = age < 0 ? `in ${duration(-age)}` : `${duration(Math.max(age, 1))} ago`;
  return html`<time datetime=${at} title=${ago ? text : said}>${ago ? said : text}</time>`;
}

const TONES = {
  failed: "bad", full: "bad", stopped: "bad", undoing: "warn", paused: "warn", waiting: "busy", running: "busy",
  completed: "good", done: "good", serving: "good", leaving: "warn", lost: "bad", expired: "bad", closed: "good", planned: "busy", approved: "busy",
  applying: "warn", applied: "good", undone: "", cancelled: "", starting: "busy",
};
const WORDS = { failed: "failed (stuck)", undoing: "compensating" };
export const Badge = ({ status, saga = false }) =>
  html`<span class="badge ${TONES[status] || ""}">${(saga && WORDS[status]) || status}</span>`;

export const Json = ({ value }) => html`<pre>${JSON.stringify(value, null, 2)}</pre>`;
export const Note = ({ tone = "", children }) => html`<div class="note ${tone}" role="status">${children}</div>`;

// Loads an answer of the API, again when the query or `tick` changes; the last answer stays until the next one is there.
export function useAnswer(path, query = {}, tick = 0) {
  const [state, setState] = useState({ value: null, error: null });
  const key = `${path}?${queryOf(query)}`;
  useEffect(() => {
    let isCurrent = true;
    get(path, query).then(
      (value) => isCurrent && setState({ value, error: null, key }),
      (error) => isCurrent && setState((before) => ({ ...before, error })),
    );
    return () => { isCurrent = false; };
  }, [key, tick]);
  return state;
}

export const Waiting = ({ error }) =>
  error ? html`<${Note} tone="bad">${error.message}<//>` : html`<p class="soft">Loading…</p>`;

// Loads pages one after another: `more(last)` is the query for the page after `last`, or null.
export function usePages(path, query, rowsOf, more, tick = 0) {
  const [pages, setPages] = useState([]);
  const [error, setError] = useState(null);
  const key = `${path}?${queryOf(query)}`;
  const current = useRef(key);
  current.current = key;
  useEffect(() => {
    get(path, query).then(
      (page) => { if (current.current === key) { setPages([page]); setError(null); } },
      (failed) => { if (current.current === key) setError(failed); },
    );
  }, [key, tick]);
  const last = pages[pages.length - 1];
  const next = last ? more(last) : null;
  const load = useCallback(() => {
    get(path, { ...query, ...next }).then((page) => setPages((before) => [...before, page]), setError);
  }, [key, JSON.stringify(next)]);
  return { rows: pages.flatMap(rowsOf), pages, error, load: next ? load : null, isLoaded: pages.length > 0 };
}

export const More = ({ load, label = "Load more" }) =>
  load ? html`<p><button type="button" onClick=${load}>${label}</button></p>` : null;

// A table; j and k move between its rows and Enter opens one.
export function Table({ columns, rows, keyOf, open, selected, select, empty = "Nothing here." }) {
  const body = useRef(null);
  if (!rows.length) return html`<p class="soft">${empty}</p>`;
  const toggle = (key) => select(selected.has(key) ? without(selected, key) : new Set([...selected, key]));
  const all = selected && rows.every((row) => selected.has(keyOf(row)));
  const onKey = (event, row) => {
    const line = event.currentTarget;
    if (event.key === "Enter" && event.target === line) open(row);
    else if (event.key === "j" || event.key === "ArrowDown") line.nextElementSibling?.focus();
    else if (event.key === "k" || event.key === "ArrowUp") line.previousElementSibling?.focus();
    else if (event.key === "x" && selected) toggle(keyOf(row));
    else return;
    event.preventDefault();
  };
  return html`<div class="scroll"><table class="stacks">
    <thead><tr>
      ${selected && html`<th class="pick"><input type="checkbox" aria-label="all" checked=${all}
        onChange=${() => select(all ? new Set() : new Set(rows.map(keyOf)))} /></th>`}
      ${columns.map((column) => html`<th class=${column.kind || ""}>${column.name}</th>`)}
    </tr></thead>
    <tbody ref=${body}>${rows.map((row) => html`<tr key=${keyOf(row)} tabindex=${open ? 0 : undefined}
      onKeyDown=${open && ((event) => onKey(event, row))} onClick=${open && (() => open(row))}>
      ${selected && html`<td class="pick" onClick=${(event) => event.stopPropagation()}><input type="checkbox"
        aria-label="select ${keyOf(row)}" checked=${selected.has(keyOf(row))} onChange=${() => toggle(keyOf(row))} /></td>`}
      ${columns.map((column) => html`<td class=${column.kind || ""} data-name=${column.name}>${column.cell(row)}</td>`)}
    </tr>`)}</tbody>
  </table></div>`;
}

const without = (set, key) => new Set([...set].filter((one) => one !== key));

export function Field({ label, value, set, list, ...rest }) {
  const id = list && `list-${label.replace(/\W/g, "")}`;
  return html`<label>${label}<input value=${value} list=${id} ...${rest} onInput=${(event) => set(event.target.value)} />
    ${list && html`<datalist id=${id}>${list.map((one) => html`<option value=${one} />`)}</datalist>`}</label>`;
}

export const Choice = ({ label, value, set, options }) => html`<label>${label}
  <select value=${value} onChange=${(event) => set(event.target.value)}>
    ${options.map(([name, said]) => html`<option value=${name} selected=${name === value}>${said}</option>`)}
  </select></label>`;

// Asks for a reason, carries out an action, and says what became of it.
// `fields` are asked for too, and `bodyOf` makes the body of their values.
export function ActionDialog({ title, text, path, body, close, danger = false, show, fields = [], bodyOf }) {
  const dialog = useRef(null);
  const [reason, setReason] = useState("");
  const [values, setValues] = useState(Object.fromEntries(fields.map((one) => [one.key, one.check ? false : ""])));
  const [state, setState] = useState({ busy: false, error: "", report: null });
  useEffect(() => { dialog.current.showModal(); }, []);
  const act = async (event) => {
    event.preventDefault();
    setState({ busy: true, error: "", report: null });
    try {
      const report = await post(path, { ...(bodyOf ? bodyOf(values) : body), reason });
      if (show) { show(report); close(true); return; }
      const failed = report.outcomes.filter((one) => one.error);
      if (!failed.length) { close(true); return; }
      setState({ busy: false, error: "", report });
    } catch (error) {
      setState({ busy: false, error: error.message, report: null });
    }
  };
  const failed = state.report ? state.report.outcomes.filter((one) => one.error) : [];
  return html`<dialog ref=${dialog} onClose=${() => close(Boolean(state.report))} aria-label=${title}>
    <form onSubmit=${act}>
      <h2>${title}</h2>
      ${text && html`<p class="soft">${text}</p>`}
      ${fields.map((one) => html`<${DialogField} key=${one.key} ...${one} value=${values[one.key]}
        set=${(value) => setValues((before) => ({ ...before, [one.key]: value }))} />`)}
      <label>Reason (recorded in the log, with your name)
        <textarea required maxlength="2000" value=${reason} onInput=${(event) => setReason(event.target.value)} autofocus />
      </label>
      ${state.error && html`<${Note} tone="bad">${state.error}<//>`}
      ${failed.length > 0 && html`<${Note} tone="bad">${state.report.outcomes.length - failed.length} done,
        ${" "}${failed.length} not done<ul>${failed.slice(0, 10).map((one) => html`<li>${one.target}: ${one.error}</li>`)}</ul><//>`}
      <div class="row">
        <button type="button" onClick=${() => dialog.current.close()}>Cancel</button>
        <button class="main ${danger ? "danger" : ""}" disabled=${state.busy || !reason.trim()}>${title}</button>
      </div>
    </form></dialog>`;
}

function DialogField({ label, value, set, area = false, check = false, placeholder = "" }) {
  if (check) return html`<label class="check"><input type="checkbox" checked=${value} onChange=${() => set(!value)} />${label}</label>`;
  const onInput = (event) => set(event.target.value);
  return html`<label>${label}${area ? html`<textarea value=${value} onInput=${onInput} />`
    : html`<input value=${value} placeholder=${placeholder} onInput=${onInput} />`}</label>`;
}

// Buttons for actions; `can` says whether the user may act at all.
export function Actions({ can, actions, done }) {
  const [chosen, setChosen] = useState(null);
  if (!can) return null;
  return html`<div class="row">
    ${actions.map((action) => html`<button type="button" class=${action.danger ? "danger" : ""} disabled=${action.disabled}
      onClick=${() => setChosen(action)}>${action.label || action.title}</button>`)}
    ${chosen && html`<${ActionDialog} ...${chosen} close=${(acted) => { setChosen(null); if (acted && done) done(); }} />`}
  </div>`;
}

// An event with its payload; hidden values can be shown for a reason.
export function EventDetail({ event, can }) {
  const [shown, setShown] = useState(null);
  const one = shown || event;
  const show = { title: "Show hidden values", path: "values/event", body: { position: event.position }, show: setShown };
  return html`<div>
    <p class="row">
      <a href=${link("stream", { type: one.stream_type, id: one.stream_id })}>stream</a>
      <a href=${link("causes", { event_id: one.id })}>causes and effects</a>
      <a href=${link("events", { correlation_id: one.correlation_id || one.command_id })}>its flow</a>
    </p>
    <${Json} value=${one.payload} />
    ${one.is_masked && html`<${Actions} can=${can} actions=${[show]} />`}
    <p class="soft">schema version ${one.schema_version}, command <code>${one.command_id || "–"}</code>${one.causation_id &&
      html`, caused by <a href=${link("causes", { event_id: one.causation_id })}><code>${one.causation_id}</code></a>`}</p>
    ${Object.keys(one.headers).length > 0 && html`<${Json} value=${one.headers} />`}
  </div>`;
}

export function Differences({ list }) {
  if (!list.length) return html`<p class="soft">No change of state.</p>`;
  return html`<div class="diff">${list.map((one) => html`<code>${one.path || "(all)"}</code>
    <span><del>${JSON.stringify(one.before)}</del> → <ins>${JSON.stringify(one.after)}</ins></span>`)}</div>`;
}
