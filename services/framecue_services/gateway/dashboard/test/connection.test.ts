import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection, type LiveState, type Source, type World } from "../src/connection.ts";
import { Queue } from "../src/queueing.ts";
import { annotation } from "./making.ts";

class HandSource implements Source {
  readyState = 1;
  isClosed = false;
  private readonly listeners = new Map<string, (event: { data?: string; lastEventId?: string }) => void>();
  constructor(readonly url: string) {}
  addEventListener(name: string, listener: (event: { data?: string; lastEventId?: string }) => void): void {
    this.listeners.set(name, listener);
  }
  close(): void {
    this.isClosed = true;
  }
  say(name: string, value?: unknown, lastEventId = ""): void {
    this.listeners.get(name)?.({ data: JSON.stringify(value), lastEventId });
  }
}

function scene() {
  const sources: HandSource[] = [];
  const timers: { run: () => void; ms: number; is: "set" | "cancelled" }[] = [];
  const heard: string[] = [];
  let at = 0;
  const world: World = {
    open: (url) => {
      sources.push(new HandSource(url));
      return sources.at(-1)!;
    },
    now: () => at,
    later: (run, ms) => {
      const timer = { run, ms, is: "set" as "set" | "cancelled" };
      timers.push(timer);
      return () => {
        timer.is = "cancelled";
      };
    },
  };
  const connection = new Connection(world, {
    onState: (state: LiveState) => heard.push(state.kind),
    onResult: (result) => heard.push(result.id),
    onMissed: (missed) => heard.push(`missed: ${missed.reason}`),
    onRefetch: () => heard.push("refetch"),
    onRefused: () => heard.push("refused"),
  });
  const took = () => heard.splice(0);
  return { sources, timers, connection, took, pass: (ms: number) => (at += ms), last: () => sources.at(-1)! };
}

test("the first hello has everything fetched, what follows is handed on", () => {
  const { connection, took, last } = scene();
  connection.start();
  last().say("hello", { resumed: false });
  last().say("annotation", annotation(0), "7-a0-1");
  assert.deepEqual(took(), ["connecting", "live", "refetch", "cam1/0/0+2000"]);
});

test("a connection that comes back by itself resumed, and nothing is fetched", () => {
  const { connection, took, last, sources } = scene();
  connection.start();
  last().say("hello", { resumed: false });
  took();
  last().readyState = 0;
  last().say("error");
  last().say("error");
  assert.deepEqual(took(), ["reconnecting"], "since the first error");
  last().say("hello", { resumed: true });
  assert.deepEqual(took(), ["live"]);
  assert.equal(sources.length, 1, "the browser does it");
});

test("one that could not resume has everything fetched again", () => {
  const { connection, took, last } = scene();
  connection.start();
  last().say("hello", { resumed: false });
  took();
  last().say("error");
  last().say("hello", { resumed: false });
  assert.deepEqual(took(), ["reconnecting", "live", "refetch"]);
});

test("after an answer that is no stream a new one goes on after the last frame, less and less often", () => {
  const { connection, took, last, timers, sources } = scene();
  connection.start();
  last().say("hello", { resumed: false });
  last().say("annotation", annotation(0), "7-a0-1");
  took();
  for (const wait of [1000, 2000, 4000, 8000, 15_000, 15_000]) {
    last().readyState = 2;
    last().say("error");
    assert.ok(took().includes("refused"), "perhaps the session is over");
    assert.equal(timers.at(-1)!.ms, wait);
    timers.at(-1)!.run();
    assert.equal(last().url, "/v1/live?last_event_id=7-a0-1");
  }
  last().say("hello", { resumed: true });
  assert.deepEqual(took(), ["live"], "it resumed: nothing is fetched");
  assert.equal(sources.filter((one) => !one.isClosed).length, 1, "the others are closed");
});

test("what is missed is said, and fetched", () => {
  const { connection, took, last } = scene();
  connection.start();
  last().say("hello", { resumed: false });
  took();
  last().say("missed", { since: null, until: null, reason: "too old" });
  assert.deepEqual(took(), ["missed: too old", "refetch"]);
});

test("one that rests goes on where it was, and one that stopped begins anew", () => {
  const { connection, last, sources } = scene();
  connection.start();
  last().say("hello", { resumed: false });
  last().say("annotation", annotation(0), "7-a0-1");
  connection.rest();
  assert.ok(sources[0]!.isClosed);
  connection.start();
  connection.start();
  assert.equal(sources.length, 2, "once");
  assert.equal(last().url, "/v1/live?last_event_id=7-a0-1");
  connection.stop();
  connection.start();
  assert.equal(last().url, "/v1/live", "another person may look now");
});

test("what a closed one still says is not heard, and a set timer opens nothing", () => {
  const { connection, took, last, sources, timers } = scene();
  connection.start();
  const first = last();
  first.readyState = 2;
  first.say("error");
  connection.stop();
  took();
  first.say("annotation", annotation(0));
  assert.deepEqual(took(), []);
  assert.equal(timers.at(-1)!.is, "cancelled");
  assert.equal(sources.length, 1);
});

test("pictures are fetched a few at a time, the most wanted first, and those nobody waits for never", async () => {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const queue = new Queue(2, () => {}, () => 0);
  const add = (name: string, priority: number) => queue.add({ priority, run: () => new Promise<void>((end) => {
    begun.push(name);
    ends.set(name, end);
  }) });
  add("a", 2);
  add("b", 2);
  add("tile", 2);
  const gone = add("gone", 0);
  add("large", 0);
  gone();
  assert.deepEqual(begun, ["a", "b"]);
  ends.get("a")!();
  await new Promise(setImmediate);
  assert.deepEqual(begun, ["a", "b", "large"]);
  ends.get("b")!();
  await new Promise(setImmediate);
  assert.deepEqual(begun, ["a", "b", "large", "tile"]);
});

test("nothing begins while the gateway asks for patience", () => {
  let at = 0;
  const timers: (() => void)[] = [];
  const begun: string[] = [];
  const queue = new Queue(2, (run) => timers.push(run), () => at);
  queue.pause(1000);
  queue.add({ priority: 1, run: async () => void begun.push("a") });
  assert.deepEqual(begun, []);
  at = 1000;
  timers.at(-1)!();
  assert.deepEqual(begun, ["a"]);
});
