import assert from "node:assert/strict";
import { test } from "node:test";
import { condition, terms, where } from "../src/rulewords.ts";
import { toYaml } from "../src/rulesyaml.ts";
import { rule } from "./making.ts";

test("conditions are said in plain words", () => {
  const both = { picture: ["a cat"], text: ["cat", "/kitt(y|en)/"] };
  const rows: [Parameters<typeof rule>[0], string][] = [
    [{ picture: ["a cat"], combine: "picture" }, "When the picture shows “a cat”."],
    [{ text: ["cat", "kitten", "/miaow+/"], combine: "text" }, "When the words mean “cat”, “kitten” or /miaow+/."],
    [{ ...both, combine: "either" }, "When the picture shows “a cat”, or the words mean “cat” or /kitt(y|en)/."],
    [{ ...both, combine: "both", tolerance_ms: 1000 }, "When the picture shows “a cat” and, within 1 s, the words mean “cat” or /kitt(y|en)/."],
    [{ ...both, combine: "weighted", weights: [0.7, 0.3] }, "When the picture shows “a cat” and the words mean “cat” or /kitt(y|en)/, weighed 70 to 30, within 4 s."],
  ];
  for (const [given, words] of rows) assert.equal(condition(rule(given)), words);
});

test("terms say only what holds", () => {
  assert.deepEqual(terms(rule({})), ["Begins at 0.60; ends below 0.40.", "Told once all words are in; never taken back."]);
  assert.deepEqual(terms(rule({ not: ["a dog"], for_ms: 4000, cooldown_ms: 60_000, when: "early" })), ["Not for “a dog”.", "Begins at 0.60, held for 4 s; ends below 0.40.", "Then rests for 60 s.", "Told at once; later words may change it."]);
  assert.equal(where("*"), "every stream");
  assert.equal(where("lab-*"), "streams named lab-*");
  assert.equal(where("lab-1"), "the stream lab-1");
});

test("rules to be changed by hand are written as a rules file holds them", () => {
  const yaml = toYaml({
    scenes: [{ streams: "*", labels: ["kitchen", "a: b", "no"] }],
    events: [rule({ name: "goal", streams: "sport-*", picture: ["a \"goal\""], text: ["goal"], combine: "both", for_ms: 1500, cooldown_ms: 30_000 })],
  });
  assert.equal(yaml, [
    "scenes:", '  - streams: "*"', "    labels:", "      - kitchen", '      - "a: b"', '      - "no"', "",
    "events:", "  - name: goal", '    streams: "sport-*"', '    picture: ["a \\"goal\\""]', "    text: [goal]", "    combine: both", "    tolerance: 4s", "    enter: 0.6", "    exit: 0.4", "    for: 1500ms", "    cooldown: 30s", "",
  ].join("\n"));
  assert.equal(toYaml({ scenes: [], events: [] }), "scenes: []\n\nevents: []\n");
});
