// Results in words: times, names, reasons, and text that is safe to show. Pure; it must not know the page or a clock.

import type { Annotation, Event, EventRule, TextState } from "./wire.ts";

export const BUILT_IN = "framecue.";
export const SHOT_CUT = "framecue.shot_cut";
export const SIGNAL_LOST = "framecue.signal_lost";

const EVENT_NAMES: Record<string, string> = {
  [SHOT_CUT]: "shot cut",
  "framecue.black": "black picture",
  "framecue.frozen": "frozen picture",
  [SIGNAL_LOST]: "signal lost",
  "framecue.subtitles_lost": "subtitles lost",
  "framecue.gap": "gap",
  "framecue.warning": "warning",
};

const ENDINGS: Record<string, string> = {
  score: "the score fell",
  signal_lost: "the signal was lost",
  back: "it came back",
  rule: "the rule changed",
  epoch: "a new run of the stream began",
  end: "the stream ended",
  idle: "the stream went idle",
};

const TEXT_STATES: Record<TextState, string> = {
  none: "no words yet",
  pending: "words may still come",
  silent: "nothing said",
  lost: "subtitles lost",
  present: "words joined",
};

const SOURCES: Record<string, string> = {
  container: "in the video",
  header: "sent with the video",
  document: "from a subtitle file",
  live: "typed live",
};

const DEGRADED: Record<string, string> = {
  gap: "part of the stream is missing",
  damaged: "part of the media is damaged",
  model: "the model failed here",
};

/** `text` on one line and harmless: control characters as their pictures, without what turns the reading direction. */
export function visible(text: string): string {
  let shown = "";
  for (const c of text) {
    const code = c.codePointAt(0) ?? 0;
    if (c === "\t" || c === "\n" || c === "\r") shown += " ";
    else if (code < 0x20) shown += String.fromCodePoint(0x2400 + code);
    else if (code === 0x7f) shown += "␡";
    else if (code >= 0x80 && code < 0xa0) shown += "\ufffd";
    else if (code >= 0xd800 && code <= 0xdfff) shown += "\ufffd";
    else if (c === "\u200c" || c === "\u200d") shown += c; // scripts and emoji are spelled with them
    else if (!/\p{Cf}/u.test(c)) shown += c;
  }
  return shown.replace(/\s+/gu, " ").trim();
}

/** Media time as a player shows it: `0:04`, `12:30.5`, `1:02:03`. */
export function clock(ms: number): string {
  const sign = ms < 0 ? "-" : "";
  const all = Math.abs(Math.round(ms));
  const seconds = Math.floor(all / 1000) % 60;
  const minutes = Math.floor(all / 60_000) % 60;
  const hours = Math.floor(all / 3_600_000);
  const rest = all % 1000;
  const two = (n: number) => String(n).padStart(2, "0");
  const whole = hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
  return sign + whole + (rest ? `.${String(rest).padStart(3, "0")}`.replace(/0+$/, "") : "");
}

/** The ms of a time as a person types it (`1:02:03.5`, `62`, `4s`); null where it is none. */
export function readClock(text: string): number | null {
  const match = /^\s*(-)?(?:(?:(\d{1,6}):)?(\d{1,6}):)?(\d{1,9}(?:\.\d{1,3})?)\s*s?\s*$/.exec(text);
  if (!match) return null;
  const ms = (Number(match[2] ?? 0) * 3600 + Number(match[3] ?? 0) * 60 + Number(match[4])) * 1000;
  return (match[1] ? -1 : 1) * Math.round(ms);
}

/** A length of time in a few characters: `0.5 s`, `12 s`, `3 min`, `5 h`, `2 d`. */
export function span(ms: number): string {
  if (ms < 10_000) return `${(Math.max(0, ms) / 1000).toFixed(1).replace(/\.0$/, "")} s`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

/** A score as published, two decimals; a dash where there is none. */
export function score(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : value.toFixed(2);
}

/** `1 event`, `2 events`. */
export function counted(count: number, noun: string): string {
  return count === 1 ? `1 ${noun}` : `${count} ${noun}s`;
}

export function isBuiltIn(rule: string): boolean {
  return rule.startsWith(BUILT_IN);
}

/** The event's name for people. */
export function eventName(rule: string): string {
  return EVENT_NAMES[rule] ?? (isBuiltIn(rule) ? rule.slice(BUILT_IN.length).replaceAll("_", " ") : rule);
}

export function textState(state: TextState): string {
  return TEXT_STATES[state];
}

/** Where a cue came from. */
export function sourceWords(source: string): string {
  return SOURCES[source] ?? visible(source);
}

/** What is known of the two sides of a score; empty where nothing is. */
export function sides(of: { picture: number | null; text: number | null }): string {
  return [...(of.picture === null ? [] : [`picture ${score(of.picture)}`]), ...(of.text === null ? [] : [`words ${score(of.text)}`])].join(", ");
}

export function degradedWords(reason: string): string {
  return DEGRADED[reason] ?? reason;
}

/** Why the event ended, or an empty string while it goes on. */
export function ending(event: Event, rule?: EventRule): string {
  if (event.phase === "retracted") return "retracted: with later words it does not hold";
  if (event.reason === null) return "";
  const below = event.reason === "score" && rule ? ` below ${rule.exit.toFixed(2)}` : "";
  return (ENDINGS[event.reason] ?? event.reason) + below;
}

/** What carried the event, in one clause. */
export function decidedBy(event: Event, rule?: EventRule): string {
  const found = sides(event.evidence).split(", ");
  if (!found[0]) return "";
  switch (rule?.combine) {
    case "picture": return `by picture alone: ${found[0]}`;
    case "text": return `by words alone: ${found.at(-1)}`;
    case "both": return `${found.join(" and ")}, both needed`;
    case "either": return `${found.join(" or ")}, either is enough`;
    case "weighted": return `${found.join(" and ")}, weighed together`;
    default: return found.join(" and ");
  }
}

/** Whether the event goes on, as far as this state of it knows. */
export function isOpen(event: Event): boolean {
  return event.phase !== "ended" && event.phase !== "retracted" && event.end_ms === null;
}

/** Whether text for the window can still come. */
export function isProvisional(annotation: Annotation, settledUntil: number): boolean {
  return annotation.end_ms > Math.max(settledUntil, annotation.settled_until_ms);
}

/** The words of a window on one line; empty where there are none. */
export function said(annotation: Annotation): string {
  return visible(annotation.text.cues.map((cue) => cue.text).join(" / "));
}
