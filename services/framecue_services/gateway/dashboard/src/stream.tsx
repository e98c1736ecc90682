// One stream: what it shows and says now, its timeline, and the evidence of whatever is chosen.

import { batch, useComputed, useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { AGAIN_MS, api, inWords, isAbort, isPassing, Problem } from "./api.ts";
import { Drawer, EventDrawer, SceneScores, ScoreRow, WindowDrawer } from "./evidence.tsx";
import { epochs, extend, lines, NO_HISTORY, settledUntil, type History } from "./history.ts";
import { moveFocus, useKeys } from "./keyboard.ts";
import { health } from "./merging.ts";
import { Ago, Empty, EventLabel, MediaTime, PhaseChip, Picture, Text, Trouble, useTitle, wallTime, WallTime } from "./parts.tsx";
import { cellOf, go, keep, mayWrite, now, parameter, refetch, ruleNamed, rules, setParameters } from "./state.ts";
import type { Span } from "./timeline.ts";
import { Timeline } from "./timelineview.tsx";
import { fits } from "./patterns.ts";
import type { Annotation, Event } from "./wire.ts";
import { clock, degradedWords, isBuiltIn, isProvisional, readClock, score, SHOT_CUT, sides, span, textState, visible } from "./words.ts";

const PICTURE_EVERY_MS = 1_000;
const LINES_SHOWN = 40;
const EVENTS_SHOWN = 60;
const HISTORY_PAGES = 6;
const TEXT_MAX = 1_000;

export function StreamPage({ stream }: { stream: string }) {
  useTitle(stream);
  const { history, error, again } = useHistory(stream);
  const view = cellOf(stream).value;
  const chosenEpoch = useSignal<number | null>(null);
  const chosenWindow = useSignal<string | null>(null);
  const marking = useSignal(false);
  const mark = useSignal<Span | null>(null);
  const all = epochs(history);
  const eventId = parameter("event") || null;
  const shownEvent = history.events.find((one) => one.id === eventId);
  const epoch = chosenEpoch.value ?? shownEvent?.epoch ?? all[0] ?? 0;
  const window = history.annotations.find((one) => one.id === chosenWindow.value) ?? null;
  const rule = useRule(stream, view.annotation);
  const settled = settledUntil(history.annotations, epoch);

  const openEvent = (event: Event) => batch(() => {
    chosenWindow.value = null;
    setParameters(isBuiltIn(event.rule) ? { event: event.id } : { event: event.id, rule: event.rule });
  });
  const openWindow = (one: Annotation) => batch(() => {
    chosenWindow.value = one.id;
    if (eventId) setParameters({ event: "" });
  });
  const close = () => batch(() => {
    chosenWindow.value = null;
    if (eventId) setParameters({ event: "" });
  });
  const unmark = () => batch(() => {
    marking.value = false;
    mark.value = null;
  });

  useKeys({
    Escape: () => {
      if (marking.value) unmark();
      else go("/");
    },
    j: () => moveFocus(".event-row", 1), k: () => moveFocus(".event-row", -1),
    t: () => document.querySelector<HTMLElement>(".plot")?.focus(),
    s: () => document.querySelector<HTMLElement>(".say input")?.focus(),
  });

  if (error instanceof Problem && error.status === 404 && !view.annotation) return <Empty title="No such stream"><p>Nothing is known of <b>{visible(stream)}</b>, or it is not yours to see.</p><a class="button" href="/">All streams</a></Empty>;
  return (
    <div class="stream-page">
      <div class="toolbar">
        <a class="back" href="/" aria-label="All streams">‹ Wall</a>
        <h1>{stream}</h1>
        <Condition stream={stream} />
      </div>
      {error !== null && !history.annotations.length ? <Trouble error={error} again={again} /> : null}
      <div class="now">
        <BigPicture stream={stream} annotation={view.annotation} />
        <div class="now-side">
          {view.annotation ? <SceneScores window={view.annotation} /> : <p class="dim">No window yet: the first is told when the segment behind it is in.</p>}
          <RulesNow stream={stream} annotation={view.annotation} open={view.openEvents} onEvent={openEvent} />
          {view.caption?.text ? (
            <section>
              <h3>{view.caption.style === "description" ? "Description" : "Caption"} <MediaTime ms={view.caption.start_ms} end={view.caption.end_ms} /></h3>
              <p class="description"><Text>{view.caption.text}</Text></p>
            </section>
          ) : null}
        </div>
        <Subtitles history={history} epoch={epoch} settled={settled} annotation={view.annotation} onWindow={openWindow} stream={stream} />
      </div>
      <div class="timeline-bar">
        <h2>Timeline</h2>
        <RulePicker stream={stream} rule={rule} history={history} />
        {all.length > 1 ? (
          <label class="field">Run
            <select value={String(epoch)} onChange={(e) => {
              chosenEpoch.value = Number(e.currentTarget.value);
            }}>{all.map((one, n) => <option key={one} value={String(one)}>{runName(history, one, n)}</option>)}</select>
          </label>
        ) : null}
        {mayWrite.value && epoch === all[0] ? <button type="button" aria-pressed={marking.value} onClick={() => {
          if (marking.value) return unmark();
          marking.value = true;
          const last = history.annotations.findLast((one) => one.epoch === epoch);
          mark.value = window ? { start: window.start_ms, end: window.end_ms } : last ? { start: last.start_ms, end: last.end_ms } : null;
        }}>{marking.value ? "Stop marking" : "Mark what was missed"}</button> : null}
      </div>
      {marking.value ? <MissedForm stream={stream} rule={rule} mark={mark.value} onMark={(span) => {
        mark.value = span;
      }} done={unmark} /> : null}
      <Timeline history={history} epoch={epoch} rule={rule} window={window} event={eventId} marking={marking.value} mark={mark.value} onWindow={openWindow} onEvent={openEvent} onMark={(span) => {
        mark.value = span;
      }} />
      <StreamEvents events={history.events} chosen={eventId} onEvent={openEvent} />
      {eventId ? <EventDrawer key={eventId} id={eventId} close={close} linksToStream={false} /> : null}
      {!eventId && window ? <WindowDrawer key={window.id} window={window} isProvisional={isProvisional(window, settled)} close={close} /> : null}
      {!eventId && chosenWindow.value && !window ? <Drawer title="Window" label="Window" close={close}><p class="dim">It is older than this page keeps.</p></Drawer> : null}
    </div>
  );
}

/** What is known of the past of `stream`, kept up to date and bounded. */
function useHistory(stream: string): { history: History; error: unknown; again: () => void } {
  const history = useSignal<History>(NO_HISTORY);
  const error = useSignal<unknown>(null);
  const tries = useSignal(0);
  useEffect(() => {
    history.value = NO_HISTORY;
    return keep((results) => {
      history.value = extend(history.peek(), results.filter((one) => one.stream === stream));
    });
  }, [stream]);
  useEffect(() => {
    const control = new AbortController();
    const { signal } = control;
    const add = (results: Parameters<typeof extend>[1]) => {
      if (!signal.aborted) history.value = extend(history.peek(), results);
    };
    const load = async () => {
      try {
        const item = await api.latest(stream, signal);
        if (item.annotation) add([item.annotation]);
        const [timeline, events, captions] = await Promise.all([api.timeline(stream, null, signal), api.streamEvents(stream, null, signal), api.captions(stream, signal)]);
        add([...timeline.items, ...events.items, ...captions.items]);
        error.value = null;
        await older(stream, timeline.next, signal, add);
      } catch (e) {
        if (isAbort(e)) return;
        error.value = e;
        if (isPassing(e)) timer = setTimeout(() => void load(), AGAIN_MS);
      }
    };
    let timer: ReturnType<typeof setTimeout> | undefined;
    void load();
    return () => {
      clearTimeout(timer);
      control.abort();
    };
  }, [stream, refetch.value, tries.value]);
  return { history: history.value, error: error.value, again: () => tries.value++ };
}

/** More of the past, page by page, as far as this page keeps it; what it cannot have it does without. */
async function older(stream: string, first: string | null, signal: AbortSignal, add: (results: Annotation[]) => void): Promise<void> {
  let cursor = first;
  for (let n = 1; n < HISTORY_PAGES && cursor; n++) {
    const page: Awaited<ReturnType<typeof api.timeline>> = await api.timeline(stream, cursor, signal);
    add(page.items);
    cursor = page.next;
  }
}

function runName(history: History, epoch: number, place: number): string {
  const first = history.annotations.find((one) => one.epoch === epoch);
  const at = Date.parse(first?.wall_at ?? first?.published_at ?? "");
  const when = Number.isNaN(at) ? `no. ${epoch}` : `since ${wallTime(at)}`;
  return place === 0 ? `newest, ${when}` : when;
}

function Condition({ stream }: { stream: string }) {
  const is = useComputed(() => health(cellOf(stream).value, now.value));
  const view = cellOf(stream).value;
  const words = { fresh: "fresh", late: "late", lost: "signal lost", degraded: degradedWords(view.annotation?.degraded ?? ""), quiet: "quiet", ended: "ended" }[is.value];
  return (
    <p class="facts">
      <span class={`badge is-inline is-${is.value}`}>{words}</span>
      {view.activeAt ? <span class="dim">last result <Ago at={view.activeAt} /></span> : null}
      {view.annotation ? <span class="dim"><MediaTime ms={view.annotation.end_ms} />{view.annotation.wall_at ? <> · <WallTime at={view.annotation.wall_at} /></> : null}</span> : null}
      {view.words?.lag_ms ? <span class="dim">words {span(view.words.lag_ms)} late</span> : null}
      {view.annotation ? <span class="dim">{textState(view.annotation.text.state)}</span> : null}
    </p>
  );
}

function BigPicture({ stream, annotation }: { stream: string; annotation: Annotation | null }) {
  const frame = annotation?.frames[Math.floor(annotation.frames.length / 2)];
  const alt = annotation?.scene ? `${stream}, ${visible(annotation.scene.label)}` : stream;
  return <div class="big-picture"><Picture src={frame ? api.picture(stream, frame, 960) : null} alt={alt} priority={0} everyMs={PICTURE_EVERY_MS} /></div>;
}

/** The rule whose scores are drawn: the chosen one, else the first one of this stream. */
function useRule(stream: string, annotation: Annotation | null): string {
  const chosen = parameter("rule");
  const named = annotation?.rules.map((one) => one.rule) ?? rules.value?.rules.events.filter((one) => fits(stream, one.streams)).map((one) => one.name) ?? [];
  return chosen || named[0] || "";
}

function RulePicker({ rule, history }: { stream: string; rule: string; history: History }) {
  const names = useMemo(() => [...new Set(history.annotations.slice(-100).flatMap((one) => one.rules.map((given) => given.rule)))].sort(), [history.annotations]);
  const all = names.includes(rule) || !rule ? names : [rule, ...names];
  if (!all.length) return null;
  return (
    <label class="field">Scores of
      <select value={rule} onChange={(e) => setParameters({ rule: e.currentTarget.value })}>{all.map((name) => <option key={name} value={name}>{visible(name)}</option>)}</select>
    </label>
  );
}

/** How each rule stands now, and what goes on. */
function RulesNow({ annotation, open, onEvent }: { stream: string; annotation: Annotation | null; open: readonly Event[]; onEvent: (event: Event) => void }) {
  if (!annotation?.rules.length && !open.length) return null;
  return (
    <section>
      <h3>Rules now</h3>
      {open.length ? <p class="chips">{open.map((event) => <button key={event.id} type="button" class={`chip ${isBuiltIn(event.rule) ? "chip-warn" : "chip-event"}`} onClick={() => onEvent(event)}><EventLabel event={event} /> since {clock(event.start_ms)}</button>)}</p> : null}
      <dl class="scores">{annotation?.rules.map((one) => <ScoreRow key={one.rule} name={one.rule} value={one.score} enter={ruleNamed(one.rule)?.enter} exit={ruleNamed(one.rule)?.exit} note={sides(one)} />)}</dl>
    </section>
  );
}

/** The words as they were joined, the newest below; it stays where one reads. */
function Subtitles({ stream, history, epoch, settled, annotation, onWindow }: { stream: string; history: History; epoch: number; settled: number; annotation: Annotation | null; onWindow: (window: Annotation) => void }) {
  const list = useRef<HTMLOListElement>(null);
  const isAtEnd = useRef(true);
  const shown = useMemo(() => lines(history.annotations.filter((one) => one.epoch === epoch)).slice(-LINES_SHOWN), [history.annotations, epoch]);
  useEffect(() => {
    if (isAtEnd.current && list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [shown]);
  return (
    <section class="subtitles" aria-label="Subtitles">
      <h2>Subtitles <span class="dim small">as joined to the picture</span></h2>
      <ol ref={list} tabIndex={0} onScroll={(e) => {
        const at = e.currentTarget;
        isAtEnd.current = at.scrollHeight - at.scrollTop - at.clientHeight < 24;
      }}>
        {shown.map((line) => (
          <li key={line.key} class={isProvisional(line.window, settled) ? "is-provisional" : ""}>
            <button type="button" class="link" onClick={() => onWindow(line.window)} aria-label={`Show the window at ${clock(line.start_ms)}`}>{clock(Math.floor(line.start_ms / 1000) * 1000)}</button>
            <Text>{line.text}</Text>
            {line.lag_ms ? <small title="how late it came, which was taken off">−{span(line.lag_ms)}</small> : null}
          </li>
        ))}
        {shown.length ? null : <li class="dim">{annotation ? textState(annotation.text.state) : "No words yet."}</li>}
      </ol>
      {mayWrite.value ? <Say stream={stream} history={history} /> : null}
    </section>
  );
}

type Sent = { kind: "idle" | "sending" } | { kind: "sent"; text: string; at: number } | { kind: "failed"; why: string };

/** A line that somebody types, as an operator would: it is said to be joined when it is. */
function Say({ stream, history }: { stream: string; history: History }) {
  const text = useSignal("");
  const sent = useSignal<Sent>({ kind: "idle" });
  const state = sent.value;
  const joined = useMemo(() => {
    if (state.kind !== "sent") return null;
    const wanted = visible(state.text);
    return history.annotations.findLast((one) => Date.parse(one.published_at ?? "") > state.at - 60_000 && one.text.cues.some((cue) => visible(cue.text) === wanted)) ?? null;
  }, [history.annotations, state]);

  async function send(e: SubmitEvent | globalThis.Event): Promise<void> {
    e.preventDefault();
    const line = text.value.trim();
    if (!line || state.kind === "sending") return;
    sent.value = { kind: "sending" };
    try {
      await api.say(stream, line, "");
      batch(() => {
        sent.value = { kind: "sent", text: line, at: Date.now() };
        text.value = "";
      });
    } catch (problem) {
      sent.value = { kind: "failed", why: inWords(problem) };
    }
  }

  return (
    <form class="say" onSubmit={(e) => void send(e)}>
      <label><span class="hidden">Type a line as it is said now</span>
        <input type="text" maxLength={TEXT_MAX} autocomplete="off" placeholder="Type a line as it is said now" value={text.value} onInput={(e) => {
          text.value = e.currentTarget.value;
        }} />
      </label>
      <button type="submit" disabled={state.kind === "sending"}>Send</button>
      <p role="status">
        {state.kind === "sent" ? (joined ? <span class="good-ink">Joined to the window at {clock(joined.start_ms)}.</span> : "Sent; it joins the picture of this moment as soon as that is analysed.") : null}
        {state.kind === "failed" ? <span class="bad-ink">{state.why}</span> : null}
      </p>
    </form>
  );
}

/** Says that an event should have been there: from, to, which rule, and a note. */
function MissedForm({ stream, rule, mark, onMark, done }: { stream: string; rule: string; mark: Span | null; onMark: (span: Span) => void; done: () => void }) {
  const chosen = useSignal(rule);
  const note = useSignal("");
  const state = useSignal<{ kind: "idle" | "sending" | "sent" } | { kind: "failed"; why: string }>({ kind: "idle" });
  const names = rules.value?.rules.events.filter((one) => fits(stream, one.streams)).map((one) => one.name) ?? [];

  async function send(e: globalThis.Event): Promise<void> {
    e.preventDefault();
    if (!mark) return;
    state.value = { kind: "sending" };
    try {
      await api.missed(stream, { rule: chosen.value || null, start_ms: Math.round(mark.start), end_ms: Math.round(mark.end), note: note.value.trim() || null });
      state.value = { kind: "sent" };
    } catch (problem) {
      state.value = { kind: "failed", why: inWords(problem) };
    }
  }

  if (state.value.kind === "sent") return <div class="missed-form" role="status"><p><b>Stored, thank you.</b> It is kept with the other feedback.</p><button type="button" onClick={done}>Done</button></div>;
  const edge = (name: "From" | "To", ms: number | undefined, take: (ms: number) => Span) => (
    <label class="field">{name}
      <input key={`${name}${ms}`} class="time-input" defaultValue={ms === undefined ? "" : clock(ms)} onChange={(e) => {
        const read = readClock(e.currentTarget.value);
        if (read !== null) onMark(take(read));
      }} />
    </label>
  );
  return (
    <form class="missed-form" onSubmit={(e) => void send(e)}>
      <p>Drag over the timeline, or choose windows with the arrow keys, where something should have been told.</p>
      {edge("From", mark?.start, (start) => ({ start, end: Math.max(mark?.end ?? start + 2_000, start + 1) }))}
      {edge("To", mark?.end, (end) => ({ start: Math.min(mark?.start ?? end - 2_000, end - 1), end }))}
      <label class="field">Rule
        <select value={chosen.value} onChange={(e) => {
          chosen.value = e.currentTarget.value;
        }}><option value="">none of them</option>{names.map((name) => <option key={name} value={name}>{visible(name)}</option>)}</select>
      </label>
      <label class="field wide">Note
        <input type="text" maxLength={2_000} value={note.value} onInput={(e) => {
          note.value = e.currentTarget.value;
        }} />
      </label>
      <button type="submit" class="primary" disabled={!mark || state.value.kind === "sending"}>Store as missed</button>
      {state.value.kind === "failed" ? <p class="bad-ink" role="alert">{state.value.why}</p> : null}
    </form>
  );
}

function StreamEvents({ events, chosen, onEvent }: { events: readonly Event[]; chosen: string | null; onEvent: (event: Event) => void }) {
  const withCuts = useSignal(false);
  const shown = useMemo(() => events.filter((event) => withCuts.value || event.rule !== SHOT_CUT).slice(-EVENTS_SHOWN).reverse(), [events, withCuts.value]);
  return (
    <section class="stream-events">
      <div class="timeline-bar">
        <h2>Events</h2>
        <label class="check"><input type="checkbox" checked={withCuts.value} onChange={(e) => {
          withCuts.value = e.currentTarget.checked;
        }} /> with shot cuts</label>
      </div>
      {shown.length ? (
        <ol class="event-list">
          {shown.map((event) => (
            <li key={event.id}>
              <button type="button" class={`event-row is-compact ${event.phase === "retracted" ? "is-retracted" : ""}`} data-event-id={event.id} aria-pressed={event.id === chosen} onClick={() => onEvent(event)}>
                <MediaTime ms={event.start_ms} />
                <span class={`event-name ${isBuiltIn(event.rule) ? "" : "is-rule"}`}><EventLabel event={event} /></span>
                <PhaseChip event={event} />
                <span class="num">{event.peak === null ? "" : score(event.peak)}</span>
                <span class="event-words"><Text>{event.message ?? event.evidence.cues.map((cue) => cue.text).join(" / ")}</Text></span>
                <WallTime at={event.wall_at ?? event.published_at} />
              </button>
            </li>
          ))}
        </ol>
      ) : <p class="dim">No events yet.</p>}
    </section>
  );
}
