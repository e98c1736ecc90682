// The geometry of the timeline: which media time stands where, and what is drawn as one. Pure; it must not know the DOM.
//
//     from                 view                  to
//      |-------------------------------------------|         media time, ms
//      0                                         width       px
//
// All spans are half-open, [start, end).

import { order } from "./merging.ts";
import type { Annotation, Event } from "./wire.ts";
import { isBuiltIn, isOpen } from "./words.ts";

export interface View { readonly from: number; readonly to: number }
export interface Span { readonly start: number; readonly end: number }

/** Two windows: closer there is nothing more to see. */
export const NARROWEST_MS = 4_000;

/** The px at which `ms` stands. */
export function xOf(ms: number, view: View, width: number): number {
  return ((ms - view.from) / (view.to - view.from)) * width;
}

/** The media time that stands at `x` px. */
export function msAt(x: number, view: View, width: number): number {
  return view.from + (x / Math.max(1, width)) * (view.to - view.from);
}

/** `view` as near to itself as `bounds` allow: not narrower than two windows, not outside of what there is. */
export function clamp(view: View, bounds: Span): View {
  const most = Math.max(NARROWEST_MS, bounds.end - bounds.start);
  const length = Math.min(most, Math.max(NARROWEST_MS, view.to - view.from));
  const last = Math.max(bounds.start, bounds.end - length);
  const from = Math.min(last, Math.max(bounds.start, view.from));
  return { from, to: from + length };
}

/** `view` by `factor` closer (above 1) or farther, with `at` staying where it stands. */
export function zoom(view: View, factor: number, at: number, bounds: Span): View {
  const length = Math.min(Math.max(NARROWEST_MS, bounds.end - bounds.start), Math.max(NARROWEST_MS, (view.to - view.from) / factor));
  const share = (at - view.from) / (view.to - view.from);
  const from = at - share * length;
  return clamp({ from, to: from + length }, bounds);
}

/** `view` moved by `ms`. */
export function pan(view: View, ms: number, bounds: Span): View {
  return clamp({ from: view.from + ms, to: view.to + ms }, bounds);
}

/** `view` moved as little as shows `span`. */
export function reveal(view: View, span: Span, bounds: Span): View {
  const margin = (view.to - view.from) * 0.05;
  if (span.start < view.from) return pan(view, span.start - margin - view.from, bounds);
  if (span.end > view.to) return pan(view, Math.min(span.end + margin - view.to, span.start - margin - view.from), bounds);
  return view;
}

const STEPS = [500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 86_400_000];

/** Round times at least `gap` px apart. */
export function ticks(view: View, width: number, gap = 84): number[] {
  const least = ((view.to - view.from) / Math.max(1, width)) * gap;
  const step = STEPS.find((one) => one >= least) ?? STEPS.at(-1)!;
  const found = [];
  for (let at = Math.ceil(view.from / step) * step; at < view.to; at += step) found.push(at);
  return found;
}

export interface Run<K> extends Span { readonly key: K; readonly count: number; readonly best: number }

/** Neighbouring windows of the same key as one. A hole of a missing window ends a run. */
export function runs<K>(windows: readonly Annotation[], keyOf: (window: Annotation) => K, scoreOf: (window: Annotation) => number = () => 0): Run<K>[] {
  const found: Run<K>[] = [];
  for (const window of windows) {
    const last = found.at(-1);
    const key = keyOf(window);
    if (last && last.key === key && last.end === window.start_ms) {
      found[found.length - 1] = { ...last, end: window.end_ms, count: last.count + 1, best: Math.max(last.best, scoreOf(window)) };
    } else {
      found.push({ key, start: window.start_ms, end: window.end_ms, count: 1, best: scoreOf(window) });
    }
  }
  return found;
}

/** What of `spans` shows in `view`. */
export function within<T extends Span>(spans: readonly T[], view: View): T[] {
  return spans.filter((span) => span.end > view.from && span.start < view.to);
}

export interface Bar extends Span { readonly event: Event; readonly isOpen: boolean }
export interface Lane { readonly rule: string; readonly bars: readonly Bar[] }

/** One lane for each rule, those of users first; an event that goes on reaches to `now`. Retracted ones are left out. */
export function lanes(events: readonly Event[], now: number): Lane[] {
  const byRule = new Map<string, Bar[]>();
  for (const event of events) {
    if (event.phase === "retracted") continue;
    const bars = byRule.get(event.rule) ?? [];
    const open = isOpen(event);
    bars.push({ event, isOpen: open, start: event.start_ms, end: event.end_ms ?? Math.max(now, event.start_ms) });
    byRule.set(event.rule, bars);
  }
  return [...byRule]
    .map(([rule, bars]) => ({ rule, bars: bars.sort((a, b) => a.start - b.start) }))
    .sort((a, b) => Number(isBuiltIn(a.rule)) - Number(isBuiltIn(b.rule)) || (a.rule < b.rule ? -1 : 1));
}

/** The score of `rule` in each window as a path of steps; a window without one leaves a hole. `kind` is which score. */
export function scorePath(windows: readonly Annotation[], rule: string, kind: "score" | "picture" | "text", view: View, width: number, height: number): string {
  let path = "";
  let lastEnd = NaN;
  for (const window of windows) {
    const value = window.rules.find((one) => one.rule === rule)?.[kind] ?? null;
    if (value === null || window.end_ms <= view.from || window.start_ms >= view.to) {
      lastEnd = NaN;
      continue;
    }
    const y = round((1 - value) * height);
    const left = round(xOf(window.start_ms, view, width));
    path += window.start_ms === lastEnd ? `V${y}` : `M${left} ${y}`;
    path += `H${round(xOf(window.end_ms, view, width))}`;
    lastEnd = window.end_ms;
  }
  return path;
}

/** The window that holds `ms`, else the nearest one; null where there are none. `windows` are in order. */
export function windowAt(windows: readonly Annotation[], ms: number): Annotation | null {
  let nearest: Annotation | null = null;
  let distance = Infinity;
  for (const window of windows) {
    const away = ms < window.start_ms ? window.start_ms - ms : ms >= window.end_ms ? ms - window.end_ms + 1 : 0;
    if (away < distance) [nearest, distance] = [window, away];
  }
  return nearest;
}

/** The window `steps` further on, or the last one there is. */
export function stepFrom(windows: readonly Annotation[], from: Annotation | null, steps: number): Annotation | null {
  if (!windows.length) return null;
  const at = from ? windows.findIndex((one) => order(one, from) === 0) : -1;
  const next = at < 0 ? windows.length - 1 : Math.min(windows.length - 1, Math.max(0, at + steps));
  return windows[next]!;
}

/** From where to where there is anything to show. */
export function extent(windows: readonly Annotation[], events: readonly Event[]): Span {
  let start = Infinity;
  let end = -Infinity;
  for (const window of windows) {
    start = Math.min(start, window.start_ms);
    end = Math.max(end, window.end_ms);
  }
  for (const event of events) {
    if (!windows.length) {
      start = Math.min(start, event.start_ms);
      end = Math.max(end, event.end_ms ?? event.start_ms + NARROWEST_MS);
    }
  }
  return start < end ? { start, end } : { start: 0, end: NARROWEST_MS };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
