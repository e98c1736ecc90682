// Rules in plain words, as one would say them to a colleague. Pure.

import type { EventRule } from "./wire.ts";
import { span } from "./words.ts";

/** `“a”, “b” or “c”`; a regular expression stands as it is. */
export function either(phrases: readonly string[]): string {
  const quoted = phrases.map((one) => (isRegex(one) ? one : `“${one}”`));
  return quoted.length < 2 ? (quoted[0] ?? "") : `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
}

/** When it begins, in one sentence. */
export function condition(rule: EventRule): string {
  const picture = `the picture shows ${either(rule.picture)}`;
  const text = `the words mean ${either(rule.text)}`;
  switch (rule.combine) {
    case "picture": return `When ${picture}.`;
    case "text": return `When ${text}.`;
    case "either": return `When ${picture}, or ${text}.`;
    case "both": return `When ${picture} and, within ${span(rule.tolerance_ms)}, ${text}.`;
    case "weighted": return `When ${picture} and ${text}, weighed ${weights(rule)}, within ${span(rule.tolerance_ms)}.`;
  }
}

/** What comes after the condition: lengths, rests, when it is decided. */
export function terms(rule: EventRule): string[] {
  return [
    ...(rule.not.length ? [`Not for ${either(rule.not)}.`] : []),
    `Begins at ${rule.enter.toFixed(2)}${rule.for_ms ? `, held for ${span(rule.for_ms)}` : ""}; ends below ${rule.exit.toFixed(2)}.`,
    ...(rule.cooldown_ms ? [`Then rests for ${span(rule.cooldown_ms)}.`] : []),
    rule.when === "early" ? "Told at once; later words may change it." : "Told once all words are in; never taken back.",
  ];
}

/** Which streams, in words. */
export function where(pattern: string): string {
  return pattern === "*" ? "every stream" : /[*?]/.test(pattern) ? `streams named ${pattern}` : `the stream ${pattern}`;
}

function weights(rule: EventRule): string {
  const [picture, text] = rule.weights ?? [0.5, 0.5];
  return picture === text ? "equally" : `${Math.round(picture * 100)} to ${Math.round(text * 100)}`;
}

function isRegex(phrase: string): boolean {
  return phrase.length > 2 && phrase.startsWith("/") && phrase.endsWith("/");
}
