// What made an event or a window what it is: pictures, words and scores, and the place to say that it is wrong.

import { batch, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { api, inWords, isAbort, Problem } from "./api.ts";
import { sceneClass } from "./colours.ts";
import { useKeys } from "./keyboard.ts";
import { EventLabel, MediaTime, Meter, PhaseChip, Picture, Text, Trouble, WallTime } from "./parts.tsx";
import { streamPath } from "./router.ts";
import { keep, mayWrite, ruleNamed } from "./state.ts";
import type { Annotation, Cue, Event, EventDetail, Feedback, Verdict } from "./wire.ts";
import { clock, decidedBy, degradedWords, ending, score, sides, sourceWords, span, textState, visible } from "./words.ts";

const LARGE = 720;
const NOTE_MAX = 2_000;
/** What arrives live is asked for before it can be had everywhere: a moment later it is there, or there is no such event. */
const TRIES = 4;
const TRY_AGAIN_MS = 700;

/** A panel at the side of the page; Escape closes it, and the focus goes back to where it was. */
export function Drawer({ title, label, close, children }: { title: ComponentChildren; label: string; close: () => void; children: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    heading.current?.focus({ preventScroll: true });
    document.documentElement.classList.add("has-drawer");
    return () => {
      document.documentElement.classList.remove("has-drawer");
      if (before?.isConnected) before.focus({ preventScroll: true });
    };
  }, []);
  useKeys({ Escape: close });
  return (
    <aside class="drawer" aria-label={label}>
      <header>
        <h2 ref={heading} tabIndex={-1}>{title}</h2>
        <button type="button" class="quiet" onClick={close} aria-label="Close">✕</button>
      </header>
      <div class="drawer-body">{children}</div>
    </aside>
  );
}

export function EventDrawer({ id, close, linksToStream = true }: { id: string; close: () => void; linksToStream?: boolean }) {
  const detail = useSignal<EventDetail | null>(null);
  const error = useSignal<unknown>(null);
  const tries = useSignal(0);

  useEffect(() => {
    const control = new AbortController();
    api.event(id, control.signal).then(
      (found) => batch(() => {
        detail.value = found;
        error.value = null;
      }),
      (e: unknown) => {
        if (isAbort(e)) return;
        const isTooNew = e instanceof Problem && e.status === 404 && tries.peek() < TRIES;
        if (isTooNew) timer = setTimeout(() => tries.value++, TRY_AGAIN_MS);
        else error.value = e;
      },
    );
    let timer: ReturnType<typeof setTimeout> | undefined;
    return () => {
      clearTimeout(timer);
      control.abort();
    };
  }, [id, tries.value]);

  // It goes on while one looks at it: the newest state is shown, with its own pictures.
  useEffect(() => keep((results) => {
    const known = detail.peek()?.event;
    if (known && results.some((one) => one.schema === "framecue.event/1" && one.id === id && one.sequence > known.sequence)) tries.value++;
  }), [id]);

  const found = detail.value?.event.id === id ? detail.value : null;
  const rule = visible(id.split("/").slice(2, -1).join("/"));
  return (
    <Drawer title={found ? <EventLabel event={found.event} /> : rule} label={`Event ${rule}`} close={close}>
      {error.value !== null && !found ? <Trouble error={error.value} again={() => tries.value++} /> : null}
      {!found && error.value === null ? <div class="skeleton"><div class="picture" /><i /><i /><i /></div> : null}
      {found ? <EventBody detail={found} linksToStream={linksToStream} told={(feedback) => {
        detail.value = { ...found, feedback: [...found.feedback, feedback] };
      }} /> : null}
    </Drawer>
  );
}

function EventBody({ detail, linksToStream, told }: { detail: EventDetail; linksToStream: boolean; told: (feedback: Feedback) => void }) {
  const { event } = detail;
  const rule = ruleNamed(event.rule);
  const why = ending(event, rule);
  return (
    <>
      <Gallery sources={detail.pictures.map((path) => `${path}?width=${LARGE}`)} alts={event.evidence.frames.map((frame) => `evidence at ${clock(frame.at_ms)}`)} times={event.evidence.frames.map((frame) => frame.at_ms)} />
      <p class="facts">
        <PhaseChip event={event} />
        <a href={`${streamPath(event.stream)}?event=${encodeURIComponent(event.id)}`} hidden={!linksToStream}>{event.stream}</a>
        <WallTime at={event.wall_at ?? event.published_at} />
        <MediaTime ms={event.start_ms} end={event.end_ms} />
      </p>
      {event.message ? <p><Text>{event.message}</Text></p> : null}
      {event.peak !== null ? (
        <section>
          <h3>Scores at the peak</h3>
          <dl class="scores">
            <ScoreRow name="Score" value={event.peak} enter={rule?.enter} exit={rule?.exit} />
            <ScoreRow name="Picture" value={event.evidence.picture} />
            <ScoreRow name="Words" value={event.evidence.text} />
          </dl>
          <p class="dim small">{[decidedBy(event, rule), why].filter(Boolean).join("; ")}</p>
        </section>
      ) : why ? <p class="dim small">{why}</p> : null}
      <Said cues={event.evidence.cues} empty="No words belong to this event." />
      <Judgement event={event} feedback={detail.feedback} told={told} />
    </>
  );
}

export function WindowDrawer({ window, isProvisional, close }: { window: Annotation; isProvisional: boolean; close: () => void }) {
  const middle = window.frames[Math.floor(window.frames.length / 2)];
  const frames = middle ? [middle, ...window.frames.filter((frame) => frame !== middle)] : [];
  return (
    <Drawer title={<>Window <MediaTime ms={window.start_ms} end={window.end_ms} /></>} label={`Window at ${clock(window.start_ms)}`} close={close}>
      <Gallery sources={frames.map((frame) => api.picture(window.stream, frame, LARGE))} alts={frames.map((frame) => `frame at ${clock(frame.at_ms)}`)} times={frames.map((frame) => frame.at_ms)} />
      <p class="facts">
        {isProvisional ? <span class="chip chip-provisional">may still change</span> : <span class="chip chip-dim">final</span>}
        <WallTime at={window.wall_at ?? window.published_at} />
        <span class="dim">revision {window.revision}</span>
        {window.degraded ? <span class="chip chip-warn">{degradedWords(window.degraded)}</span> : null}
        {window.calibrated ? null : <span class="chip chip-warn">not calibrated</span>}
      </p>
      <SceneScores window={window} />
      {window.rules.length ? (
        <section>
          <h3>Rules</h3>
          <dl class="scores">{window.rules.map((one) => <ScoreRow key={one.rule} name={one.rule} value={one.score} enter={ruleNamed(one.rule)?.enter} exit={ruleNamed(one.rule)?.exit} note={sides(one)} />)}</dl>
        </section>
      ) : null}
      <Said cues={window.text.cues} empty={textState(window.text.state)} />
      <p class="dim small">Model {visible(window.model)}</p>
    </Drawer>
  );
}

export function SceneScores({ window }: { window: Annotation }) {
  if (!window.scene) return <p class="dim">No picture in this window, so no scene.</p>;
  const all = [{ label: window.scene.label, score: window.scene.score }, ...window.scene.runners_up].slice(0, 4);
  return (
    <section>
      <h3>Scene</h3>
      <dl class="scores">{all.map((one) => <ScoreRow key={one.label} name={one.label} value={one.score} swatch={sceneClass(one.label)} />)}</dl>
      {window.scene.matched.length ? <p class="dim small">Recognised through {window.scene.matched.map((one) => visible(one.label)).join(", ")}.</p> : null}
    </section>
  );
}

export function ScoreRow({ name, value, enter, exit, note, swatch }: { name: string; value: number | null; enter?: number | undefined; exit?: number | undefined; note?: string; swatch?: string }) {
  return (
    <div class="score-row">
      <dt>{swatch ? <i class={`swatch ${swatch}`} /> : null}<Text>{name}</Text>{note ? <small>{note}</small> : null}</dt>
      <dd><Meter value={value} enter={enter} exit={exit} label={visible(name)} /><span class="num">{score(value)}</span></dd>
    </div>
  );
}

/** One large picture, and the others to choose from. */
function Gallery({ sources, alts, times }: { sources: string[]; alts: string[]; times: number[] }) {
  const chosen = useSignal(0);
  const at = Math.min(chosen.value, sources.length - 1);
  if (!sources.length) return <div class="picture is-none"><span class="picture-note">no pictures</span></div>;
  return (
    <div class="gallery">
      <Picture key={sources[at]} src={sources[at]!} alt={alts[at] ?? "evidence"} priority={0} />
      {sources.length > 1 ? (
        <div class="strip" role="group" aria-label="Pictures">
          {sources.map((source, n) => (
            <button key={source} type="button" aria-pressed={n === at} onClick={() => {
              chosen.value = n;
            }} aria-label={`Picture ${n + 1} of ${sources.length}`}>
              <Picture src={source.replace(/width=\d+/, "width=160")} alt="" priority={1} />
              {times[n] === undefined ? null : <span>{clock(times[n])}</span>}
            </button>
          ))}
        </div>
      ) : null}
    </div>
  );
}

function Said({ cues, empty }: { cues: readonly Cue[]; empty: string }) {
  return (
    <section>
      <h3>Words</h3>
      {cues.length ? (
        <ul class="cues">
          {cues.map((cue) => (
            <li key={`${cue.start_ms}${cue.text}`}>
              <Text>{cue.text}</Text>
              <small><MediaTime ms={cue.start_ms} end={cue.end_ms} />{cue.lag_ms ? `, came ${span(cue.lag_ms)} late` : ""}, {sourceWords(cue.source)}{cue.language ? `, ${visible(cue.language)}` : ""}</small>
            </li>
          ))}
        </ul>
      ) : <p class="dim">{empty}</p>}
    </section>
  );
}

type Sending = { kind: "idle" | "sending" | "sent" } | { kind: "failed"; why: string };

/** Right or wrong, with a note; the newest of each person is what counts. */
function Judgement({ event, feedback, told }: { event: Event; feedback: readonly Feedback[]; told: (feedback: Feedback) => void }) {
  const note = useSignal("");
  const sending = useSignal<Sending>({ kind: "idle" });
  const chosen = useSignal<Verdict | null>(null);

  async function judge(verdict: Verdict): Promise<void> {
    sending.value = { kind: "sending" };
    try {
      const stored = await api.judge(event.id, verdict, note.value.trim() || null);
      batch(() => {
        sending.value = { kind: "sent" };
        chosen.value = verdict;
        note.value = "";
      });
      told(stored);
    } catch (e) {
      sending.value = { kind: "failed", why: inWords(e) };
    }
  }

  return (
    <section class="judgement">
      <h3>Is it right?</h3>
      {mayWrite.value ? (
        <>
          <label><span class="hidden">Note</span>
            <textarea rows={2} maxLength={NOTE_MAX} placeholder="A note, if you like" value={note.value} onInput={(e) => {
              note.value = e.currentTarget.value;
            }} />
          </label>
          <div class="buttons">
            <button type="button" class="good" aria-pressed={chosen.value === "right"} disabled={sending.value.kind === "sending"} onClick={() => void judge("right")}>✓ Right</button>
            <button type="button" class="bad" aria-pressed={chosen.value === "wrong"} disabled={sending.value.kind === "sending"} onClick={() => void judge("wrong")}>✗ Wrong</button>
            <span role="status">{sending.value.kind === "sent" ? "Stored, thank you." : sending.value.kind === "failed" ? <span class="bad-ink">{sending.value.why}</span> : ""}</span>
          </div>
        </>
      ) : <p class="dim">Your token may read only; feedback needs one with the scope write.</p>}
      {feedback.length ? (
        <ul class="feedback">
          {[...feedback].reverse().map((one) => (
            <li key={one.id}>
              <b class={one.verdict === "right" ? "good-ink" : "bad-ink"}>{one.verdict}</b> <Text>{one.by}</Text> <WallTime at={one.published_at} />
              {one.note ? <p><Text>{one.note}</Text></p> : null}
            </li>
          ))}
        </ul>
      ) : null}
    </section>
  );
}
