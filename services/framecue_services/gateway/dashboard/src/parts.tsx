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

/** A wall time in the viewer's zone, in words; the day only where it is not today. */
export function wallTime(ms: number): string {
  const date = new Date(ms);
  const isToday = date.toDateString() === new Date().toDateString();
  return `${isToday ? "" : `${DAY.format(date)}, `}${TIME.format(date)}`;
}

export function WallTime({ at }: { at: string | null }) {
  const ms = Date.parse(at ?? "");
  if (!at || Number.isNaN(ms)) return null;
  return <time dateTime={at} title={FULL.format(ms)}>{wallTime(ms)}</time>;
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
  /** Where it is kept longer, for when it is gone there. */
  orElse?: string;
  alt: string;
  priority?: number;
  /** Whether anybody sees it: nothing is fetched for what is off the screen. */
  wanted?: boolean;
  /** The least time between two pictures in the same place. */
  everyMs?: number;
}

/**
 * A picture that is replaced only when the next one is decoded, so that nothing flickers. One fetch at a time, which
 * nothing newer cuts off: a gateway slower than the stream still shows every other picture, not none.
 */
export function Picture({ src, orElse, alt, priority = 1, wanted = true, everyMs = 0 }: PictureProps) {
  const shown = useSignal<Shown>({ kind: src ? "loading" : "none" });
  const place = useRef<Place>({ src: null, done: null, url: "", began: 0, isBusy: false, stop: () => {} });
  const here = place.current;
  here.src = wanted ? src : null;

  useEffect(() => next(), [src, wanted]);
  useEffect(() => () => {
    here.src = null;
    here.stop();
    URL.revokeObjectURL(here.url);
  }, []);

  function next(): void {
    if (!here.src || here.src === here.done || here.isBusy) return;
    here.isBusy = true;
    wait(here.began + everyMs - Date.now(), () => {
      here.stop = pictures.add({ priority, run: (signal) => load(signal) });
    });
  }

  function wait(ms: number, run: () => void): void {
    if (ms <= 0) return run();
    const timer = setTimeout(run, ms);
    here.stop = () => clearTimeout(timer);
  }

  function finish(): void {
    here.isBusy = false;
    next();
  }

  async function load(signal: AbortSignal): Promise<void> {
    const from = here.src; // what is wanted by now
    here.began = Date.now();
    if (!from) return finish();
    try {
      const url = URL.createObjectURL(await bytes(from, signal));
      await decoded(url);
      if (signal.aborted) return URL.revokeObjectURL(url);
      URL.revokeObjectURL(here.url);
      here.url = url;
      here.done = from;
      shown.value = { kind: "shown", url };
      finish();
    } catch (e) {
      if (!isAbort(e) && !signal.aborted) refused(e, from);
    }
  }

  async function bytes(from: string, signal: AbortSignal): Promise<Blob> {
    try {
      return await api.bytes(from, signal);
    } catch (e) {
      if (orElse && e instanceof Problem && (e.status === 404 || e.status === 410)) return api.bytes(orElse, signal);
      throw e;
    }
  }

  function refused(e: unknown, from: string): void {
    const isPassing = !(e instanceof Problem) || e.status === 503 || e.status === 429;
    const isLive = everyMs > 0 && shown.peek().kind === "shown"; // then the last picture stays
    if (isPassing) {
      const ms = Math.min((e instanceof Problem && e.retryMs) || 3_000, 30_000);
      if (e instanceof Problem) pictures.pause(Math.min(ms, 5_000));
      if (!isLive && here.url === "") shown.value = { kind: "gone", ...reason(e) };
      return wait(ms, finish);
    }
    here.done = from;
    if (!isLive) shown.value = { kind: "gone", ...reason(e) };
    finish();
  }

  const state = shown.value;
  return (
    <div class={`picture is-${state.kind}`}>
      {state.kind === "shown" ? <img src={state.url} alt={alt} draggable={false} /> : null}
      {state.kind === "none" && !src ? <span class="picture-note">no picture yet</span> : null}
      {state.kind === "gone" ? <span class="picture-note" title={state.why}><b>{state.word}</b><small>{state.why}</small></span> : null}
    </div>
  );
}

/** Where one picture stands: what is wanted, what is shown or was refused, and what is under way. */
interface Place { src: string | null; done: string | null; url: string; began: number; isBusy: boolean; stop: () => void }

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
