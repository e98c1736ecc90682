// The timeline of one run of a stream: scenes, words and events over the scores that made them. Wheel, pinch, drag, keys
// and buttons move it; what is not final is hatched. Its geometry is `timeline.ts`; the same as a table stands below it.

import { batch, useSignal, type Signal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { sceneClass } from "./colours.ts";
import { settledUntil, type History } from "./history.ts";
import { ruleNamed } from "./state.ts";
import { clamp, extent, lanes, msAt, pan, reveal, runs, scorePath, stepFrom, ticks, windowAt, within, xOf, zoom, type Lane, type Span, type View } from "./timeline.ts";
import type { Annotation, Event } from "./wire.ts";
import { clock, eventName, isBuiltIn, isProvisional, said, score, sides, textState, visible } from "./words.ts";

const SHOWN_AT_FIRST_MS = 180_000;
/** Characters of a label that say something; fewer are noise. */
const LABEL_LEAST = 7;
/** Room that the text of a tick takes, px. */
const TICK_TEXT = 44;
const AXIS = 22, RIBBON = 28, WORDS = 14, LANE = 22, NAMED_LANE = 36, CHART = 120, GAP = 8, GUTTER = 116, NARROW = 560;
const TABLE_MAX = 200;
const ZOOM_STEP = 1.5;
const DRAG_PX = 4;

interface Props {
  history: History;
  epoch: number;
  rule: string;
  window: Annotation | null;
  event: string | null;
  marking: boolean;
  mark: Span | null;
  onWindow: (window: Annotation) => void;
  onEvent: (event: Event) => void;
  onMark: (span: Span) => void;
}

export function Timeline(props: Props) {
  const { history, epoch, rule, marking, mark } = props;
  const windows = useMemo(() => history.annotations.filter((one) => one.epoch === epoch), [history.annotations, epoch]);
  const events = useMemo(() => history.events.filter((one) => one.epoch === epoch), [history.events, epoch]);
  const bounds = extent(windows, events);
  const settled = settledUntil(history.annotations, epoch);
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const gutter = width < NARROW ? 0 : GUTTER;
  const plot = Math.max(1, width - gutter);

  const held = useSignal<View | null>(null); // null: follows the newest
  const length = useSignal(SHOWN_AT_FIRST_MS);
  const hover = useSignal<number | null>(null);
  const view = held.value ? clamp(held.value, bounds) : clamp({ from: bounds.end - length.value, to: bounds.end }, bounds);
  useEffect(() => {
    held.value = null;
  }, [epoch]);

  function show(next: View): void {
    batch(() => {
      length.value = next.to - next.from;
      held.value = next.to >= bounds.end ? null : next;
    });
  }
  const zoomBy = (factor: number, at = held.value ? (view.from + view.to) / 2 : view.to) => show(zoom(view, factor, at, bounds));

  // What is chosen elsewhere comes into view.
  const target = props.event ? events.find((one) => one.id === props.event) : null;
  useEffect(() => {
    if (target) show(reveal(view, { start: target.start_ms, end: target.end_ms ?? bounds.end }, bounds));
  }, [props.event, target === undefined]);

  const gestures = useGestures(box, { gutter, plot, view, bounds, marking, show, hover, mark: props.onMark, pick: (ms, element) => {
    const id = element.closest("[data-event]")?.getAttribute("data-event");
    const event = id ? events.find((one) => one.id === id) : undefined;
    if (event) props.onEvent(event);
    else pickWindow(windowAt(windows, ms));
  } });

  function pickWindow(window: Annotation | null): void {
    if (window) props.onWindow(window);
  }

  function step(steps: number): void {
    const next = stepFrom(windows, props.window ?? windowAt(windows, view.to - 1), steps);
    if (!next) return;
    show(reveal(view, { start: next.start_ms, end: next.end_ms }, bounds));
    hover.value = (next.start_ms + next.end_ms) / 2;
    if (marking) props.onMark({ start: Math.min(mark?.start ?? next.start_ms, next.start_ms), end: Math.max(mark?.end ?? next.end_ms, next.end_ms) });
    else props.onWindow(next);
  }

  function onKeyDown(e: KeyboardEvent): void {
    const actions: Record<string, () => void> = {
      ArrowLeft: () => (e.shiftKey ? show(pan(view, -(view.to - view.from) / 4, bounds)) : step(-1)),
      ArrowRight: () => (e.shiftKey ? show(pan(view, (view.to - view.from) / 4, bounds)) : step(1)),
      "+": () => zoomBy(ZOOM_STEP), "=": () => zoomBy(ZOOM_STEP), "-": () => zoomBy(1 / ZOOM_STEP),
      Home: () => show(pan(view, bounds.start - view.from, bounds)),
      End: () => show(pan(view, bounds.end - view.to, bounds)),
      "0": () => show({ from: bounds.start, to: bounds.end }),
    };
    const action = actions[e.key];
    if (!action || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    e.stopPropagation();
    action();
  }

  const shownWindows = useMemo(() => within(windows.map((one) => ({ start: one.start_ms, end: one.end_ms, one })), view).map((entry) => entry.one), [windows, view.from, view.to]);

  return (
    <section class="timeline" aria-label="Timeline">
      <div class="timeline-head">
        <Readout windows={windows} hover={hover} chosen={props.window} rule={rule} />
        <div class="buttons" role="group" aria-label="Move the timeline">
          <button type="button" class="quiet" aria-label="Earlier" onClick={() => show(pan(view, -(view.to - view.from) / 2, bounds))}>◀</button>
          <button type="button" class="quiet" aria-label="Later" onClick={() => show(pan(view, (view.to - view.from) / 2, bounds))}>▶</button>
          <button type="button" class="quiet" aria-label="Zoom out" onClick={() => zoomBy(1 / ZOOM_STEP)}>−</button>
          <button type="button" class="quiet" aria-label="Zoom in" onClick={() => zoomBy(ZOOM_STEP)}>+</button>
          <button type="button" class="quiet" onClick={() => show({ from: bounds.start, to: bounds.end })}>All</button>
          <button type="button" class={held.value ? "is-inviting" : "quiet"} aria-pressed={!held.value} onClick={() => show(pan(view, bounds.end - view.to, bounds))}>Live</button>
        </div>
      </div>
      <div ref={box} class={`plot ${marking ? "is-marking" : ""}`} tabIndex={0} role="group" aria-roledescription="timeline"
        aria-label={`From ${clock(view.from)} to ${clock(view.to)}. Arrow keys choose a window, plus and minus zoom, shift and arrows move. A table with the same stands below.`}
        onKeyDown={onKeyDown} {...gestures}>
        {width > 0 ? <Drawing windows={shownWindows} events={events} view={view} width={plot} gutter={gutter} end={bounds.end} settled={settled} rule={rule}
          chosen={props.window?.epoch === epoch ? props.window : null} chosenEvent={props.event} hover={hover} mark={mark} /> : null}
      </div>
      <Table windows={shownWindows} rule={rule} settled={settled} onWindow={props.onWindow} />
    </section>
  );
}

/** What is under the pointer, in one line whose place never moves. */
function Readout({ windows, hover, chosen, rule }: { windows: readonly Annotation[]; hover: Signal<number | null>; chosen: Annotation | null; rule: string }) {
  const isHovered = hover.value !== null;
  const window = hover.value === null ? (chosen ?? windows.at(-1) ?? null) : windowAt(windows, hover.value);
  if (!window) return <p class="readout dim">No window yet</p>;
  const one = window.rules.find((given) => given.rule === rule);
  return (
    <p class={`readout ${isHovered ? "" : "dim"}`}>
      <span class="media-time">{clock(window.start_ms)}</span>
      {window.scene ? <span><i class={`swatch ${sceneClass(window.scene.label)}`} /><bdi>{visible(window.scene.label)}</bdi> <span class="num">{score(window.scene.score)}</span></span> : null}
      {one ? <span><bdi>{visible(rule)}</bdi> <b class="num">{score(one.score)}</b> <span class="dim">{sides(one)}</span></span> : null}
      <bdi class="readout-words">{said(window) || textState(window.text.state)}</bdi>
    </p>
  );
}

interface DrawingProps {
  windows: readonly Annotation[];
  events: readonly Event[];
  view: View;
  width: number;
  gutter: number;
  end: number;
  settled: number;
  rule: string;
  chosen: Annotation | null;
  chosenEvent: string | null;
  hover: Signal<number | null>;
  mark: Span | null;
}

function Drawing({ windows, events, view, width, gutter, end, settled, rule, chosen, chosenEvent, hover, mark }: DrawingProps) {
  const rows = lanes(events, end);
  const lanesTop = AXIS + RIBBON + WORDS + GAP * 2;
  const lane = gutter ? LANE : NAMED_LANE; // without a gutter the names stand over the bars
  const chartTop = lanesTop + rows.length * lane + (gutter ? GAP : GAP * 2);
  const height = chartTop + (rule ? CHART + 6 : 0);
  const x = (ms: number) => xOf(ms, view, width);
  const box = (span: Span) => {
    const left = Math.max(-4, x(span.start));
    return { x: left, width: Math.max(1.5, Math.min(width + 4, x(span.end)) - left) };
  };
  const firstSettled = Math.max(view.from, Math.min(settled, view.to));
  const limits = ruleNamed(rule);
  return (
    <svg width={width + gutter} height={height} aria-hidden="true">
      <defs>
        <pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="2.5" height="7" class="hatch" /></pattern>
        <clipPath id="plot"><rect x="0" y="0" width={width} height={height} /></clipPath>
      </defs>
      {gutter ? <Gutter rows={rows} rule={rule} lanesTop={lanesTop} chartTop={chartTop} /> : null}
      <g transform={`translate(${gutter} 0)`} clip-path="url(#plot)">
        {ticks(view, width).map((at) => <g key={at}><line class="tick" x1={x(at)} x2={x(at)} y1={AXIS - 4} y2={height} />{x(at) < width - TICK_TEXT ? <text class="tick-text" x={x(at) + 4} y={14}>{clock(at)}</text> : null}</g>)}
        {within(runs(windows, (one) => one.scene?.label ?? "", (one) => one.scene?.score ?? 0), view).map((run) => run.key ? <Scene key={run.start} label={run.key} {...box(run)} /> : null)}
        {within(runs(windows, (one) => one.text.state), view).map((run) => <rect key={run.start} class={`words words-${run.key}`} {...box(run)} y={AXIS + RIBBON + GAP} height={WORDS - 6} rx="2"><title>{textState(run.key)}</title></rect>)}
        {rule && !gutter ? <text class="row-name is-rule" x="2" y={chartTop - 3}>{visible(rule)}</text> : null}
        {windows.filter((one) => one.degraded).map((one) => <rect key={one.id} class="degraded" {...box({ start: one.start_ms, end: one.end_ms })} y={AXIS + RIBBON - 3} height="3"><title>degraded</title></rect>)}
        {rows.map((row, n) => <EventLane key={row.rule} row={row} y={lanesTop + n * lane} height={lane} view={view} box={box} chosen={chosenEvent} width={width} />)}
        {rule ? (
          <g transform={`translate(0 ${chartTop})`}>
            <rect class="chart" x="0" y="0" width={width} height={CHART} />
            <path class="score-text" d={scorePath(windows, rule, "text", view, width, CHART)} />
            <path class="score-picture" d={scorePath(windows, rule, "picture", view, width, CHART)} />
            <path class="score-line" d={scorePath(windows, rule, "score", view, width, CHART)} />
            {limits ? <Threshold name="begins" value={limits.enter} width={width} /> : null}
            {limits && limits.exit !== limits.enter ? <Threshold name="ends" value={limits.exit} width={width} /> : null}
          </g>
        ) : null}
        {firstSettled < view.to ? <rect class="provisional" x={x(firstSettled)} y={AXIS} width={Math.max(0, x(Math.min(end, view.to)) - x(firstSettled))} height={height - AXIS} fill="url(#hatch)"><title>may still change</title></rect> : null}
        {chosen ? <rect class="chosen" {...box({ start: chosen.start_ms, end: chosen.end_ms })} y={AXIS - 3} height={height - AXIS + 3} rx="2" /> : null}
        {mark ? <rect class="mark" {...box(mark)} y={AXIS - 3} height={height - AXIS + 3} rx="2" /> : null}
        <Pointer hover={hover} view={view} width={width} height={height} />
      </g>
    </svg>
  );
}

/** Where one points: by itself, so that a moving pointer draws nothing else again. */
function Pointer({ hover, view, width, height }: { hover: Signal<number | null>; view: View; width: number; height: number }) {
  if (hover.value === null) return null;
  const x = xOf(hover.value, view, width);
  return <line class="pointer" x1={x} x2={x} y1={AXIS - 3} y2={height} />;
}

function Gutter({ rows, rule, lanesTop, chartTop }: { rows: readonly Lane[]; rule: string; lanesTop: number; chartTop: number }) {
  const name = (text: string, y: number, kind = "") => <text class={`row-name ${kind}`} x="0" y={y}><title>{text}</title>{shortened(text)}</text>;
  return (
    <g>
      {name("scene", AXIS + 18)}
      {name("words", AXIS + RIBBON + GAP + 8)}
      {rows.map((row, n) => <g key={row.rule}>{name(visible(eventName(row.rule)), lanesTop + n * LANE + 14, isBuiltIn(row.rule) ? "" : "is-rule")}</g>)}
      {rule ? <>
        {name(visible(rule), chartTop + 13, "is-rule")}
        <g transform={`translate(0 ${chartTop + 30})`}>
          <line class="score-line" x1="0" x2="14" y1="0" y2="0" /><text class="row-name" x="20" y="4">score</text>
          <line class="score-picture" x1="0" x2="14" y1="18" y2="18" /><text class="row-name" x="20" y="22">picture</text>
          <line class="score-text" x1="0" x2="14" y1="36" y2="36" /><text class="row-name" x="20" y="40">words</text>
        </g>
      </> : null}
    </g>
  );
}

function Scene({ label, x, width }: { label: string; x: number; width: number }) {
  const text = visible(label);
  const fitting = Math.floor((width - 12) / 6.6);
  return (
    <g>
      <rect class={`ribbon ${sceneClass(label)}`} x={x} y={AXIS} width={Math.max(1, width - 1)} height={RIBBON} rx="3"><title>{text}</title></rect>
      {fitting >= Math.min(text.length, LABEL_LEAST) ? <text class="ribbon-text" x={Math.max(x, 0) + 6} y={AXIS + 18}>{text.length > fitting ? `${text.slice(0, fitting - 1)}…` : text}</text> : null}
    </g>
  );
}

function EventLane({ row, y, height, view, box, chosen, width }: { row: Lane; y: number; height: number; view: View; box: (span: Span) => { x: number; width: number }; chosen: string | null; width: number }) {
  const top = y + height - LANE;
  return (
    <g>
      <line class="lane" x1="0" x2={width} y1={y + height - 3} y2={y + height - 3} />
      {row.bars.filter((bar) => bar.end >= view.from && bar.start < view.to).map((bar) => {
        const { x, width: wide } = box(bar);
        return <rect key={bar.event.id} data-event={bar.event.id} class={`event ${isBuiltIn(row.rule) ? "is-built-in" : ""} ${bar.isOpen ? "is-open" : ""} ${bar.event.id === chosen ? "is-chosen" : ""}`} x={x} y={top} width={Math.max(4, wide)} height={LANE - 6} rx="3"><title>{`${visible(eventName(row.rule))}, ${clock(bar.start)}${bar.event.peak === null ? "" : `, peak ${score(bar.event.peak)}`}`}</title></rect>;
      })}
      {height > LANE ? <text class="row-name on-plot" x="2" y={y + 10}>{visible(eventName(row.rule))}</text> : null}
    </g>
  );
}

function Threshold({ name, value, width }: { name: string; value: number; width: number }) {
  const y = (1 - value) * CHART;
  return <g><line class="threshold" x1="0" x2={width} y1={y} y2={y} /><text class="threshold-text" x="4" y={y - 3}>{name} {value.toFixed(2)}</text></g>;
}

function shortened(text: string): string {
  return text.length > 17 ? `${text.slice(0, 16)}…` : text;
}

/** The same as a table: for those who do not see the drawing, and for exact numbers. */
function Table({ windows, rule, settled, onWindow }: { windows: readonly Annotation[]; rule: string; settled: number; onWindow: (window: Annotation) => void }) {
  const isOpen = useSignal(false);
  return (
    <details class="as-table" onToggle={(e) => {
      isOpen.value = e.currentTarget.open;
    }}>
      <summary>As a table</summary>
      {isOpen.value ? (
        <div class="scroll" tabIndex={0} role="region" aria-label="Windows as a table">
          <table>
            <thead><tr><th scope="col">Time</th><th scope="col">Scene</th>{rule ? <th scope="col"><bdi>{visible(rule)}</bdi></th> : null}<th scope="col">Words</th><th scope="col">State</th></tr></thead>
            <tbody>
              {[...windows].reverse().slice(0, TABLE_MAX).map((one) => (
                <tr key={one.id}>
                  <th scope="row"><button type="button" class="link" onClick={() => onWindow(one)}>{clock(one.start_ms)}</button></th>
                  <td>{one.scene ? <><bdi>{visible(one.scene.label)}</bdi> <span class="num">{score(one.scene.score)}</span></> : "–"}</td>
                  {rule ? <td class="num">{score(one.rules.find((given) => given.rule === rule)?.score)}</td> : null}
                  <td><bdi>{said(one)}</bdi></td>
                  <td>{textState(one.text.state)}{isProvisional(one, settled) ? ", may still change" : ", final"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : null}
    </details>
  );
}

function useWidth(ref: RefObject<HTMLElement | null>): number {
  const width = useSignal(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      width.value = Math.floor(entry!.contentRect.width);
    });
    observer.observe(ref.current!);
    return () => observer.disconnect();
  }, []);
  return width.value;
}

interface Place {
  gutter: number;
  plot: number;
  view: View;
  bounds: Span;
  marking: boolean;
  show: (view: View) => void;
  hover: { value: number | null };
  mark: (span: Span) => void;
  pick: (ms: number, element: Element) => void;
}

/** Drag moves, a click picks, two fingers or the wheel zoom. The wheel is ours only with ctrl or once it was clicked. */
function useGestures(box: RefObject<HTMLElement | null>, given: Place) {
  const place = useRef(given);
  place.current = given;
  const fingers = useRef(new Map<number, number>());
  const drag = useRef<{ x: number; view: View; moved: boolean; element: Element } | null>(null);

  const at = (clientX: number) => clientX - box.current!.getBoundingClientRect().left - place.current.gutter;
  const msOf = (x: number, view = place.current.view) => msAt(x, view, place.current.plot);

  useEffect(() => {
    const onWheel = (e: WheelEvent) => {
      const { view, bounds, plot, show } = place.current;
      const sideways = Math.abs(e.deltaX) > Math.abs(e.deltaY) ? e.deltaX : e.shiftKey ? e.deltaY : 0;
      const isOurs = e.ctrlKey || sideways !== 0 || document.activeElement === box.current;
      if (!isOurs) return;
      e.preventDefault();
      if (sideways) show(pan(view, (sideways / plot) * (view.to - view.from), bounds));
      else show(zoom(view, Math.exp(-e.deltaY * (e.ctrlKey ? 0.01 : 0.002)), msOf(at(e.clientX)), bounds));
    };
    const element = box.current!;
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  }, []);

  return {
    onPointerDown(e: PointerEvent) {
      if (e.button !== 0) return;
      fingers.current.set(e.pointerId, at(e.clientX));
      drag.current = { x: at(e.clientX), view: place.current.view, moved: false, element: e.target as Element };
      box.current!.setPointerCapture(e.pointerId);
    },
    onPointerMove(e: PointerEvent) {
      const { plot, bounds, show, hover, marking, mark } = place.current;
      const x = at(e.clientX);
      const before = [...fingers.current.values()];
      if (fingers.current.has(e.pointerId)) fingers.current.set(e.pointerId, x);
      const after = [...fingers.current.values()];
      if (after.length === 2) {
        const factor = Math.abs(after[0]! - after[1]!) / Math.max(1, Math.abs(before[0]! - before[1]!));
        if (drag.current) drag.current.moved = true;
        show(zoom(place.current.view, factor, msOf((after[0]! + after[1]!) / 2), bounds));
        return;
      }
      const from = drag.current;
      if (!from) {
        hover.value = x >= 0 ? msOf(x) : null;
        return;
      }
      if (Math.abs(x - from.x) > DRAG_PX) from.moved = true;
      if (!from.moved) return;
      if (marking) mark({ start: Math.round(Math.min(msOf(from.x, from.view), msOf(x, from.view))), end: Math.round(Math.max(msOf(from.x, from.view), msOf(x, from.view))) });
      else show(pan(from.view, ((from.x - x) / plot) * (from.view.to - from.view.from), bounds));
    },
    onPointerUp(e: PointerEvent) {
      fingers.current.delete(e.pointerId);
      const from = drag.current;
      drag.current = null;
      if (from && !from.moved && at(e.clientX) >= 0) place.current.pick(msOf(at(e.clientX)), from.element);
    },
    onPointerCancel(e: PointerEvent) {
      fingers.current.delete(e.pointerId);
      drag.current = null;
    },
    onPointerLeave() {
      if (!drag.current) place.current.hover.value = null;
    },
  };
}
