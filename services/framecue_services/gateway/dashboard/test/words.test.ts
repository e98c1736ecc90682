import assert from "node:assert/strict";
import { test } from "node:test";
import { asPattern, fits } from "../src/patterns.ts";
import { eventPath, readRoute, streamPath } from "../src/router.ts";
import { clock, decidedBy, eventName, readClock, span, visible } from "../src/words.ts";
import { event, rule } from "./making.ts";

test("text of streams is shown harmlessly", () => {
  const rows: [string, string, string][] = [
    ["hello", "hello", "plain text stays"],
    ["a\nb\tc", "a b c", "white space is one blank: a tile has two lines"],
    ["\x1b[31mred", "␛[31mred", "an escape is seen, not obeyed"],
    ["a\x00b\x7f", "a␀b␡", "so are the other controls"],
    ["a\u0085b", "a\ufffdb", "and those above 127, which have no pictures"],
    ["abc\u202egpj.exe", "abcgpj.exe", "an override would turn what follows"],
    ["\u2066x\u2069", "x", "an isolate of its own could be left open"],
    ["zero\u200bwidth", "zerowidth", "what is not seen is not there"],
    ["می\u200cخواهم", "می\u200cخواهم", "Persian is spelled with a non-joiner"],
    ["👩\u200d🚀", "👩\u200d🚀", "an emoji with a joiner"],
    ["<b>&amp;", "<b>&amp;", "markup is text: nodes are made of it, never HTML"],
    ["\ud800x", "\ufffdx", "half a character"],
  ];
  for (const [given, shown, why] of rows) assert.equal(visible(given), shown, why);
});

test("times are as a player shows them, and are read as people type them", () => {
  const rows: [number, string][] = [[0, "0:00"], [4000, "0:04"], [750_500, "12:30.5"], [3_723_000, "1:02:03"], [-1500, "-0:01.5"], [59_999, "0:59.999"]];
  for (const [ms, text] of rows) {
    assert.equal(clock(ms), text);
    assert.equal(readClock(text), ms, "what is shown can be typed");
  }
  for (const [text, ms] of [["62", 62_000], ["4s", 4_000], [" 1:00 ", 60_000], ["0.5", 500]] as const) assert.equal(readClock(text), ms);
  for (const text of ["", "soon", "1:2:3:4", "1e9", "--1"]) assert.equal(readClock(text), null, `${text} is no time`);
});

test("lengths of time keep to a few characters", () => {
  const rows: [number, string][] = [[0, "0 s"], [500, "0.5 s"], [3_000, "3 s"], [12_345, "12 s"], [119_000, "119 s"], [180_000, "3 min"], [7_200_000, "2 h"], [172_800_000, "2 d"], [-5, "0 s"]];
  for (const [ms, text] of rows) assert.equal(span(ms), text);
});

test("events are named and explained for people", () => {
  assert.equal(eventName("framecue.signal_lost"), "signal lost");
  assert.equal(eventName("framecue.new_kind"), "new kind", "one that this page does not know yet");
  assert.equal(eventName("goal"), "goal");
  const one = event(0, { evidence: { frames: [], cues: [], picture: 0.91, text: 0.83 } });
  assert.equal(decidedBy(one, rule({ combine: "both" })), "picture 0.91 and words 0.83, both needed");
  assert.equal(decidedBy(one, rule({ combine: "text" })), "by words alone: words 0.83");
  assert.equal(decidedBy(one), "picture 0.91 and words 0.83", "the rule may be gone");
  assert.equal(decidedBy(event(0, { evidence: { frames: [], cues: [], picture: null, text: null } })), "");
});

test("patterns of stream ids fit as the gateway's do", () => {
  const rows: [string, string, boolean][] = [
    ["lab-1", "lab-*", true], ["xlab-1", "lab-*", false], ["lab-12", "lab-?", false], ["a.b", "a.b", true], ["axb", "a.b", false], ["cam1", "*", true], ["Cam1", "cam1", false],
  ];
  for (const [id, pattern, is] of rows) assert.equal(fits(id, pattern), is, `${id} ${pattern}`);
  assert.equal(asPattern("cam"), "*cam*");
  assert.equal(asPattern("lab-*"), "lab-*");
  assert.equal(asPattern("  "), "*");
  assert.equal(asPattern("a b]c"), "*abc*", "no id has them, and the gateway refuses them");
});

test("addresses lead to pages and back", () => {
  assert.deepEqual(readRoute("/"), { page: "wall" });
  assert.deepEqual(readRoute(streamPath("cam-1")), { page: "stream", stream: "cam-1" });
  const id = "cam1/1795533262660/groom in a hurry/22000.2";
  assert.equal(eventPath(id), "/events/cam1/1795533262660/groom%20in%20a%20hurry/22000.2");
  assert.deepEqual(readRoute(eventPath(id)), { page: "events", event: id });
  assert.deepEqual(readRoute("/events/%"), { page: "events", event: "%" }, "what cannot be decoded stays, and is not found");
  for (const path of ["/x", "/streams", "/streams/a/b", "/rules/x"]) assert.deepEqual(readRoute(path), { page: "nowhere" }, path);
});
