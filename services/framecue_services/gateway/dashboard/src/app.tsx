// The frame around every page: where one can go, who one is, whether the picture is live, and what one must know.

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useErrorBoundary, useRef } from "preact/hooks";
import { api, inWords, Problem } from "./api.ts";
import { EventsPage } from "./eventsview.tsx";
import { useKeys } from "./keyboard.ts";
import { Empty, Trouble, useTitle, WallTime } from "./parts.tsx";
import { RulesPage } from "./rulesview.tsx";
import { announcement, findSession, go, liveState, login, logout, missed, now, remember, route, session, setTheme, shortcuts, theme, type Theme } from "./state.ts";
import { StreamPage } from "./stream.tsx";
import { Wall } from "./wall.tsx";
import { span, visible } from "./words.ts";

const PAGES = [["/", "Wall", "w"], ["/events", "Events", "e"], ["/rules", "Rules", "r"]] as const;

export function App() {
  const state = login.value;
  switch (state.kind) {
    case "unknown": return <div class="starting" role="status">Asking the gateway…</div>;
    case "failed": return <main class="starting"><Trouble error={state.why} again={() => void findSession()} /></main>;
    case "out": return <LoginPage />;
    case "in": return <Frame />;
  }
}

function Frame() {
  const help = useRef<HTMLDialogElement>(null);
  useKeys({
    ...Object.fromEntries(PAGES.map(([to, , key]) => [key, () => go(to)])),
    "?": () => (help.current?.open ? help.current.close() : help.current?.showModal()),
  });
  const here = route.value;
  return (
    <>
      <a class="skip" href="#main">Skip to the content</a>
      <header class="top">
        <a class="brand" href="/"><Mark />FrameCue</a>
        <nav aria-label="Pages">
          {PAGES.map(([to, name]) => <a key={to} href={to} aria-current={isHere(to, here.page) ? "page" : undefined}>{name}</a>)}
        </nav>
        <Connected />
        <Who />
        <ThemePicker />
        <button type="button" class="quiet" aria-label="Keys and help" onClick={() => help.current?.showModal()}>?</button>
      </header>
      <Notices />
      <main id="main" tabIndex={-1}><PageOf key={here.page === "stream" ? here.stream : here.page} /></main>
      <p class="hidden" aria-live="polite">{announcement.value}</p>
      <Help dialog={help} />
    </>
  );
}

/** The page that the address means; a fault of ours on one page leaves the way to the others. */
function PageOf() {
  const [fault] = useErrorBoundary((e) => console.error(e));
  const here = route.value;
  if (fault) return <Empty title="This page failed"><p>{inWords(fault)}</p><button type="button" onClick={() => location.reload()}>Load it again</button></Empty>;
  switch (here.page) {
    case "wall": return <Wall />;
    case "stream": return <StreamPage stream={here.stream} />;
    case "events": return <EventsPage open={here.event} />;
    case "rules": return <RulesPage />;
    case "nowhere": return <Empty title="There is no such page"><a class="button" href="/">To the wall</a></Empty>;
  }
}

function isHere(to: string, page: string): boolean {
  return to === "/" ? page === "wall" || page === "stream" : to === `/${page}`;
}

function Mark() {
  return <svg width="22" height="22" viewBox="0 0 22 22" aria-hidden="true"><rect class="mark-frame" x="1" y="2.5" width="20" height="13" rx="2.5" /><rect class="mark-cue" x="4" y="17.5" width="9" height="2.5" rx="1.25" /><rect class="mark-cue is-late" x="14.5" y="17.5" width="4" height="2.5" rx="1.25" /></svg>;
}

/** Whether what one sees is now. */
function Connected() {
  const state = liveState.value;
  const since = useComputed(() => (liveState.value.kind === "reconnecting" ? span(Math.max(0, now.value - liveState.value.since)).replace(/\.\d/, "") : ""));
  const words = { live: "live", connecting: "connecting", reconnecting: "reconnecting", resting: "resting", stopped: "not connected" }[state.kind];
  return <p class={`live is-${state.kind}`}><i aria-hidden="true" /><span role="status">{words}</span>{since.value ? <span> since {since.value}</span> : null}</p>;
}

function Who() {
  const who = session.value;
  if (!who || who.auth === "off") return null;
  return <p class="who"><span title={`may ${who.scope}; sees ${who.streams.join(", ")}`}>{visible(who.name)}</span><button type="button" class="quiet" onClick={() => void logout()}>Log out</button></p>;
}

function ThemePicker() {
  return (
    <label class="theme"><span class="hidden">Colours</span>
      <select value={theme.value} onChange={(e) => setTheme(e.currentTarget.value as Theme)}>
        <option value="auto">Auto</option><option value="light">Light</option><option value="dark">Dark</option>
      </select>
    </label>
  );
}

/** What is loud on purpose: no login, faces that can be recognised, results that were missed, a gateway that is away. */
function Notices() {
  const who = session.value;
  const state = liveState.value;
  const isAway = useComputed(() => liveState.value.kind === "reconnecting" && now.value - liveState.value.since > 3_000);
  const lost = missed.value;
  return (
    <div class="notices">
      {who?.auth === "off" ? <p class="notice is-loud"><b>Access control is off.</b> Whoever reaches this machine sees and changes everything. It is meant for this machine alone.</p> : null}
      {who && who.faces !== "blurred" ? <p class="notice is-warn"><b>Faces are not blurred.</b> {who.faces === "shown" ? "The settings ask for it: people can be recognised in every picture here." : visible(who.faces.replace(/^unblurred:\s*/, ""))}</p> : null}
      {isAway.value && state.kind === "reconnecting" ? <p class="notice is-bad" role="alert"><b>The gateway does not answer.</b> What you see is as of <WallTime at={new Date(state.since).toISOString()} />; it goes on by itself, and nothing is lost.</p> : null}
      {lost ? (
        <p class="notice is-bad" role="alert">
          <b>{howLong(lost.since, lost.until)} missed.</b> {visible(lost.reason)} What is kept was fetched again.
          <button type="button" onClick={() => location.reload()}>Reload</button>
          <button type="button" class="quiet" aria-label="Dismiss" onClick={() => {
            missed.value = null;
          }}>✕</button>
        </p>
      ) : null}
    </div>
  );
}

function howLong(since: string | null, until: string | null): string {
  const ms = Date.parse(until ?? "") - Date.parse(since ?? "");
  return Number.isNaN(ms) ? "Some results were" : `${span(ms)} were`;
}

function LoginPage() {
  useTitle("Log in");
  const token = useSignal("");
  const state = useSignal<{ kind: "idle" | "sending" } | { kind: "failed"; why: string }>({ kind: "idle" });
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);

  async function send(e: globalThis.Event): Promise<void> {
    e.preventDefault();
    state.value = { kind: "sending" };
    try {
      await api.login(token.value.trim());
      token.value = "";
      login.value = { kind: "unknown" };
      await findSession();
    } catch (problem) {
      const isWrong = problem instanceof Problem && problem.status === 401;
      state.value = { kind: "failed", why: isWrong ? "This token is not known, was revoked, or has expired." : inWords(problem) };
    }
  }

  return (
    <main class="login">
      <form onSubmit={(e) => void send(e)}>
        <h1><Mark />FrameCue</h1>
        <label for="token">Token</label>
        <input id="token" ref={field} type="password" autocomplete="current-password" spellcheck={false} required value={token.value} aria-describedby="token-help" aria-invalid={state.value.kind === "failed"} onInput={(e) => {
          token.value = e.currentTarget.value;
        }} />
        {state.value.kind === "failed" ? <p class="bad-ink" role="alert">{state.value.why}</p> : null}
        <button type="submit" class="primary" disabled={state.value.kind === "sending"}>Log in</button>
        <p id="token-help" class="dim small">Whoever runs FrameCue makes one with <code>framecue token create</code>. It is kept in a cookie that no script can read.</p>
      </form>
    </main>
  );
}

const KEYS: readonly [string, string][] = [
  ["w  e  r", "wall, events, rules"],
  ["j  k", "next, previous stream or event"],
  ["↑ ↓ ← →", "move among the tiles; on the timeline, choose a window"],
  ["Enter", "open"],
  ["Esc", "close, or go back"],
  ["/", "filter the wall"],
  ["n", "show the new events"],
  ["t", "to the timeline"],
  ["+  −  0", "on the timeline: closer, farther, all of it"],
  ["Shift ← →", "on the timeline: move it"],
  ["s", "type a line"],
  ["?", "this help"],
];

function Help({ dialog }: { dialog: { current: HTMLDialogElement | null } }) {
  return (
    <dialog ref={dialog} aria-labelledby="help-title">
      <header><h2 id="help-title">Keys</h2><button type="button" class="quiet" aria-label="Close" onClick={() => dialog.current?.close()}>✕</button></header>
      <table class="keys"><tbody>{KEYS.map(([keys, what]) => <tr key={keys}><th scope="row">{keys.split("  ").map((one) => <kbd key={one}>{one}</kbd>)}</th><td>{what}</td></tr>)}</tbody></table>
      <label class="check"><input type="checkbox" checked={shortcuts.value === "on"} onChange={(e) => {
        shortcuts.value = e.currentTarget.checked ? "on" : "off";
        remember("shortcuts", shortcuts.value);
      }} /> single keys do something</label>
      <p class="dim small">On the timeline: drag to move, wheel to zoom once it was clicked, or with Ctrl at any time; two fingers on a touch screen. The interface behind this page is described at <a href="/docs">/docs</a>.</p>
    </dialog>
  );
}
