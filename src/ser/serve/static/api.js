// REST calls. The token lives in this module's memory alone.

let token = null;
let askToken = async () => null;

/** A request that failed. code : of the server, or `away` where it did not answer. */
export class ApiError extends Error {
  constructor(message, { code = "away", status = 0, requestId = null } = {}) {
    super(message);
    Object.assign(this, { code, status, requestId });
  }

  /** Whether another try may succeed. */
  get isPassing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** asks : is called with why, and resolves with a token. */
export function onUnauthorized(asks) {
  askToken = asks;
}

/** Subprotocols of the WebSocket: browsers can send it no header. */
export const subprotocols = () => ["ser.v1", ...(token ? [`ser.bearer.${token}`] : [])];

async function call(path, options = {}) {
  return (await ask(path, options)).json().catch(() => ({}));
}

/** The response, where it is no error; headers beside the token's may be given. */
async function ask(path, options = {}) {
  for (;;) {
    const sent = token;
    const headers = { ...options.headers, ...(sent ? { Authorization: `Bearer ${sent}` } : {}) };
    let response;
    try {
      response = await fetch(path, { cache: "no-store", ...options, headers });
    } catch {
      throw new ApiError("The server does not answer. Is it running?");
    }
    if (response.status === 401) {
      // Another request may have asked meanwhile.
      if (token === sent) token = await askToken(sent !== null);
      continue;
    }
    if (response.ok) return response;
    const body = await response.json().catch(() => ({}));
    throw new ApiError(body.message ?? body.detail ?? `The server answers ${response.status}.`, {
      code: body.code ?? "http_error",
      status: response.status,
      requestId: body.request_id ?? response.headers.get("x-request-id"),
    });
  }
}

/** The lines of JSON in a response, as they come. */
async function* linesOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch(() => {
      throw new ApiError("The connection to the server was lost.");
    });
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

function form(fields) {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Blob) data.append(name, value, name);
    else if (value !== null && value !== undefined) data.append(name, value);
  }
  return data;
}

export const api = {
  ready: () => call("/health/ready"),
  model: () => call("/v1/model"),
  colours: () => call("/v1/emotions"),
  predict: (file, profile) =>
    call("/v1/predict", { method: "POST", body: form({ file, profile }) }),
  /** The timeline of a long recording. onProgress : with {seconds, of}. */
  async timeline(file, { channels, onProgress, signal }) {
    const response = await ask(`/v1/timeline?channels=${channels}`, {
      method: "POST", body: form({ file }), signal, headers: { Accept: "application/x-ndjson" },
    });
    for await (const line of linesOf(response)) {
      if (line.type === "timeline") return line.timeline;
      if (line.type === "progress") onProgress(line);
      if (line.type === "error") throw new ApiError(line.error.message, { code: line.error.code, status: line.status, requestId: line.error.request_id });
    }
    throw new ApiError("The connection to the server was lost.");
  },
  correct: (fields) => call("/v1/corrections", { method: "POST", body: form(fields) }),
  undo: (requestId) => call(`/v1/corrections/${requestId}`, { method: "DELETE" }),
  enrol(files) {
    const data = new FormData();
    for (const file of files) data.append("clips", file, "clip");
    return call("/v1/enrol", { method: "POST", body: data });
  },
};
