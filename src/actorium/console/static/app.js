// The page: which part of it is shown, who uses it, and the live values that all parts share.
import { html, render, useEffect, useState } from "./vendor/htm-preact.js";
import { get, live, token } from "./api.js";
import { Note, Waiting, go, link } from "./parts.js";
import { Overview } from "./pages/overview.js";
import { AppMap } from "./pages/map.js";
import { Saga, Sagas } from "./pages/sagas.js";
import { Events } from "./pages/events.js";
import { Causes } from "./pages/causes.js";
import { Stream, Streams } from "./pages/streams.js";
import { Submissions } from "./pages/submissions.js";
import { Processors } from "./pages/processors.js";
import { DeadLetters } from "./pages/dead_letters.js";
import { Operators, SettingsInForce } from "./pages/others.js";
import { Case, Cases } from "./pages/cases.js";
import { Nodes } from "./pages/nodes.js";
import { Outlets } from "./pages/outlets.js";
import { Schedules } from "./pages/schedules.js";
import { Services } from "./pages/services.js";

const SAMPLES_KEPT = 300;
const AGAIN_MS = 2000;
const PAGES = {
  overview: ["Overview", Overview, "o"], map: ["Map", AppMap, "m"], sagas: ["Sagas", Sagas, "s"],
  "dead-letters": ["Dead letters", DeadLetters, "d"], processors: ["Processors", Processors, "p"],
  submissions: ["Submissions", Submissions, "u"], schedules: ["Schedules", Schedules, "h"],
  outlets: ["Outlets", Outlets, "l"], services: ["Services", Services, "v"], nodes: ["Nodes", Nodes, "n"],
  cases: ["Corrections", Cases, "r"], events: ["Events", Events, "e"], streams: ["Streams", Streams, "t"],
  operators: ["Operators", Operators, "a"], settings: ["Settings", SettingsInForce, "c"],
};
const DETAILS = { case: [Case, "cases"], saga: [Saga, "sagas"], stream: [Stream, "streams"], causes: [Causes, "events"] };
const OF_THE_RUNTIME = new Set(["map", "processors", "settings", "schedules", "outlets", "services"]);

function place() {
  const [page, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { page: page || "overview", query: Object.fromEntries(new URLSearchParams(query)) };
}

function usePlace() {
  const [now, setNow] = useState(place());
  useEffect(() => {
    const moved = () => { setNow(place()); scrollTo(0, 0); };
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return now;
}

function useTheme() {
  const prefers = matchMedia("(prefers-color-scheme: dark)");
  const [theme, setTheme] = useState(localStorage.getItem("theme") || (prefers.matches ? "dark" : "light"));
  useEffect(() => { document.documentElement.dataset.theme = theme; }, [theme]);
  const toggle = () => {
    const other = theme === "dark" ? "light" : "dark";
    localStorage.setItem("theme", other);
    setTheme(other);
  };
  return [theme, toggle];
}

// The samples of the last minutes; `lost` says why there are no new ones.
function useLive(isOn) {
  const [state, setState] = useState({ samples: [], lost: "" });
  useEffect(() => {
    if (!isOn) return undefined;
    const stop = new AbortController();
    const take = (sample) =>
      setState((before) => ({ samples: [...before.samples.slice(1 - SAMPLES_KEPT), sample], lost: "" }));
    (async () => {
      while (!stop.signal.aborted) {
        await live({}, stop.signal, take).catch((error) => {
          if (!stop.signal.aborted) setState((before) => ({ ...before, lost: error.message }));
        });
        await new Promise((done) => { setTimeout(done, AGAIN_MS); });
      }
    })();
    return () => stop.abort();
  }, [isOn]);
  return state;
}

function useKeys() {
  const [help, setHelp] = useState(false);
  useEffect(() => {
    let begun = false;
    const pressed = (event) => {
      if (event.target.closest("input, textarea, select, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
      const target = begun && Object.entries(PAGES).find(([, one]) => one[2] === event.key);
      if (target) go(target[0]);
      else if (event.key === "/") document.querySelector("main input")?.focus();
      else if (event.key === "?") setHelp((before) => !before);
      else if (event.key === "j" && !event.target.closest("tr")) document.querySelector("main tbody tr[tabindex]")?.focus();
      else if (event.key !== "g") { begun = false; return; }
      begun = event.key === "g" && !target;
      event.preventDefault();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
  return [help, () => setHelp(false)];
}

const Keys = ({ close }) => html`<dialog open onClose=${close}><h2>Keys</h2>
  ${Object.values(PAGES).map(([name, , key]) => html`<div><kbd>g</kbd> <kbd>${key}</kbd> ${name}</div>`)}
  <div><kbd>/</kbd> first field, <kbd>j</kbd> <kbd>k</kbd> rows, <kbd>Enter</kbd> open, <kbd>x</kbd> select</div>
  <div class="row"><button onClick=${close}>Close</button></div></dialog>`;

function Login({ entered }) {
  const [value, setValue] = useState("");
  const enter = (event) => { event.preventDefault(); token.set(value); entered(); };
  return html`<form class="panel login" onSubmit=${enter}><h1>Actorium console</h1>
    <label>Token<input type="password" autocomplete="off" autofocus value=${value}
      onInput=${(event) => setValue(event.target.value)} /></label>
    <p><button class="main">Enter</button></p></form>`;
}

function Shell({ info, leave }) {
  const { page, query } = usePlace();
  const [theme, toggle] = useTheme();
  const { samples, lost } = useLive(true);
  const [help, closeHelp] = useKeys();
  useEffect(() => {
    document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [page]);
  const detail = DETAILS[page];
  const name = detail ? detail[1] : page;
  const Page = detail ? detail[0] : (PAGES[page] || PAGES.overview)[1];
  const isLive = info.source === "runtime";
  const can = info.actions && info.role !== "view";
  const corrects = info.actions && info.role === "correct";
  const latest = samples[samples.length - 1];
  const parked = latest ? latest.processors.reduce((sum, one) => sum + one.parked, 0) : 0;
  const shown = Object.entries(PAGES).filter(([key]) => isLive || !OF_THE_RUNTIME.has(key));
  return html`<div class="shell">
    <nav aria-label="Pages">
      <a class="brand" href="#/overview"><img src="icon.svg" alt="" /><span>Actorium</span></a>
      ${shown.map(([key, [title]]) => html`<a class="item" href=${link(key)} aria-current=${key === name ? "page" : undefined}>
        ${title}${key === "dead-letters" && parked > 0 && html`<span class="count">${parked}</span>`}</a>`)}
      <div class="foot">
        <p>${info.operator} (${info.role}${can ? "" : ", read-only"})</p>
        <p>${info.store}</p><p>Actorium ${info.version}</p>
        <p><button onClick=${toggle}>${theme === "dark" ? "Light" : "Dark"}</button>
        ${token.get() && html` <button onClick=${leave}>Leave</button>`}</p>
      </div>
    </nav>
    <main>
      ${lost && html`<${Note} tone="warn">No live values: ${lost}<//>`}
      <${Page} key=${location.hash} query=${query} can=${can} corrects=${corrects} samples=${samples} latest=${latest} theme=${theme} isLive=${isLive} />
    </main>
    ${help && html`<${Keys} close=${closeHelp} />`}
  </div>`;
}

function App() {
  const [state, setState] = useState({ info: null, error: null });
  const load = () => get("info").then((info) => setState({ info, error: null }), (error) => setState({ info: null, error }));
  useEffect(() => { load(); }, []);
  if (state.info) return html`<${Shell} info=${state.info} leave=${() => { token.set(""); location.reload(); }} />`;
  if (state.error && state.error.status === 401) {
    return html`${token.get() && html`<${Note} tone="bad">${state.error.message}<//>`}<${Login} entered=${load} />`;
  }
  return html`<main><${Waiting} error=${state.error} /></main>`;
}

render(html`<${App} />`, document.body);
