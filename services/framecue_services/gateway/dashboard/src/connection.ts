// The one connection to /v1/live: what arrives, whether it stands, and how it comes back. The clock, the timers and the
// EventSource are handed in.
//
// The browser reconnects by itself, with Last-Event-ID, while the other side is merely away; after an answer that is no
// stream (503, 401, a proxy's page) it gives up for good, and we open a new one with ?last_event_id=. Nothing is lost
// either way: the gateway resumes, or says `missed`, or says that it did not resume: then everything is fetched again.

import type { Hello, Kind, Missed, Result } from "./wire.ts";

export type LiveState =
  | { kind: "connecting" }
  | { kind: "live" }
  | { kind: "reconnecting"; since: number }
  | { kind: "resting" }
  | { kind: "stopped" };

export interface Source {
  readonly readyState: number;
  addEventListener(name: string, listener: (event: { data?: string; lastEventId?: string }) => void): void;
  close(): void;
}

export interface World {
  open(url: string): Source;
  now(): number;
  later(run: () => void, ms: number): () => void;
}

export interface Listener {
  onState(state: LiveState): void;
  onResult(result: Result): void;
  /** The gateway says that results of this span will not come. */
  onMissed(missed: Missed): void;
  /** What was shown may lack something: fetch it again. */
  onRefetch(): void;
  /** The gateway gave an answer that is no stream: perhaps the session ended. */
  onRefused(): void;
}

const CLOSED = 2;
const RETRY_MS = [1_000, 2_000, 4_000, 8_000, 15_000];
/** Keep-alive comments do not reach scripts: after this long without a frame one more look is due. */
export const SILENCE_MS = 40_000;
const KINDS: readonly Kind[] = ["annotation", "event", "caption"];

export class Connection {
  private source: Source | null = null;
  private state: LiveState = { kind: "stopped" };
  private lastId = "";
  private attempts = 0;
  private cancelRetry: (() => void) | null = null;
  lastFrameAt = 0;

  constructor(private readonly world: World, private readonly listener: Listener) {}

  /** Connects, going on after the last frame that was seen. */
  start(): void {
    if (this.source) return;
    this.cancelRetry?.();
    this.cancelRetry = null;
    if (this.state.kind !== "reconnecting") this.become({ kind: "connecting" });
    this.connect();
  }

  /** Ends it for good: the session is over. */
  stop(): void {
    this.close();
    this.lastId = "";
    this.become({ kind: "stopped" });
  }

  /** Lets go while nobody looks: a browser has six connections for one host, and each tab would keep one. */
  rest(): void {
    this.close();
    this.become({ kind: "resting" });
  }

  /** A new connection in place of one that may be dead without knowing. */
  renew(): void {
    if (!this.source) return;
    this.close();
    this.lose();
    this.connect();
  }

  private connect(): void {
    const url = this.lastId ? `/v1/live?last_event_id=${encodeURIComponent(this.lastId)}` : "/v1/live";
    const resumes = this.lastId !== "";
    const source = this.world.open(url);
    this.source = source;
    this.lastFrameAt = this.world.now();
    const heard = (handle: (data: string) => void) => (event: { data?: string; lastEventId?: string }) => {
      if (source !== this.source) return;
      this.lastFrameAt = this.world.now();
      if (event.lastEventId) this.lastId = event.lastEventId;
      handle(event.data ?? "");
    };
    let isFirst = !resumes;
    source.addEventListener("hello", heard((data) => {
      const hello = JSON.parse(data) as Hello;
      this.attempts = 0;
      this.become({ kind: "live" });
      if (isFirst || !hello.resumed) this.listener.onRefetch();
      isFirst = false;
    }));
    for (const kind of KINDS) source.addEventListener(kind, heard((data) => this.listener.onResult(JSON.parse(data) as Result)));
    source.addEventListener("missed", heard((data) => {
      this.listener.onMissed(JSON.parse(data) as Missed);
      this.listener.onRefetch();
    }));
    source.addEventListener("error", () => {
      if (source !== this.source) return;
      this.lose();
      if (source.readyState === CLOSED) this.retry();
    });
  }

  private retry(): void {
    this.close();
    this.listener.onRefused();
    const wait = RETRY_MS[Math.min(this.attempts++, RETRY_MS.length - 1)]!;
    this.cancelRetry = this.world.later(() => this.connect(), wait);
  }

  private lose(): void {
    if (this.state.kind !== "reconnecting") this.become({ kind: "reconnecting", since: this.world.now() });
  }

  private close(): void {
    this.cancelRetry?.();
    this.cancelRetry = null;
    this.source?.close();
    this.source = null;
  }

  private become(state: LiveState): void {
    this.state = state;
    this.listener.onState(state);
  }
}
