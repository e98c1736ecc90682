// The past of the one stream that is open: annotations, events and captions by id, bounded. Pure: state in, state out.

import { order } from "./merging.ts";
import type { Annotation, Caption, Event, Result } from "./wire.ts";

/** An hour of 2 s windows. */
export const ANNOTATIONS_MAX = 1_800;
export const EVENTS_MAX = 1_000;
export const CAPTIONS_MAX = 300;

export interface History {
  /** In the order of media time, each in its newest revision. */
  readonly annotations: readonly Annotation[];
  /** By first start, each in its newest state; retracted ones are kept, to be shown as such. */
  readonly events: readonly Event[];
  readonly captions: readonly Caption[];
}

export const NO_HISTORY: History = { annotations: [], events: [], captions: [] };

/** `history` with `results` in it; the same object where they change nothing. Oldest ones leave where it is full. */
export function extend(history: History, results: readonly Result[]): History {
  const annotations = merged(history.annotations, results.filter((r) => r.schema === "framecue.annotation/1"), (r) => r.revision, ANNOTATIONS_MAX);
  const events = merged(history.events, results.filter((r) => r.schema === "framecue.event/1"), (r) => r.sequence, EVENTS_MAX);
  const captions = merged(history.captions, results.filter((r) => r.schema === "framecue.caption/1" && r.status === "made"), () => 1, CAPTIONS_MAX);
  if (annotations === history.annotations && events === history.events && captions === history.captions) return history;
  return { annotations, events, captions };
}

function merged<T extends { id: string; epoch: number; start_ms: number }>(
  held: readonly T[], news: readonly Result[], version: (item: T) => number, most: number,
): readonly T[] {
  if (!news.length) return held;
  const byId = new Map(held.map((item) => [item.id, item]));
  let changed = false;
  for (const item of news as unknown as readonly T[]) {
    const before = byId.get(item.id);
    if (before && version(before) >= version(item)) continue;
    byId.set(item.id, item);
    changed = true;
  }
  if (!changed) return held;
  return [...byId.values()].sort((a, b) => order(a, b) || (a.id < b.id ? -1 : 1)).slice(-most);
}

/** Text before this media time of `epoch` is final. */
export function settledUntil(annotations: readonly Annotation[], epoch: number): number {
  let until = -Infinity;
  for (const one of annotations) if (one.epoch === epoch && one.settled_until_ms > until) until = one.settled_until_ms;
  // A run that was followed by another is closed, and all of it is final.
  const last = annotations.at(-1);
  return last && last.epoch > epoch ? Infinity : until;
}

/** The runs of the stream that something is known of, newest first. */
export function epochs(history: History): number[] {
  return [...new Set(history.annotations.map((one) => one.epoch))].sort((a, b) => b - a);
}

/** Lines as they were joined, each once, in the order of their starts. */
export function lines(annotations: readonly Annotation[]): { key: string; start_ms: number; end_ms: number; text: string; lag_ms: number; source: string; window: Annotation }[] {
  const found = new Map<string, { key: string; start_ms: number; end_ms: number; text: string; lag_ms: number; source: string; window: Annotation }>();
  for (const window of annotations) {
    for (const cue of window.text.cues) {
      const key = `${window.epoch}/${cue.start_ms}/${cue.text}`;
      if (!found.has(key)) found.set(key, { key, start_ms: cue.start_ms, end_ms: cue.end_ms, text: cue.text, lag_ms: cue.lag_ms, source: cue.source, window });
    }
  }
  return [...found.values()].sort((a, b) => a.window.epoch - b.window.epoch || a.start_ms - b.start_ms);
}
