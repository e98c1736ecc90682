// The small things that every page is made of: text that is safe, times, scores, pictures, and the states between.

import { useComputed, useSignal, type ReadonlySignal } from "@preact/signals";
import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { api, inWords, isAbort, Problem } from "./api.ts";
import { now, pictures } from "./state.ts";
import type { Event } from "./wire.ts";
import { clock, eventName, isOpen, score, span, visible } from "./words.ts";

/** Text that came from a stream: on its own in its direction, and harmless. */
export function Text({ children, class: name }: { children: string; class?: string }) {
  return <bdi class={name ?? ""}>{visible(children)}</bdi>;
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

/** A wall time in the viewer's zone; the day only where it is not today. */
export function WallTime({ at }: { at: string | null }) {
  const ms = Date.parse(at ?? "");
  if (!at || Number.isNaN(ms)) return null;
  const date = new Date(ms);
  const isToday = date.toDateString() === new Date().toDateString();
  return <time dateTime={at} title={FULL.format(date)}>{isToday ? "" : `${DAY.format(date)}, `}{TIME.format(date)}</time>;
}

/** Media time, marked as such. */
export function MediaTime({ ms, end }: { ms: number; end?: number | null }) {
  return <span class="media-time" title="media time: since the run of the stream began">{clock(ms)}{end === undefined || end === null ? "" : `–${clock(end)}`}</span>;
}

/** `12 s ago`, which goes on by itself. */
export function Ago({ at }: { at: number }) {
  const text = useComputed(() => `${span(Math.max(0, now.value - at)).replace(/\.\d/, "")} ago`);
  return <span>{text}</span>;
}

/** A score as a bar, with the thresholds that decide where there are any. */
export function Meter({ value, enter, exit, label }: { value: number | null; enter?: number | undefined; exit?: number | undefined; label: string }) {
  return (
    <span class="meter" role="img" aria-label={`${label} ${score(value)}${enter === undefined ? "" : `, begins at ${enter}, ends below ${exit}`}`}>
      {value !== null && <i class={enter !== undefined && value >= enter ? "is-over" : ""} style={{ width: `${value * 100}%` }} />}
      {enter !== undefined && <b style={{ left: `${enter * 100}%` }} />}
      {exit !== undefined && exit !== enter && <b class="exit" style={{ left: `${exit * 100}%` }} />}
    </span>
  );
}

/** How an event stands, in a word and a colour. */
export function PhaseChip({ event }: { event: Event }) {
  if (event.phase === "retracted") return <span class="chip chip-dim">retracted</span>;
  if (isOpen(event)) return <span class="chip chip-open">going on</span>;
  const length = (event.end_ms ?? event.start_ms) - event.start_ms;
  return <span class="chip chip-dim">{length > 0 ? span(length) : "moment"}</span>;
}

export function EventLabel({ event }: { event: Event }) {
  return <Text>{eventName(event.rule)}</Text>;
}

/** Whether the element of `ref` is on the screen, or nearly. */
export function useSeen(ref: RefObject<Element | null>): ReadonlySignal<boolean> {
  const seen = useSignal(false);
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    watched.set(element, (is) => {
      seen.value = is;
    });
    observer.observe(element);
    return () => {
      watched.delete(element);
      observer.unobserve(element);
    };
  }, []);
  return seen;
}

const watched = new WeakMap<Element, (isSeen: boolean) => void>();
const observer = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) watched.get(entry.target)?.(entry.isIntersecting);
  },
  { rootMargin: "120px" },
);

type Shown = { kind: "none" | "loading" } | { kind: "shown"; url: string } | { kind: "gone"; word: string; why: string };

interface PictureProps {
  /** Address of the picture; null: there is none yet. */
  src: string | null;
  alt: string;
  priority?: number;
  /** Whether anybody sees it: nothing is fetched for what is off the screen. */
  wanted?: boolean;
  /** The least time between two pictures in the same place. */
  everyMs?: number;
}

/** A picture that is replaced only when the next one is decoded, so that nothing flickers. */
export function Picture({ src, alt, priority = 1, wanted = true, everyMs = 0 }: PictureProps) {
  const shown = useSignal<Shown>({ kind: src ? "loading" : "none" });
  const tries = useSignal(0);
  const place = useRef({ url: "", began: 0, src: "" });

  useEffect(() => {
    if (!src || !wanted || place.current.src === src) return;
    let takeBack = () => {};
    const begin = () => {
      takeBack = pictures.add({ priority, run: (signal) => load(src, signal) });
    };
    const wait = place.current.began + everyMs - Date.now();
    const timer = setTimeout(begin, Math.max(0, wait));
    return () => {
      clearTimeout(timer);
      takeBack();
    };
  }, [src, wanted, tries.value]);

  useEffect(() => () => URL.revokeObjectURL(place.current.url), []);

  async function load(from: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    place.current.began = Date.now();
    try {
      const url = URL.createObjectURL(await api.bytes(from, signal));
      await decoded(url);
      if (signal.aborted) return URL.revokeObjectURL(url);
      URL.revokeObjectURL(place.current.url);
      place.current.url = url;
      place.current.src = from;
      shown.value = { kind: "shown", url };
    } catch (e) {
      if (isAbort(e) || signal.aborted) return;
      refused(e, from);
    }
  }

  function refused(e: unknown, from: string): void {
    if (e instanceof Problem && e.retryMs !== null) {
      pictures.pause(Math.min(e.retryMs, 5_000));
      setTimeout(() => tries.value++, Math.min(e.retryMs, 30_000) + 500);
      if (shown.value.kind === "shown") return;
    }
    place.current.src = e instanceof Problem && e.status < 500 ? from : "";
    if (shown.value.kind === "shown" && everyMs > 0) return; // the last picture of a live place stays
    shown.value = { kind: "gone", ...reason(e) };
  }

  const state = shown.value;
  return (
    <div class={`picture is-${state.kind}`}>
      {state.kind === "shown" ? <img src={state.url} alt={alt} draggable={false} /> : null}
      {state.kind === "none" ? <span class="picture-note">no picture yet</span> : null}
      {state.kind === "gone" ? <span class="picture-note" title={state.why}><b>{state.word}</b>{everyMs ? null : <small>{state.why}</small>}</span> : null}
    </div>
  );
}

async function decoded(url: string): Promise<void> {
  const image = new Image();
  image.src = url;
  await image.decode();
}

function reason(e: unknown): { word: string; why: string } {
  if (e instanceof Problem && e.status === 410) return { word: "picture expired", why: e.detail || "It is older than pictures are kept." };
  if (e instanceof Problem && e.status === 404) return { word: "no picture", why: e.detail };
  return { word: "picture not available", why: inWords(e) };
}

/** What stands where something could not be had. */
export function Trouble({ error, again }: { error: unknown; again?: () => void }) {
  return (
    <div class="trouble" role="alert">
      <p>{inWords(error)}</p>
      {again && <button type="button" onClick={again}>Try again</button>}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return <div class="empty"><h2>{title}</h2>{children}</div>;
}

/** Sets the title of the browser's tab. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · FrameCue`;
  }, [title]);
}
