// The server's JSON, and its problem details as errors that can be shown.
export class ApiError extends Error {
  constructor(problem) {
    super(problem.detail ?? problem.title);
    this.title = problem.title;
    this.reason = problem.reason;
    this.status = problem.status;
  }
}

export async function getJson(path, signal) {
  let response;
  try {
    response = await fetch(path, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError({ title: "The server does not answer", detail: `${path}: ${error.message}`, reason: "offline", status: 0 });
  }
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({ title: response.statusText, status: response.status }));
  throw new ApiError(problem);
}

/** Asks again while the server does not answer or says that it cannot yet. */
export async function untilAnswered(ask, signal) {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (signal.aborted || (error.status !== 503 && error.status !== 0)) throw error;
      await new Promise((done) => setTimeout(done, 2_000));
    }
  }
}

/** The problem that the body of an answer tells of; null if it is none. */
export function problemIn(body) {
  try {
    return JSON.parse(typeof body === "string" ? body : new TextDecoder().decode(body));
  } catch {
    return null;
  }
}

/** What the server says is wrong with an address; null if nothing is. */
export async function problemAt(url, signal) {
  try {
    const response = await fetch(url, { signal });
    if (response.ok) {
      response.body?.cancel();
      return null;
    }
    return new ApiError(await response.json());
  } catch {
    return null;
  }
}

export const shows = (search, signal) =>
  getJson("/api/v1/shows" + (search ? `?search=${encodeURIComponent(search)}` : ""), signal);
export const show = (id, signal) => getJson(`/api/v1/shows/${encodeURIComponent(id)}`, signal);
/** Every torrent; none where the server has no part in that. */
export const torrents = (signal) => getJson("/api/v1/torrents", signal).catch((error) => {
  if (error.status === 404) return [];
  throw error;
});
export const torrent = (hash, signal) => getJson(`/api/v1/torrents/${encodeURIComponent(hash)}`, signal);
export const videoBase = (id) => `/api/v1/video/${encodeURIComponent(id)}`;
export const video = (id, codecs, signal) => getJson(`${videoBase(id)}?codecs=${encodeURIComponent(codecs)}`, signal);
