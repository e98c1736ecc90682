// What the page knows, as signals, and the one place where results arrive: they are folded in once per frame, all at
// once, so that 200 streams cost one rendering and not 200. It must not know how anything looks.

import { batch, computed, effect, signal, type Signal } from "@preact/signals";
import { AGAIN_MS, api, isPassing, skew, whenUnauthorised } from "./api.ts";
import { setLabels } from "./colours.ts";
import { Connection, SILENCE_MS, type LiveState } from "./connection.ts";
import { apply, applyItem, emptyView, health, isOver, type Health, type StreamView } from "./merging.ts";
import { Queue } from "./queueing.ts";
import { readRoute } from "./router.ts";
import type { Event, EventRule, Missed, Result, RulesInForce, Session } from "./wire.ts";
import { eventName, isBuiltIn, SIGNAL_LOST, visible } from "./words.ts";

// where one is

export const path = signal(location.pathname);
export const search = signal(location.search);
export const route = computed(() => readRoute(path.value));

export function go(to: string, how: "push" | "replace" = "push"): void {
  if (how === "push") history.pushState(null, "", to);
  else history.replaceState(null, "", to);
  const moved = location.pathname !== path.value;
  batch(() => {
    path.value = location.pathname;
    search.value = location.search;
  });
  if (moved) scrollTo(0, 0);
}

addEventListener("popstate", () => batch(() => {
  path.value = location.pathname;
  search.value = location.search;
}));

export function parameter(name: string): string {
  return new URLSearchParams(search.value).get(name) ?? "";
}

/** Sets parameters of the address; an empty one leaves it. */
export function setParameters(values: Record<string, string>): void {
  const all = new URLSearchParams(search.value);
  for (const [name, value] of Object.entries(values)) {
    if (value) all.set(name, value);
    else all.delete(name);
  }
  const text = all.toString();
  go(path.value + (text ? `?${text}` : ""), "replace");
}

// the clock of the page

/** Ticks once a second, for what tells how long ago something was. */
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1_000);

// who looks

export type Login = { kind: "unknown" } | { kind: "in"; session: Session } | { kind: "out" } | { kind: "failed"; why: unknown };
export const login = signal<Login>({ kind: "unknown" });
export const session = computed(() => (login.value.kind === "in" ? login.value.session : null));
export const mayWrite = computed(() => session.value !== null && session.value.scope !== "read");
export const mayApply = computed(() => session.value?.scope === "admin" && session.value.streams.includes("*"));

whenUnauthorised(() => {
  if (login.value.kind !== "out") signOut();
});

export async function findSession(): Promise<void> {
  try {
    const found = await api.session();
    login.value = { kind: "in", session: found };
    connection.start();
  } catch (e) {
    if (login.value.kind === "out") return;
    login.value = { kind: "failed", why: e };
    setTimeout(() => {
      if (login.value.kind === "failed") void findSession();
    }, 3_000);
  }
}

function signOut(): void {
  connection.stop();
  batch(() => {
    login.value = { kind: "out" };
    cells.clear();
    streamIds.value = [];
    rules.value = null;
    missed.value = null;
    isLoaded.value = false;
  });
}

export async function logout(): Promise<void> {
  await api.logout();
  signOut();
}

// streams

const cells = new Map<string, Signal<StreamView>>();
/** Every stream that is known, in the order in which it became known. */
export const streamIds = signal<readonly string[]>([]);
/** Whether the list of streams was fetched once. */
export const isLoaded = signal(false);
export const loadError = signal<unknown>(null);

export function cellOf(stream: string): Signal<StreamView> {
  let cell = cells.get(stream);
  if (!cell) {
    cell = signal(emptyView(stream));
    cells.set(stream, cell);
  }
  return cell;
}

export function healthOf(stream: string): Health {
  return health(cellOf(stream).value, now.value);
}

/** Grows with each time that what is shown must be fetched again. */
export const refetch = signal(0);

let loading: Promise<void> | null = null;

/** Fetches all streams; what is unknown is added, nothing newer is lost. */
export function loadStreams(): Promise<void> {
  loading ??= fetchStreams().finally(() => {
    loading = null;
  });
  return loading;
}

async function fetchStreams(): Promise<void> {
  try {
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof api.streams>> = await api.streams(cursor);
      batch(() => {
        for (const item of page.items) {
          const cell = cellOf(item.stream);
          cell.value = applyItem(cell.value, item, skew);
        }
        listed(page.items.map((item) => item.stream));
      });
      cursor = page.next;
    } while (cursor);
    batch(() => {
      isLoaded.value = true;
      loadError.value = null;
    });
    if (streamIds.value.some((stream) => isOver(cellOf(stream).peek()))) await findIdle();
  } catch (e) {
    loadError.value = e;
    if (isPassing(e)) setTimeout(() => login.value.kind === "in" && void loadStreams(), AGAIN_MS);
  }
}

/** Tells the streams that fell idle from those that ended: their newest window alone does not say it. */
async function findIdle(): Promise<void> {
  const { items } = await api.events({ rule: SIGNAL_LOST, state: "closed" });
  batch(() => {
    for (const event of items) {
      const cell = cellOf(event.stream);
      if (cell.peek().annotation?.epoch === event.epoch) cell.value = apply(cell.value, event, Date.parse(event.published_at ?? "") - skew || 0);
    }
  });
}

function listed(streams: readonly string[]): void {
  const known = new Set(streamIds.value);
  const fresh = streams.filter((stream) => !known.has(stream));
  if (fresh.length) streamIds.value = [...streamIds.value, ...new Set(fresh)];
}

// rules

export const rules = signal<RulesInForce | null>(null);
effect(() => {
  if (rules.value) setLabels(rules.value.rules);
});

export async function loadRules(): Promise<void> {
  try {
    const found = await api.rules();
    rules.value = found;
  } catch (e) {
    // The rules page says what is wrong; elsewhere they only explain.
    if (isPassing(e)) setTimeout(() => login.value.kind === "in" && void loadRules(), AGAIN_MS);
  }
}

export function ruleNamed(name: string): EventRule | undefined {
  return rules.value?.rules.events.find((rule) => rule.name === name);
}

// what arrives

export const liveState = signal<LiveState>({ kind: "stopped" });
export const missed = signal<Missed | null>(null);
/** A sentence for those who listen to the page. */
export const announcement = signal("");

/** Whoever keeps more than the latest: the page of one stream, the feed. Called inside the batch of a frame. */
type Keeper = (results: readonly Result[]) => void;
const keepers = new Set<Keeper>();

export function keep(keeper: Keeper): () => void {
  keepers.add(keeper);
  return () => keepers.delete(keeper);
}

const PENDING_MAX = 5_000;
let pending: Result[] = [];
let isScheduled = false;

function take(result: Result): void {
  pending.push(result);
  if (pending.length > PENDING_MAX) {
    pending = [];
    refetchAll();
    return;
  }
  if (isScheduled) return;
  isScheduled = true;
  if (document.hidden) setTimeout(flush, 1_000);
  else requestAnimationFrame(flush);
}

function flush(): void {
  isScheduled = false;
  const results = pending;
  pending = [];
  const at = Date.now();
  batch(() => {
    for (const result of results) {
      const cell = cellOf(result.stream);
      cell.value = apply(cell.value, result, at);
    }
    listed(results.map((result) => result.stream));
    for (const keeper of keepers) keeper(results);
  });
  tell(results);
}

function refetchAll(): void {
  refetch.value++;
  void loadStreams();
  void loadRules();
}

const TELL_EVERY_MS = 5_000;
let toldAt = 0;
let untold: Event[] = [];

/** Says new events of users' rules aloud, at most one sentence in some seconds. */
function tell(results: readonly Result[]): void {
  for (const result of results) {
    if (result.schema === "framecue.event/1" && result.sequence === 1 && result.phase === "started" && !isBuiltIn(result.rule)) untold.push(result);
  }
  if (!untold.length || Date.now() - toldAt < TELL_EVERY_MS) return;
  const [first] = untold;
  const more = untold.length > 1 ? ` and ${untold.length - 1} more` : "";
  announcement.value = `New event: ${visible(eventName(first!.rule))} on ${first!.stream}${more}`;
  toldAt = Date.now();
  untold = [];
}

const connection = new Connection(
  {
    open: (url) => new EventSource(url) as unknown as import("./connection.ts").Source,
    now: () => Date.now(),
    later: (run, ms) => {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
  },
  {
    onState: (state) => {
      liveState.value = state;
    },
    onResult: take,
    onMissed: (span) => {
      missed.value = span;
    },
    onRefetch: refetchAll,
    onRefused: () => void api.session().catch(() => {}), // where it is over, 401 says so to `whenUnauthorised`
  },
);

setInterval(() => {
  if (liveState.value.kind === "live" && Date.now() - connection.lastFrameAt > SILENCE_MS) connection.renew();
}, 10_000);

const REST_AFTER_MS = 60_000;
let resting: ReturnType<typeof setTimeout> | undefined;
document.addEventListener("visibilitychange", () => {
  clearTimeout(resting);
  if (document.hidden) {
    resting = setTimeout(() => {
      if (login.value.kind === "in") connection.rest();
    }, REST_AFTER_MS);
  } else {
    now.value = Date.now();
    if (login.value.kind === "in") connection.start();
  }
});

addEventListener("online", () => connection.renew());

// pictures

/** Of the six connections that a browser opens to one host; one is the live stream's, one is left for clicks. */
const PICTURES_AT_ONCE = 4;
export const pictures = new Queue(PICTURES_AT_ONCE, (run, ms) => setTimeout(run, ms), () => Date.now());

// what this browser remembers

export type Theme = "auto" | "light" | "dark";
export const theme = signal<Theme>(remembered("theme", ["light", "dark"]) ?? "auto");
export const shortcuts = signal<"on" | "off">(remembered("shortcuts", ["on", "off"]) ?? "on");
export const tileSize = signal<"small" | "medium" | "large">(remembered("tiles", ["small", "medium", "large"]) ?? "medium");

function remembered<T extends string>(name: string, allowed: readonly T[]): T | null {
  try {
    const value = localStorage.getItem(`framecue.${name}`) as T | null;
    return value && allowed.includes(value) ? value : null;
  } catch {
    return null;
  }
}

export function remember(name: "theme" | "shortcuts" | "tiles", value: string): void {
  try {
    localStorage.setItem(`framecue.${name}`, value);
  } catch {
    // A browser that keeps nothing: it holds until the page is left.
  }
}

export function setTheme(value: Theme): void {
  theme.value = value;
  remember("theme", value === "auto" ? "" : value);
  if (value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
}
