import assert from "node:assert/strict";
import { test } from "node:test";
import { clamp, extent, lanes, msAt, NARROWEST_MS, pan, reveal, runs, scorePath, stepFrom, ticks, windowAt, xOf, zoom } from "../src/timeline.ts";
import { annotation, ended, event } from "./making.ts";

const BOUNDS = { start: 0, end: 100_000 };
const VIEW = { from: 20_000, to: 60_000 };

test("a time stands where it is read from", () => {
  for (const ms of [20_000, 33_333, 60_000]) assert.equal(Math.round(msAt(xOf(ms, VIEW, 777), VIEW, 777)), ms);
});

test("the view stays inside of what there is, and is never too narrow", () => {
  const rows: [number, number, number, number, string][] = [
    [-5000, 5000, 0, 10_000, "before the beginning"],
    [95_000, 105_000, 90_000, 100_000, "after the end"],
    [-1, 200_000, 0, 100_000, "wider than all"],
    [50_000, 50_001, 50_000, 54_000, "narrower than two windows"],
  ];
  for (const [from, to, wantedFrom, wantedTo, why] of rows) assert.deepEqual(clamp({ from, to }, BOUNDS), { from: wantedFrom, to: wantedTo }, why);
  assert.deepEqual(clamp(VIEW, { start: 0, end: 1000 }), { from: 0, to: NARROWEST_MS }, "one window so far");
});

test("zooming keeps what is under the pointer where it is", () => {
  const closer = zoom(VIEW, 2, 30_000, BOUNDS);
  assert.equal(closer.to - closer.from, 20_000);
  assert.equal(xOf(30_000, closer, 400), xOf(30_000, VIEW, 400));
  assert.deepEqual(zoom(closer, 0.5, 30_000, BOUNDS), VIEW, "and back");
  assert.deepEqual(zoom(VIEW, 0.001, 30_000, BOUNDS), { from: 0, to: 100_000 });
});

test("panning ends at the ends", () => {
  assert.deepEqual(pan(VIEW, 1e9, BOUNDS), { from: 60_000, to: 100_000 });
  assert.deepEqual(pan(VIEW, -1e9, BOUNDS), { from: 0, to: 40_000 });
});

test("what is chosen comes into view, and what is in view moves nothing", () => {
  assert.equal(reveal(VIEW, { start: 30_000, end: 32_000 }, BOUNDS), VIEW);
  assert.ok(reveal(VIEW, { start: 5_000, end: 7_000 }, BOUNDS).from <= 5_000);
  assert.ok(reveal(VIEW, { start: 80_000, end: 82_000 }, BOUNDS).to >= 82_000);
  assert.ok(reveal(VIEW, { start: 70_000, end: 99_000 }, { start: 0, end: 99_000 }).from <= 70_000, "of a long one its start");
});

test("ticks are round and far enough apart", () => {
  const found = ticks(VIEW, 800);
  assert.deepEqual(found, [20_000, 25_000, 30_000, 35_000, 40_000, 45_000, 50_000, 55_000]);
  assert.ok(ticks({ from: 0, to: 86_400_000 }, 300).length <= 4);
});

test("equal neighbours are one run, and a hole ends it", () => {
  const windows = [annotation(0), annotation(2000), annotation(6000), annotation(8000, { scene: { label: "street", score: 0.5, runners_up: [], matched: [] } })];
  assert.deepEqual(runs(windows, (one) => one.scene!.label).map((run) => [run.key, run.start, run.end]), [["kitchen", 0, 4000], ["kitchen", 6000, 8000], ["street", 8000, 10_000]]);
});

test("each rule has a lane, those of users first; what goes on reaches to now; what was retracted is gone", () => {
  const found = lanes([event(0, { rule: "framecue.black" }), ended(event(2000), 6000), event(8000), event(4000, { phase: "retracted" })], 20_000);
  assert.deepEqual(found.map((lane) => [lane.rule, lane.bars.map((bar) => [bar.start, bar.end, bar.isOpen])]), [["goal", [[2000, 6000, false], [8000, 20_000, true]]], ["framecue.black", [[0, 20_000, true]]]]);
});

test("scores are steps, with a hole where there is none", () => {
  const scored = (start: number, score: number | null) => annotation(start, { rules: [{ rule: "goal", picture: null, text: null, score, calibrated: true }] });
  const windows = [scored(0, 0.5), scored(2000, 1), scored(4000, null), scored(6000, 0)];
  assert.equal(scorePath(windows, "goal", "score", { from: 0, to: 8000 }, 80, 10), "M0 5H20V0H40M60 10H80");
  assert.equal(scorePath(windows, "corner", "score", { from: 0, to: 8000 }, 80, 10), "", "another rule has none");
});

test("a click finds its window, or the nearest one", () => {
  const windows = [annotation(0), annotation(2000), annotation(10_000)];
  const rows: [number, number][] = [[0, 0], [1999, 0], [2000, 2000], [5000, 2000], [9000, 10_000], [99_000, 10_000], [-5, 0]];
  for (const [ms, start] of rows) assert.equal(windowAt(windows, ms)?.start_ms, start, String(ms));
  assert.equal(windowAt([], 0), null);
});

test("keys step from window to window and stop at the ends", () => {
  const windows = [annotation(0), annotation(2000), annotation(4000)];
  assert.equal(stepFrom(windows, windows[0]!, 1)?.start_ms, 2000);
  assert.equal(stepFrom(windows, windows[2]!, 1)?.start_ms, 4000);
  assert.equal(stepFrom(windows, null, 1)?.start_ms, 4000, "none was chosen: the newest");
  assert.equal(stepFrom([], null, 1), null);
});

test("there is something to draw before there is anything to see", () => {
  assert.deepEqual(extent([], []), { start: 0, end: NARROWEST_MS });
  assert.deepEqual(extent([annotation(4000), annotation(8000)], []), { start: 4000, end: 10_000 });
});
