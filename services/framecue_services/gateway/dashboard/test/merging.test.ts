import assert from "node:assert/strict";
import { test } from "node:test";
import { extend, ANNOTATIONS_MAX, epochs, lines, NO_HISTORY, settledUntil } from "../src/history.ts";
import { apply, applyItem, emptyView, health, KNOWN_MAX, LATE_MS, OVER_MS, QUIET_MS, silence } from "../src/merging.ts";
import type { Result, StreamItem } from "../src/wire.ts";
import { annotation, caption, ended, event } from "./making.ts";

const folded = (results: Result[]) => results.reduce((view, one) => apply(view, one, 1000), emptyView("cam1"));

test("a stream is as its newest results say, in whatever order and however often they come", () => {
  const goal = event(2000);
  const results: Result[] = [annotation(0, { said: "first" }), annotation(2000, { said: "sec" }), annotation(2000, { revision: 2, said: "second" }), goal, ended(goal, 4000), event(4000, { rule: "corner" }), caption(0, "old"), caption(2000, "new")];
  const wanted = folded(results);
  assert.equal(wanted.annotation?.revision, 2);
  assert.equal(wanted.words?.text, "second");
  assert.deepEqual(wanted.openEvents.map((one) => one.rule), ["corner"]);
  assert.equal(wanted.caption?.text, "new");
  for (const order of [[...results].reverse(), [...results, ...results]]) {
    const view = folded(order);
    assert.deepEqual([view.annotation, view.words, view.openEvents, view.caption], [wanted.annotation, wanted.words, wanted.openEvents, wanted.caption]);
  }
});

test("a repeat changes nothing, so that nothing is drawn again", () => {
  const goal = event(0);
  const view = folded([annotation(0, { said: "x" }), goal, ended(goal, 2000), caption(0, "c")]);
  for (const one of [annotation(0, { said: "x" }), goal, ended(goal, 2000), caption(0, "c")]) assert.equal(apply(view, one, 1000), view);
});

test("a new run of the stream replaces what the one before it left", () => {
  const view = folded([annotation(60_000, { epoch: 1, said: "old run" }), annotation(0, { epoch: 2 })]);
  assert.equal(view.annotation?.epoch, 2);
  assert.equal(view.words?.text, "old run", "the last words stay until there are others");
});

test("words of a window that said nothing leave the last ones", () => {
  assert.equal(folded([annotation(0, { said: "hello" }), annotation(2000, { state: "silent" })]).words?.text, "hello");
});

test("an answer ends what ended while nobody listened", () => {
  const before = folded([event(0), event(2000, { rule: "corner" })]);
  const item: StreamItem = { stream: "cam1", active_at: "2026-11-24T12:01:00Z", annotation: null, open_events: [event(2000, { rule: "corner" })], caption: null };
  assert.deepEqual(applyItem(before, item, 0).openEvents.map((one) => one.rule), ["corner"]);
});

test("an answer does not end what began after it was made", () => {
  const late = folded([event(8000, { published_at: "2026-11-24T12:02:00Z" })]);
  const item: StreamItem = { stream: "cam1", active_at: "2026-11-24T12:01:00Z", annotation: null, open_events: [], caption: null };
  assert.equal(applyItem(late, item, 0).openEvents.length, 1);
});

test("what is remembered of events is bounded", () => {
  const view = folded(Array.from({ length: KNOWN_MAX * 3 }, (_, n) => event(n * 2000, { phase: "ended", end_ms: n * 2000 })));
  assert.equal(view.known.size, KNOWN_MAX);
});

test("health is the worst that is known", () => {
  const fresh = folded([annotation(0)]);
  const last = annotation(0, { settled_until_ms: 2000 });
  const lost = event(2000, { rule: "framecue.signal_lost" });
  const idle: Result = { ...ended(lost, 2000), reason: "idle" };
  const rows: [typeof fresh, number, string][] = [
    [fresh, 1000, "fresh"],
    [fresh, 1000 + LATE_MS + 1, "late"],
    [fresh, 1000 + QUIET_MS + 1, "quiet"],
    [folded([annotation(0, { degraded: "gap" })]), 1000, "degraded"],
    [folded([annotation(0, { degraded: "gap" })]), 1000 + LATE_MS + 1, "late"],
    [folded([annotation(0), lost]), 1000, "lost"],
    [folded([last]), 1000 + LATE_MS + 1, "ended"],
    [folded([last]), 1000 + QUIET_MS + 1, "ended"],
    [folded([last]), 1000 + OVER_MS, "fresh"], // another window may follow where words are not waited for
    [folded([last, annotation(2000)]), 1000 + LATE_MS + 1, "late"],
    [folded([last, annotation(0, { epoch: 1 })]), 1000 + LATE_MS + 1, "late"],
    [folded([last, lost, { ...ended(lost, 2000), reason: "end" }]), 1000 + LATE_MS + 1, "ended"],
    [folded([last, lost, idle]), 1000 + LATE_MS + 1, "quiet"], // nothing said that it would end
    [folded([annotation(0), idle, { ...last, id: "cam1/1/0+2000", epoch: 1 }]), 1000 + LATE_MS + 1, "ended"],
  ];
  for (const [view, now, is] of rows) assert.equal(health(view, now), is);
});

test("a run that fell idle was silent before it was said to be", () => {
  const lost = event(2000, { rule: "framecue.signal_lost" });
  const last = annotation(0, { settled_until_ms: 2000 });
  assert.equal(silence(folded([last]), 4000), 3000);
  assert.equal(silence(folded([last, { ...ended(lost, 2000), reason: "idle" }]), 4000), 3000 + QUIET_MS);
});

test("history holds each result once, in its newest state, in order, and is bounded", () => {
  const history = extend(NO_HISTORY, [annotation(4000), annotation(0), annotation(4000, { revision: 2 }), event(0), ended(event(0), 2000), caption(0, "x")]);
  assert.deepEqual(history.annotations.map((one) => [one.start_ms, one.revision]), [[0, 1], [4000, 2]]);
  assert.deepEqual(history.events.map((one) => one.sequence), [2]);
  assert.equal(extend(history, [annotation(4000), event(0)]), history, "older states change nothing");
  const long = extend(history, Array.from({ length: ANNOTATIONS_MAX + 10 }, (_, n) => annotation(n * 2000)));
  assert.equal(long.annotations.length, ANNOTATIONS_MAX);
  assert.equal(long.annotations.at(-1)?.start_ms, (ANNOTATIONS_MAX + 9) * 2000, "the oldest leave");
});

test("what is settled belongs to a run; one that was followed is all settled", () => {
  const windows = extend(NO_HISTORY, [annotation(0, { epoch: 1, settled_until_ms: 500 }), annotation(2000, { epoch: 1, settled_until_ms: 1500 })]).annotations;
  assert.equal(settledUntil(windows, 1), 1500);
  const next = extend({ ...NO_HISTORY, annotations: windows }, [annotation(0, { epoch: 2, settled_until_ms: 0 })]);
  assert.equal(settledUntil(next.annotations, 1), Infinity);
  assert.equal(settledUntil(next.annotations, 2), 0);
  assert.deepEqual(epochs(next), [2, 1]);
});

test("a line that lies over two windows is one line", () => {
  const one = annotation(0, { said: "long" });
  const two = { ...annotation(2000), text: one.text };
  assert.deepEqual(lines([one, two]).map((line) => line.text), ["long"]);
});
