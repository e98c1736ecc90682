// The feed of events over all streams: what is shown, and what waits so that nothing moves under a reader. Pure.

import { fits } from "./patterns.ts";
import type { Event } from "./wire.ts";
import { SHOT_CUT, isBuiltIn, isOpen } from "./words.ts";

export const FEED_MAX = 500;

export interface Filter {
  /** Pattern of stream ids. */
  match: string;
  /** `quiet`: all but shot cuts; `all`, `rules`, `built-in`, or `=NAME` for one rule. */
  rule: string;
  state: "any" | "open" | "closed";
}

export interface Feed {
  /** Newest first. */
  readonly shown: readonly Event[];
  /** Newest first; they come in with `reveal`. */
  readonly waiting: readonly Event[];
}

export const NO_FEED: Feed = { shown: [], waiting: [] };

export function passes(event: Event, filter: Filter): boolean {
  if (filter.match !== "*" && !fits(event.stream, filter.match)) return false;
  if (filter.state === "open" && !isOpen(event)) return false;
  if (filter.state === "closed" && isOpen(event)) return false;
  switch (filter.rule) {
    case "all": return true;
    case "quiet": return event.rule !== SHOT_CUT;
    case "rules": return !isBuiltIn(event.rule);
    case "built-in": return isBuiltIn(event.rule);
    default: return event.rule === filter.rule.slice(1);
  }
}

/** `feed` after live `events`: known ones change where they stand, new ones wait, or come in at once if `atTop`. */
export function arrive(feed: Feed, events: readonly Event[], filter: Filter, place: "top" | "wait"): Feed {
  let shown = feed.shown;
  let waiting = feed.waiting;
  for (const event of events) {
    const known = replace(shown, event);
    if (known) {
      shown = known;
      continue;
    }
    if (shown.some((one) => one.id === event.id)) continue;
    const held = replace(waiting, event);
    if (held) waiting = held;
    else if (!waiting.some((one) => one.id === event.id) && passes(event, filter)) waiting = [event, ...waiting];
  }
  if (shown === feed.shown && waiting === feed.waiting) return feed;
  const next = { shown, waiting: waiting.slice(0, FEED_MAX) };
  return place === "top" ? reveal(next) : next;
}

/** What waited stands on top. */
export function reveal(feed: Feed): Feed {
  return { shown: [...feed.waiting, ...feed.shown].slice(0, FEED_MAX), waiting: [] };
}

/** `feed` with older events below, each once. */
export function append(feed: Feed, older: readonly Event[], filter: Filter): Feed {
  const known = new Set([...feed.shown, ...feed.waiting].map((event) => event.id));
  return { ...feed, shown: [...feed.shown, ...older.filter((event) => !known.has(event.id) && passes(event, filter))] };
}

/** What of `page`, which has the newest news first, is news to `feed`; `isAll` once it reached what was known. */
export function newsOf(feed: Feed, page: readonly Event[]): { news: Event[]; isAll: boolean } {
  const known = new Map([...feed.shown, ...feed.waiting].map((event) => [event.id, event.sequence]));
  const at = page.findIndex((event) => (known.get(event.id) ?? 0) >= event.sequence);
  const news = at < 0 ? page : page.slice(0, at);
  return { news: [...news].reverse(), isAll: at >= 0 };
}

function replace(list: readonly Event[], event: Event): readonly Event[] | null {
  const at = list.findIndex((one) => one.id === event.id);
  if (at < 0 || list[at]!.sequence >= event.sequence) return null;
  return list.with(at, event);
}
