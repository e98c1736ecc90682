// All streams at a glance. A tile that nobody sees neither renders nor fetches; one that is seen renders once per frame
// at most, however many results came.

import { useComputed } from "@preact/signals";
import { useRef } from "preact/hooks";
import { api } from "./api.ts";
import { moveFocus, perRow, useKeys } from "./keyboard.ts";
import { health, silence, type Health, type StreamView } from "./merging.ts";
import { Empty, Picture, Text, Trouble, useSeen, useTitle } from "./parts.tsx";
import { asPattern, fits } from "./patterns.ts";
import { streamPath } from "./router.ts";
import { cellOf, isLoaded, loadError, loadStreams, now, parameter, remember, setParameters, streamIds, tileSize } from "./state.ts";
import { degradedWords, eventName, isBuiltIn, score, SIGNAL_LOST, span, textState } from "./words.ts";
import { sceneClass } from "./colours.ts";

const TILES = ".tile-link";
const SORTED_EVERY_S = 2;
/** So few get more room: nobody needs to choose. */
const FEW = 4;
const PICTURE_EVERY_MS = 2_000;
const SORTS = { name: "Name", attention: "Needs a look", event: "Latest event" } as const;
type Sort = keyof typeof SORTS;

export function Wall() {
  useTitle("Wall");
  const filter = parameter("q");
  const sort = (parameter("sort") in SORTS ? parameter("sort") : "name") as Sort;
  const search = useRef<HTMLInputElement>(null);
  const order = useOrder(filter, sort);
  const row = () => perRow(".tile");
  useKeys({
    j: () => moveFocus(TILES, 1), k: () => moveFocus(TILES, -1),
    ArrowRight: () => moveFocus(TILES, 1), ArrowLeft: () => moveFocus(TILES, -1),
    ArrowDown: () => moveFocus(TILES, row()), ArrowUp: () => moveFocus(TILES, -row()),
    "/": () => search.current?.focus(),
    Escape: () => {
      if (document.activeElement === search.current && filter) setParameters({ q: "" });
      else (document.activeElement as HTMLElement | null)?.blur();
    },
  });
  return (
    <>
      <div class="toolbar">
        <h1>Wall</h1>
        <label class="search">
          <span class="hidden">Filter streams by name, scene, words or event</span>
          <input ref={search} type="search" placeholder="Filter by name, scene, words, event" value={filter} onInput={(e) => setParameters({ q: e.currentTarget.value })} />
        </label>
        <label class="field">Sort
          <select value={sort} onChange={(e) => setParameters({ sort: e.currentTarget.value === "name" ? "" : e.currentTarget.value })}>
            {Object.entries(SORTS).map(([value, name]) => <option key={value} value={value}>{name}</option>)}
          </select>
        </label>
        <label class="field">Tiles
          <select value={tileSize.value} onChange={(e) => {
            tileSize.value = e.currentTarget.value as typeof tileSize.value;
            remember("tiles", tileSize.value);
          }}>
            <option value="small">Small</option><option value="medium">Medium</option><option value="large">Large</option>
          </select>
        </label>
        <Tally shown={order.length} />
      </div>
      {loadError.value !== null && !isLoaded.value ? <Trouble error={loadError.value} again={() => void loadStreams()} /> : null}
      <ul class={`wall wall-${tileSize.value} ${order.length < FEW ? "wall-few" : ""}`} aria-label="Streams" aria-busy={!isLoaded.value}>
        {order.map((stream) => <Tile key={stream} stream={stream} />)}
        {!isLoaded.value && loadError.value === null && !order.length ? Array.from({ length: 8 }, (_, n) => <li key={n} class="tile skeleton" aria-hidden="true"><div class="picture" /><div class="tile-body"><i /><i /></div></li>) : null}
      </ul>
      {isLoaded.value && !order.length ? <NothingHere filter={filter} /> : null}
    </>
  );
}

function NothingHere({ filter }: { filter: string }) {
  if (streamIds.value.length) {
    return <Empty title={`No stream fits “${filter}”`}><button type="button" onClick={() => setParameters({ q: "" })}>Show all {streamIds.value.length}</button></Empty>;
  }
  return (
    <Empty title="No stream yet">
      <p>Streams appear here by themselves as soon as somebody pushes one:</p>
      <pre><code>framecue push film.mp4 --stream lobby</code></pre>
    </Empty>
  );
}

/** How many streams there are, and how many want a look. */
function Tally({ shown }: { shown: number }) {
  const text = useComputed(() => {
    const at = now.value;
    const counts = { open: 0, late: 0, lost: 0, ended: 0 };
    for (const stream of streamIds.value) {
      const view = cellOf(stream).peek();
      const is = health(view, at);
      if (view.openEvents.some((event) => !isBuiltIn(event.rule))) counts.open++;
      if (is === "late") counts.late++;
      if (is === "lost") counts.lost++;
      if (is === "ended") counts.ended++;
    }
    const total = streamIds.value.length;
    return [
      shown < total ? `${shown} of ${total} streams` : `${total} ${total === 1 ? "stream" : "streams"}`,
      ...(counts.open ? [`${counts.open} with events`] : []),
      ...(counts.late ? [`${counts.late} late`] : []),
      ...(counts.lost ? [`${counts.lost} without signal`] : []),
      ...(counts.ended ? [`${counts.ended} ended`] : []),
    ].join(" · ");
  });
  return <p class="tally">{text.value}</p>;
}

/** The streams that fit, in their order; looked at anew when somebody types, a stream comes, and every other second. */
function useOrder(filter: string, sort: Sort): readonly string[] {
  const order = useRef<readonly string[]>([]);
  const beat = useComputed(() => (filter || sort !== "name" ? Math.floor(now.value / 1000 / SORTED_EVERY_S) : 0));
  const ids = streamIds.value;
  const key = `${filter}\n${sort}\n${beat.value}\n${ids.length}`;
  const last = useRef("");
  if (last.current !== key) {
    last.current = key;
    const next = arranged(ids, filter, sort);
    if (next.length !== order.current.length || next.some((id, at) => id !== order.current[at])) order.current = next;
  }
  return order.current;
}

const RANK: Record<Health, number> = { lost: 0, late: 1, degraded: 2, fresh: 3, quiet: 4, ended: 5 };
const BY_NAME = new Intl.Collator(undefined, { numeric: true });

function arranged(ids: readonly string[], filter: string, sort: Sort): readonly string[] {
  const at = Date.now();
  const views = ids.map((id) => cellOf(id).peek()).filter((view) => matches(view, filter));
  const byName = (a: StreamView, b: StreamView) => BY_NAME.compare(a.stream, b.stream);
  const open = (view: StreamView) => view.openEvents.filter((event) => !isBuiltIn(event.rule)).length;
  const order = {
    name: byName,
    attention: (a: StreamView, b: StreamView) => Number(open(b) > 0) - Number(open(a) > 0) || RANK[health(a, at)] - RANK[health(b, at)] || byName(a, b),
    event: (a: StreamView, b: StreamView) => b.eventAt - a.eventAt || byName(a, b),
  };
  return views.sort(order[sort]).map((view) => view.stream);
}

function matches(view: StreamView, filter: string): boolean {
  const wanted = filter.trim().toLowerCase();
  if (!wanted || fits(view.stream.toLowerCase(), asPattern(wanted)) && !/[^a-z0-9._\-*?]/.test(wanted)) return true;
  const told = [view.stream, view.annotation?.scene?.label ?? "", view.words?.text ?? "", ...view.openEvents.map((event) => eventName(event.rule))];
  return told.some((text) => text.toLowerCase().includes(wanted));
}

function Tile({ stream }: { stream: string }) {
  const ref = useRef<HTMLLIElement>(null);
  const seen = useSeen(ref);
  const cell = cellOf(stream);
  const shown = useComputed(() => (seen.value ? cell.value : cell.peek()));
  const is = useComputed(() => health(shown.value, seen.value ? now.value : now.peek()));
  const view = shown.value;
  const own = view.openEvents.filter((event) => !isBuiltIn(event.rule));
  const built = view.openEvents.filter((event) => isBuiltIn(event.rule) && event.rule !== SIGNAL_LOST); // that one the badge tells
  return (
    <li ref={ref} class={`tile ${own.length ? "has-event" : ""} is-${is.value}`} data-stream={stream}>
      <Picture src={pictureOf(view)} alt="" wanted={seen.value} everyMs={PICTURE_EVERY_MS} priority={2} />
      <HealthBadge view={view} is={is.value} />
      <div class="tile-body">
        <h2><a class="tile-link" href={streamPath(stream)}>{stream}</a></h2>
        <p class="tile-scene"><SceneOf view={view} /></p>
        <p class="tile-words"><WordsOf view={view} /></p>
        <p class="tile-foot">
          {own.slice(0, 2).map((event) => <span key={event.id} class="chip chip-event"><Text>{event.rule}</Text></span>)}
          {own.length > 2 ? <span class="chip chip-event">+{own.length - 2}</span> : null}
          {built.slice(0, 1).map((event) => <span key={event.id} class="chip chip-warn">{eventName(event.rule)}</span>)}
          <LagOf view={view} />
        </p>
      </div>
    </li>
  );
}

function SceneOf({ view }: { view: StreamView }) {
  const scene = view.annotation?.scene;
  if (!scene) return <span class="dim">{view.annotation ? "no picture in this window" : "waiting for the first window"}</span>;
  return <><i class={`swatch ${sceneClass(scene.label)}`} /><Text>{scene.label}</Text> <span class="num">{score(scene.score)}</span></>;
}

function WordsOf({ view }: { view: StreamView }) {
  if (view.words) {
    const isOld = view.annotation !== null && (view.words.epoch < view.annotation.epoch || view.words.start_ms < view.annotation.start_ms - 10_000);
    return <Text class={isOld ? "dim" : ""}>{view.words.text}</Text>;
  }
  return <span class="dim">{view.annotation ? textState(view.annotation.text.state) : ""}</span>;
}

function LagOf({ view }: { view: StreamView }) {
  const lag = view.words?.lag_ms;
  if (view.annotation?.text.state === "lost") return <span class="lag chip chip-warn">subtitles lost</span>;
  if (!lag) return null;
  return <span class="lag" title="how late the words came, which was taken off">words {span(lag)} late</span>;
}

/** What is wrong with a stream; nothing where all is well, so that what is wrong stands out. */
function HealthBadge({ view, is }: { view: StreamView; is: Health }) {
  const age = useComputed(() => span(silence(view, now.value)).replace(/\.\d/, ""));
  switch (is) {
    case "fresh": return <span class="badge is-fresh"><span class="hidden">fresh</span></span>;
    case "late": return <span class="badge is-late">late, {age.value}</span>;
    case "lost": return <span class="badge is-lost">signal lost</span>;
    case "degraded": return <span class="badge is-degraded" title={degradedWords(view.annotation?.degraded ?? "")}>{view.annotation?.degraded === "gap" ? "gap" : "degraded"}</span>;
    case "quiet": return <span class="badge is-quiet">{view.activeAt ? `quiet for ${age.value}` : "quiet"}</span>;
    case "ended": return <span class="badge is-ended" title="This run is over; the next one begins when somebody pushes again.">ended {age.value} ago</span>;
  }
}

/** The middle frame of the newest window. */
function pictureOf(view: StreamView): string | null {
  const frames = view.annotation?.frames ?? [];
  const middle = frames[Math.floor(frames.length / 2)];
  return middle ? api.picture(view.stream, middle, 320) : null;
}
