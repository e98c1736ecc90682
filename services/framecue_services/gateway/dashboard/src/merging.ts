// What is known of each stream, folded from results that may come twice and in any order. Pure: state in, state out.

import type { Annotation, Caption, Event, Result, StreamItem } from "./wire.ts";
import { isOpen, said, SIGNAL_LOST, visible } from "./words.ts";

/** Events whose last sequence is remembered, so that a repeat of one that ended does not open it again. */
export const KNOWN_MAX = 32;

export interface Words { text: string; epoch: number; start_ms: number; revision: number; lag_ms: number | null }

export interface StreamView {
  readonly stream: string;
  /** When it was last heard of, by the viewer's clock. */
  readonly activeAt: number;
  readonly annotation: Annotation | null;
  readonly openEvents: readonly Event[];
  readonly caption: Caption | null;
  /** The last words that were said, which may be of an earlier window than `annotation`. */
  readonly words: Words | null;
  /** When the newest event of a user's rule began, by the viewer's clock; 0 where none was seen. */
  readonly eventAt: number;
  /** The last run that fell idle: nothing said that it would end. */
  readonly idleEpoch: number | null;
  readonly known: ReadonlyMap<string, number>;
}

export function emptyView(stream: string): StreamView {
  return { stream, activeAt: 0, annotation: null, openEvents: [], caption: null, words: null, eventAt: 0, idleEpoch: null, known: new Map() };
}

export function kindOf(result: Result): "annotation" | "event" | "caption" {
  return result.schema.split("/")[0]!.slice("framecue.".length) as "annotation" | "event" | "caption";
}

/** `view` after `result`; the very same object where it changes nothing. */
export function apply(view: StreamView, result: Result, now: number): StreamView {
  switch (result.schema) {
    case "framecue.annotation/1": return applyAnnotation(view, result, now);
    case "framecue.event/1": return applyEvent(view, result, now);
    case "framecue.caption/1": return applyCaption(view, result);
  }
}

/** `view` after an answer of the gateway, whose times are `skew` ms ahead of the viewer's clock. */
export function applyItem(view: StreamView, item: StreamItem, skew: number): StreamView {
  const activeAt = item.active_at ? Date.parse(item.active_at) - skew : 0;
  let next = view;
  if (item.annotation) next = applyAnnotation(next, item.annotation, activeAt);
  if (item.caption) next = applyCaption(next, item.caption);
  const told = new Set(item.open_events.map((event) => event.id));
  // What the answer no longer has ended while nobody listened; what is newer than the answer came live meanwhile.
  const left = next.openEvents.filter((event) => told.has(event.id) || Date.parse(event.published_at ?? "") - skew > activeAt);
  if (left.length < next.openEvents.length) next = { ...next, openEvents: left };
  for (const event of item.open_events) next = applyEvent(next, event, Date.parse(event.published_at ?? "") - skew || activeAt);
  return activeAt > next.activeAt ? { ...next, activeAt } : next;
}

function applyAnnotation(view: StreamView, annotation: Annotation, now: number): StreamView {
  const activeAt = Math.max(view.activeAt, now);
  const words = wordsOf(annotation);
  const newest = isNewer(annotation, view.annotation) ? annotation : view.annotation;
  const spoken = words && (!view.words || (order(words, view.words) || words.revision - view.words.revision) > 0) ? words : view.words;
  if (newest === view.annotation && spoken === view.words && activeAt === view.activeAt) return view;
  return { ...view, annotation: newest, words: spoken, activeAt };
}

function applyEvent(view: StreamView, event: Event, now: number): StreamView {
  if ((view.known.get(event.id) ?? 0) >= event.sequence) return view;
  const known = new Map(view.known);
  known.delete(event.id);
  known.set(event.id, event.sequence);
  for (const id of known.keys()) {
    if (known.size <= KNOWN_MAX) break;
    known.delete(id);
  }
  const others = view.openEvents.filter((other) => other.id !== event.id);
  const openEvents = isOpen(event) ? [...others, event].sort((a, b) => order(a, b)) : others;
  const begins = !event.rule.startsWith("framecue.") && event.phase !== "retracted" && event.sequence === 1;
  return {
    ...view, known, openEvents,
    activeAt: Math.max(view.activeAt, now),
    eventAt: begins ? Math.max(view.eventAt, now) : view.eventAt,
    idleEpoch: event.reason === "idle" ? Math.max(view.idleEpoch ?? event.epoch, event.epoch) : view.idleEpoch,
  };
}

function applyCaption(view: StreamView, caption: Caption): StreamView {
  if (caption.status !== "made" || (view.caption && order(caption, view.caption) <= 0)) return view;
  return { ...view, caption };
}

function wordsOf(annotation: Annotation): Words | null {
  const cue = annotation.text.cues.at(-1);
  if (!cue) return null;
  const text = annotation.text.cues.length > 1 ? said(annotation) : visible(cue.text);
  return { text, epoch: annotation.epoch, start_ms: annotation.start_ms, revision: annotation.revision, lag_ms: annotation.text.lag_ms };
}

function isNewer(one: Annotation, other: Annotation | null): boolean {
  if (!other) return true;
  return (order(one, other) || one.revision - other.revision) > 0;
}

/** Negative where `one` begins before `other` in the life of its stream. */
export function order(one: { epoch: number; start_ms: number }, other: { epoch: number; start_ms: number }): number {
  return one.epoch - other.epoch || one.start_ms - other.start_ms;
}

export type Health = "fresh" | "late" | "lost" | "degraded" | "quiet" | "ended";
/** Windows come each 2 s and leave when the segment behind them is in; three of those missed is late. */
export const LATE_MS = 15_000;
/** As long as the fold's own `idle`: then the run of the stream is over. */
export const QUIET_MS = 300_000;

/** Where words are given no time to come, the newest window may be final between two segments as well. */
export const OVER_MS = 2_500;

/** How the stream is doing as of `now`, the worst that is known. What ended well is not late, however long ago. */
export function health(view: StreamView, now: number): Health {
  if (view.openEvents.some((event) => event.rule === SIGNAL_LOST)) return "lost";
  const age = now - view.activeAt;
  if (isOver(view) && age > OVER_MS) return fellIdle(view) ? "quiet" : "ended";
  if (age > QUIET_MS) return "quiet";
  if (age > LATE_MS) return "late";
  return view.annotation?.degraded ? "degraded" : "fresh";
}

/** Whether the newest run is over: then its last window is final, which it never is while another may follow. */
export function isOver(view: StreamView): boolean {
  return view.annotation !== null && view.annotation.settled_until_ms >= view.annotation.end_ms;
}

/** For how long nothing came; a run is told to be idle only after a long silence. */
export function silence(view: StreamView, now: number): number {
  return Math.max(0, now - view.activeAt) + (fellIdle(view) ? QUIET_MS : 0);
}

function fellIdle(view: StreamView): boolean {
  return isOver(view) && view.annotation?.epoch === view.idleEpoch;
}
