// Events of all streams, newest first. What arrives waits behind a button as long as somebody reads, so nothing moves.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { AGAIN_MS, api, isAbort, isPassing } from "./api.ts";
import { EventDrawer } from "./evidence.tsx";
import { append, arrive, newsOf, NO_FEED, reveal, type Feed, type Filter } from "./feed.ts";
import { moveFocus, useKeys } from "./keyboard.ts";
import { Empty, EventLabel, MediaTime, PhaseChip, Picture, Text, Trouble, useSeen, useTitle, WallTime } from "./parts.tsx";
import { asPattern } from "./patterns.ts";
import { eventPath, segments } from "./router.ts";
import { go, keep, parameter, refetch, rules, search, setParameters } from "./state.ts";
import type { Event } from "./wire.ts";
import { counted, isBuiltIn, score, visible } from "./words.ts";

const ROWS = ".event-row";
/** How many answers are looked through for one more screen, where a filter leaves out most. */
const PAGES_AT_ONCE = 6;
const ROWS_WANTED = 20;
/** Typing changes the filter with each key: only the last one is asked for. */
const TYPING_MS = 150;
const ASKED: Record<string, string> = { quiet: "", all: "", rules: "", "built-in": "framecue.*" };

export function EventsPage({ open }: { open: string | null }) {
  useTitle("Events");
  const filter: Filter = {
    match: asPattern(parameter("stream")),
    rule: parameter("rule") || "quiet",
    state: (["open", "closed"].includes(parameter("state")) ? parameter("state") : "any") as Filter["state"],
  };
  const { feed, state, more, show } = useFeed(filter, open);
  useKeys({
    j: () => moveFocus(ROWS, 1), k: () => moveFocus(ROWS, -1), ArrowDown: () => moveFocus(ROWS, 1), ArrowUp: () => moveFocus(ROWS, -1),
    n: show,
  });
  const close = () => go(`/events${search.value}`);
  return (
    <>
      <div class="toolbar">
        <h1>Events</h1>
        <label class="search"><span class="hidden">Streams</span>
          <input type="search" placeholder="All streams; part of a name, or lab-*" value={parameter("stream")} onInput={(e) => setParameters({ stream: e.currentTarget.value })} />
        </label>
        <label class="field">Events
          <select value={filter.rule} onChange={(e) => setParameters({ rule: e.currentTarget.value === "quiet" ? "" : e.currentTarget.value })}>
            <option value="quiet">all but shot cuts</option>
            <option value="all">all</option>
            <option value="rules">of rules</option>
            <option value="built-in">built-in</option>
            {filter.rule.startsWith("=") && !rules.value?.rules.events.some((rule) => `=${rule.name}` === filter.rule) ? <option value={filter.rule}>{visible(filter.rule.slice(1))}</option> : null}
            {rules.value?.rules.events.map((rule) => <option key={rule.name} value={`=${rule.name}`}>{visible(rule.name)}</option>)}
          </select>
        </label>
        <label class="field">State
          <select value={filter.state} onChange={(e) => setParameters({ state: e.currentTarget.value === "any" ? "" : e.currentTarget.value })}>
            <option value="any">any</option><option value="open">going on</option><option value="closed">ended</option>
          </select>
        </label>
      </div>
      {feed.waiting.length ? <div class="new-events"><button type="button" class="primary" onClick={show}>{counted(feed.waiting.length, "new event")}</button></div> : null}
      {state.error !== null ? <Trouble error={state.error} again={more} /> : null}
      <ol class="event-list feed" aria-label="Events, newest first" aria-busy={state.isLoading}>
        {feed.shown.map((event) => <Row key={event.id} event={event} isOpen={event.id === open} />)}
        {state.isLoading && !feed.shown.length ? Array.from({ length: 6 }, (_, n) => <li key={n} class="skeleton row" aria-hidden="true"><div class="picture" /><i /><i /></li>) : null}
      </ol>
      {!state.isLoading && !feed.shown.length && state.error === null ? <Empty title="No events"><p>{filter.rule === "quiet" && filter.match === "*" && filter.state === "any" ? "They appear here as they begin. What begins one is said under Rules." : "None fits what you asked for."}</p></Empty> : null}
      {state.next && feed.shown.length ? <p class="more"><button type="button" disabled={state.isLoading} onClick={more}>{state.isLoading ? "Looking…" : "Older ones"}</button></p> : null}
      {open ? <EventDrawer key={open} id={open} close={close} /> : null}
    </>
  );
}

interface Loading { isLoading: boolean; next: string | null; error: unknown }

function useFeed(filter: Filter, open: string | null): { feed: Feed; state: Loading; more: () => void; show: () => void } {
  const feed = useSignal<Feed>(NO_FEED);
  const state = useSignal<Loading>({ isLoading: true, next: null, error: null });
  const control = useRef(new AbortController());
  const again = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const reads = useRef(false);
  reads.current = open !== null;
  const asked = { match: filter.match === "*" ? "" : filter.match, rule: ASKED[filter.rule] ?? filter.rule.replace(/^=/, ""), state: filter.state === "any" ? "" : filter.state };

  /** Answers of the gateway from `cursor` on, one after the other, until `take` has enough; null: it was cut off. */
  async function pages(cursor: string | null, take: (events: readonly Event[]) => "more" | "enough"): Promise<string | null> {
    control.current.abort();
    clearTimeout(again.current);
    const { signal } = (control.current = new AbortController());
    for (let n = 0; n < PAGES_AT_ONCE; n++) {
      const page = await api.events(asked, cursor, signal);
      cursor = page.next;
      if (take(page.items) === "enough" || !cursor) break;
    }
    return cursor;
  }

  async function load(cursor: string | null): Promise<void> {
    state.value = { ...state.peek(), isLoading: true, error: null };
    const wanted = feed.peek().shown.length + ROWS_WANTED;
    try {
      const next = await pages(cursor, (events) => {
        feed.value = append(feed.peek(), events, filter);
        return feed.peek().shown.length < wanted ? "more" : "enough";
      });
      state.value = { isLoading: false, next, error: null };
    } catch (e) {
      if (isAbort(e)) return;
      state.value = { ...state.peek(), isLoading: false, error: e };
      if (isPassing(e)) again.current = setTimeout(() => void load(cursor), AGAIN_MS);
    }
  }

  /** What came while nobody listened. */
  async function catchUp(): Promise<void> {
    const news: Event[][] = [];
    try {
      await pages(null, (events) => {
        const found = newsOf(feed.peek(), events);
        news.unshift(found.news);
        return found.isAll ? "enough" : "more";
      });
      take(news.flat());
    } catch (e) {
      if (isPassing(e)) again.current = setTimeout(() => void catchUp(), AGAIN_MS);
      else if (!isAbort(e)) state.value = { ...state.peek(), error: e };
    }
  }

  function take(events: readonly Event[]): void {
    const place = scrollY < 8 && !reads.current && !document.activeElement?.closest(".feed") ? "top" : "wait";
    if (events.length) feed.value = arrive(feed.peek(), events, filter, place);
  }

  useEffect(() => {
    feed.value = NO_FEED;
    state.value = { isLoading: true, next: null, error: null };
    const timer = setTimeout(() => void load(null), TYPING_MS);
    const stop = keep((results) => take(results.filter((one) => one.schema === "framecue.event/1")));
    return () => {
      clearTimeout(timer);
      clearTimeout(again.current);
      control.current.abort();
      stop();
    };
  }, [JSON.stringify(filter)]);

  const first = useRef(refetch.value);
  useEffect(() => {
    if (first.current === refetch.value) return;
    void (state.peek().isLoading ? load(null) : catchUp());
  }, [refetch.value]);

  return {
    feed: feed.value,
    state: state.value,
    more: () => void load(state.peek().next),
    show: () => {
      feed.value = reveal(feed.peek());
      scrollTo(0, 0);
    },
  };
}

function Row({ event, isOpen }: { event: Event; isOpen: boolean }) {
  const ref = useRef<HTMLLIElement>(null);
  const seen = useSeen(ref);
  const best = event.evidence.frames[0]; // by its frame: of an event that just began nothing else may be known yet
  const words = event.message ?? event.evidence.cues.map((cue) => cue.text).join(" / ");
  return (
    <li ref={ref}>
      <a class={`event-row ${event.phase === "retracted" ? "is-retracted" : ""}`} href={`${eventPath(event.id)}${search.value}`} aria-current={isOpen ? "true" : undefined} data-event-id={event.id}>
        {best ? <Picture src={api.picture(event.stream, best, 160)} orElse={`/v1/events/${segments(event.id)}/evidence/0?width=160`} alt="" wanted={seen.value} priority={3} /> : <div class="picture is-none" />}
        <span class="event-main">
          <span class={`event-name ${isBuiltIn(event.rule) ? "" : "is-rule"}`}><EventLabel event={event} /></span>
          <span class="event-stream">{event.stream}</span>
          <PhaseChip event={event} />
          {event.peak === null ? null : <span class="num">{score(event.peak)}</span>}
        </span>
        <span class="event-words"><Text>{words}</Text></span>
        <span class="event-times"><WallTime at={event.wall_at ?? event.published_at} /><MediaTime ms={event.start_ms} end={event.end_ms} /></span>
      </a>
    </li>
  );
}
