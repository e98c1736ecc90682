// Rules as a rules file holds them, to be changed by hand. Pure.

import type { EventRule, RuleSet } from "./wire.ts";

/** `rules` as YAML that `framecue rules apply` reads; what is as by default is left out. */
export function toYaml(rules: RuleSet): string {
  const scenes = rules.scenes.flatMap((scene) => [`  - streams: ${quoted(scene.streams)}`, "    labels:", ...scene.labels.map((label) => `      - ${quoted(label)}`)]);
  const events = rules.events.flatMap(eventLines);
  return [...(scenes.length ? ["scenes:", ...scenes, ""] : ["scenes: []", ""]), ...(events.length ? ["events:", ...events] : ["events: []"]), ""].join("\n");
}

function eventLines(rule: EventRule): string[] {
  const given = sides(rule);
  const combine = given === 1 ? (rule.picture.length ? "picture" : "text") : "either";
  const when = rule.combine === "picture" ? "early" : "settled";
  return [
    `  - name: ${quoted(rule.name)}`,
    ...(rule.streams === "*" ? [] : [`    streams: ${quoted(rule.streams)}`]),
    ...phrases("picture", rule.picture),
    ...phrases("text", rule.text),
    ...phrases("not", rule.not),
    ...(rule.combine === combine ? [] : [`    combine: ${rule.combine}`]),
    ...(rule.weights ? [`    weights: [${rule.weights.join(", ")}]`] : []),
    ...(given === 2 ? [`    tolerance: ${duration(rule.tolerance_ms)}`] : []),
    ...(rule.when === when ? [] : [`    when: ${rule.when}`]),
    `    enter: ${rule.enter}`,
    `    exit: ${rule.exit}`,
    ...(rule.for_ms ? [`    for: ${duration(rule.for_ms)}`] : []),
    ...(rule.cooldown_ms ? [`    cooldown: ${duration(rule.cooldown_ms)}`] : []),
    ...calibration("picture_calibration", rule),
    ...calibration("text_calibration", rule),
  ];
}

function sides(rule: EventRule): number {
  return Number(rule.picture.length > 0) + Number(rule.text.length > 0);
}

function phrases(name: string, all: readonly string[]): string[] {
  return all.length ? [`    ${name}: [${all.map(quoted).join(", ")}]`] : [];
}

function calibration(name: "picture_calibration" | "text_calibration", rule: EventRule): string[] {
  const pair = rule[name];
  return pair ? [`    ${name}: { a: ${pair.a}, b: ${pair.b} }`] : [];
}

function duration(ms: number): string {
  return ms % 1000 ? `${ms}ms` : `${ms / 1000}s`;
}

/** A JSON string is a YAML string in quotes. */
function quoted(text: string): string {
  return /^[A-Za-z][A-Za-z0-9 _-]*$/.test(text) && text.trim() === text && !/^(true|false|yes|no|on|off|null|y|n)$/i.test(text) ? text : JSON.stringify(text);
}
