// Results for tests, complete as the gateway sends them; a test says only what matters to it.

import type { Annotation, Caption, Event, EventRule, TextState } from "../src/wire.ts";

export function annotation(start_ms: number, given: Partial<Annotation> & { said?: string; state?: TextState } = {}): Annotation {
  const { said, state, ...rest } = given;
  const stream = rest.stream ?? "cam1";
  const epoch = rest.epoch ?? 0;
  const cues = said ? [{ start_ms, end_ms: start_ms + 1000, text: said, language: null, source: "live", lag_ms: 3000 }] : [];
  return {
    schema: "framecue.annotation/1", id: `${stream}/${epoch}/${start_ms}+2000`, revision: 1, stream, epoch, start_ms, end_ms: start_ms + 2000,
    wall_at: null, published_at: "2026-11-24T12:00:00Z", settled_until_ms: 0, scene: { label: "kitchen", score: 0.8, runners_up: [], matched: [] },
    rules: [], text: { state: state ?? (said ? "present" : "none"), cues, lag_ms: said ? 3000 : null, confidence: null }, frames: [], degraded: null,
    model: "light", space: "light", calibrated: true, ...rest,
  };
}

export function event(start_ms: number, given: Partial<Event> = {}): Event {
  const stream = given.stream ?? "cam1";
  const rule = given.rule ?? "goal";
  const epoch = given.epoch ?? 0;
  return {
    schema: "framecue.event/1", id: `${stream}/${epoch}/${rule}/${start_ms}`, sequence: 1, phase: "started", stream, epoch, rule, start_ms, end_ms: null,
    reason: null, peak: 0.9, message: null, evidence: { frames: [], cues: [], picture: 0.9, text: null }, wall_at: null,
    published_at: "2026-11-24T12:00:00Z", model: "light", space: "light", ...given,
  };
}

export function ended(before: Event, end_ms: number): Event {
  return { ...before, sequence: before.sequence + 1, phase: "ended", end_ms, reason: "score" };
}

export function caption(start_ms: number, text: string): Caption {
  return {
    schema: "framecue.caption/1", id: `cam1/0/${start_ms}+2000`, stream: "cam1", epoch: 0, start_ms, end_ms: start_ms + 2000, status: "made", reason: null,
    text, style: "description", model: "light", named: [], frames: [], cues: [], published_at: "2026-11-24T12:00:00Z",
  };
}

export function rule(given: Partial<EventRule>): EventRule {
  return {
    name: "goal", streams: "*", picture: [], text: [], not: [], combine: "either", weights: null, tolerance_ms: 4000, when: "settled", enter: 0.6, exit: 0.4,
    for_ms: 0, cooldown_ms: 0, ...given,
  };
}
