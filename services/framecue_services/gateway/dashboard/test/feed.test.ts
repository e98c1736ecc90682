import assert from "node:assert/strict";
import { test } from "node:test";
import { append, arrive, FEED_MAX, newsOf, NO_FEED, passes, reveal, type Filter } from "../src/feed.ts";
import { ended, event } from "./making.ts";

const ALL: Filter = { match: "*", rule: "all", state: "any" };
const starts = (events: readonly { start_ms: number }[]) => events.map((one) => one.start_ms);

test("new events wait while somebody reads, and come in when asked for", () => {
  const read = append(NO_FEED, [event(0)], ALL);
  const feed = arrive(read, [event(2000), event(4000)], ALL, "wait");
  assert.deepEqual(starts(feed.shown), [0], "nothing moves");
  assert.deepEqual(starts(feed.waiting), [4000, 2000]);
  assert.deepEqual(starts(reveal(feed).shown), [4000, 2000, 0]);
  assert.deepEqual(reveal(feed).waiting, []);
});

test("they come in at once where nobody reads", () => {
  assert.deepEqual(starts(arrive(append(NO_FEED, [event(0)], ALL), [event(2000)], ALL, "top").shown), [2000, 0]);
});

test("an event that goes on changes where it stands, also against the filter", () => {
  const open: Filter = { ...ALL, state: "open" };
  const feed = arrive(append(NO_FEED, [event(2000), event(0)], open), [ended(event(0), 9000)], open, "wait");
  assert.deepEqual(feed.shown.map((one) => one.phase), ["started", "ended"], "what one reads does not vanish");
  assert.equal(feed.waiting.length, 0);
});

test("a repeat is not a new event", () => {
  const goal = event(0);
  const feed = append(NO_FEED, [ended(goal, 2000)], ALL);
  assert.equal(arrive(feed, [goal, ended(goal, 2000)], ALL, "wait"), feed);
  const waiting = arrive(feed, [event(2000)], ALL, "wait");
  assert.equal(arrive(waiting, [event(2000)], ALL, "wait"), waiting);
});

test("a look at the newest finds what came while nobody listened, up to what is known", () => {
  const feed = append(NO_FEED, [event(4000), event(2000)], ALL);
  const page = [event(8000), ended(event(2000), 9000), event(6000), event(4000), event(0)];
  const { news, isAll } = newsOf(feed, page);
  assert.deepEqual(starts(news), [6000, 2000, 8000], "in the order in which they came");
  assert.ok(isAll);
  assert.equal(newsOf(feed, [event(8000)]).isAll, false, "there is more before that");
});

test("older ones come once", () => {
  const feed = append(append(NO_FEED, [event(4000), event(2000)], ALL), [event(2000), event(0)], ALL);
  assert.deepEqual(starts(feed.shown), [4000, 2000, 0]);
});

test("the feed is bounded", () => {
  const many = Array.from({ length: FEED_MAX * 2 }, (_, n) => event(n * 2000));
  const feed = arrive(NO_FEED, many, ALL, "wait");
  assert.equal(feed.waiting.length, FEED_MAX);
  assert.equal(reveal(feed).shown.length, FEED_MAX);
});

test("filters", () => {
  const rows: [Partial<Filter>, Parameters<typeof event>[1], boolean, string][] = [
    [{}, {}, true, "all"],
    [{ match: "lab-*" }, { stream: "cam1" }, false, "another stream"],
    [{ rule: "quiet" }, { rule: "framecue.shot_cut" }, false, "cuts are many and seldom news"],
    [{ rule: "quiet" }, { rule: "framecue.black" }, true, "other built-in events are news"],
    [{ rule: "rules" }, { rule: "framecue.black" }, false, "not of a user's rule"],
    [{ rule: "built-in" }, {}, false, "of a user's rule"],
    [{ rule: "=goal" }, {}, true, "by name"],
    [{ rule: "=corner" }, {}, false, "another name"],
    [{ state: "open" }, { phase: "ended", end_ms: 1 }, false, "it is over"],
    [{ state: "closed" }, {}, false, "it goes on"],
  ];
  for (const [filter, given, is, why] of rows) assert.equal(passes(event(0, given), { ...ALL, ...filter }), is, why);
});
