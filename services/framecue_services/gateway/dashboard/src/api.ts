// The gateway over HTTP: JSON in and out, problems as errors that carry what to say. It must not know the page.

import type { EventDetail, Feedback, Annotation, Caption, Event, Page, RulesApplied, RulesInForce, Session, StreamItem, Verdict } from "./wire.ts";
import { segments } from "./router.ts";

/** An answer that is no success, in the gateway's own words. */
export class Problem extends Error {
  constructor(readonly status: number, readonly title: string, readonly detail: string, readonly retryMs: number | null = null) {
    super(detail || title);
  }
}

/** The gateway did not answer at all. */
export class Unreachable extends Error {
  constructor() {
    super("The gateway does not answer. This page tries again by itself.");
  }
}

/** How far the gateway's clock is ahead of the viewer's, in ms, as of the last answer. */
export let skew = 0;

let onUnauthorised: () => void = () => {};

/** Who is told when the session is over. */
export function whenUnauthorised(run: () => void): void {
  onUnauthorised = run;
}

async function ask(path: string, options: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (e) {
    if (options.signal?.aborted) throw e;
    throw new Unreachable();
  }
  const date = Date.parse(response.headers.get("date") ?? "");
  if (date) skew = Math.abs(date - Date.now()) < 2_000 ? 0 : date - Date.now();
  if (response.ok) return response;
  throw await problem(response);
}

async function problem(response: Response): Promise<Problem> {
  const retry = Number(response.headers.get("retry-after"));
  const retryMs = retry > 0 ? retry * 1000 : null;
  if (response.status === 401) onUnauthorised();
  try {
    const told = (await response.json()) as { title?: string; detail?: string };
    return new Problem(response.status, told.title ?? response.statusText, told.detail ?? "", retryMs);
  } catch {
    return new Problem(response.status, response.statusText || `HTTP ${response.status}`, "", retryMs);
  }
}

async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await (await ask(path, signal ? { signal } : {})).json()) as T;
}

async function send<T>(method: string, path: string, body: unknown): Promise<T> {
  const response = await ask(path, { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const text = await response.text();
  return (text ? JSON.parse(text) : null) as T;
}

function query(values: Record<string, string | number | null | undefined>): string {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : "";
}

const of = (stream: string) => `/v1/streams/${encodeURIComponent(stream)}`;

export const api = {
  session: (signal?: AbortSignal) => get<Session>("/v1/session", signal),
  login: (token: string) => send<unknown>("POST", "/v1/session", { token }),
  logout: () => send<unknown>("DELETE", "/v1/session", {}),

  streams: (cursor?: string | null) => get<Page<StreamItem>>(`/v1/streams${query({ limit: 200, cursor })}`),
  latest: (stream: string, signal?: AbortSignal) => get<StreamItem>(`${of(stream)}/latest`, signal),
  timeline: (stream: string, cursor?: string | null, signal?: AbortSignal) => get<Page<Annotation>>(`${of(stream)}/timeline${query({ limit: 300, cursor })}`, signal),
  streamEvents: (stream: string, cursor?: string | null, signal?: AbortSignal) => get<Page<Event>>(`${of(stream)}/events${query({ limit: 300, cursor })}`, signal),
  captions: (stream: string, signal?: AbortSignal) => get<Page<Caption>>(`${of(stream)}/captions${query({ limit: 30 })}`, signal),
  picture: (stream: string, ref: { partition: number; offset: number; index: number }, width: number) => `${of(stream)}/pictures/${ref.partition}/${ref.offset}/${ref.index}?width=${width}`,
  thumbnail: (stream: string, width: number) => `${of(stream)}/thumbnail?width=${width}`,
  say: (stream: string, text: string, language: string) => send<unknown>("POST", `${of(stream)}/text`, language ? { text, language } : { text }),
  missed: (stream: string, told: { rule: string | null; start_ms: number; end_ms: number; note: string | null }) => send<Feedback>("POST", `${of(stream)}/feedback`, { verdict: "missed", ...told }),

  events: (filter: { match?: string; rule?: string; state?: string }, cursor?: string | null, signal?: AbortSignal) => get<Page<Event>>(`/v1/events${query({ ...filter, limit: 200, cursor })}`, signal),
  event: (id: string, signal?: AbortSignal) => get<EventDetail>(`/v1/events/${segments(id)}`, signal),
  judge: (id: string, verdict: Verdict, note: string | null) => send<Feedback>("POST", `/v1/events/${segments(id)}/feedback`, note ? { verdict, note } : { verdict }),

  rules: (signal?: AbortSignal) => get<RulesInForce>("/v1/rules", signal),

  async applyRules(yaml: string): Promise<RulesApplied> {
    const response = await ask("/v1/rules", { method: "PUT", headers: { "content-type": "application/yaml" }, body: yaml });
    return (await response.json()) as RulesApplied;
  },

  /** The bytes of a picture; raises Problem where there is none. */
  async bytes(path: string, signal: AbortSignal): Promise<Blob> {
    return (await ask(path, { signal })).blob();
  },
};

/** What went wrong, in one sentence for the person who looks. */
export function inWords(error: unknown): string {
  if (error instanceof Problem) return error.detail || error.title;
  return error instanceof Error ? error.message : String(error);
}

/** After which time what is passing is tried again. */
export const AGAIN_MS = 3_000;

/** Whether the same may well succeed soon: nobody answered, or the gateway asks for patience. */
export function isPassing(error: unknown): boolean {
  return error instanceof Unreachable || (error instanceof Problem && [429, 502, 503, 504].includes(error.status));
}

/** Whether `error` only says that nobody waits for the answer any more. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
