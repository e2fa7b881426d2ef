// The requests of the page to the console's API. The token is kept for this tab only, and sent in a header: there are no
// cookies, so that no other page can use it.

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.message || "the console did not answer");
    this.status = status;
  }
}

export const token = {
  get: () => sessionStorage.getItem("token") || "",
  set: (value) => (value ? sessionStorage.setItem("token", value) : sessionStorage.removeItem("token")),
};

const headers = (extra = {}) => (token.get() ? { authorization: `Bearer ${token.get()}`, ...extra } : extra);

export function queryOf(values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== "" && one !== null && one !== undefined) query.append(name, one);
    }
  }
  return query.toString();
}

async function answerOf(response) {
  if (response.ok) return response.json();
  throw new Refused(response.status, await response.json().catch(() => ({})));
}

export async function get(path, query = {}) {
  return answerOf(await fetch(`api/${path}?${queryOf(query)}`, { headers: headers() }));
}

export async function post(path, body) {
  const options = { method: "POST", headers: headers({ "content-type": "application/json" }), body: JSON.stringify(body) };
  return answerOf(await fetch(`api/${path}`, options));
}

export async function health() {
  return (await fetch("api/health/ready")).json();
}

// Calls `take` with each live sample until `signal` aborts; throws when the connection ends. An EventSource could not
// send the token.
export async function live(query, signal, take) {
  const response = await fetch(`api/live?${queryOf(query)}`, { headers: headers(), signal });
  if (!response.ok) throw new Refused(response.status, await response.json().catch(() => ({})));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the application has stopped");
    const parts = (waiting + value).split("\n\n");
    waiting = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) take(JSON.parse(part.slice(6)));
  }
}
