// One colour for one scene, the same everywhere: by its place among the labels in force, so that the labels of one stream
// differ; what is in no list goes by its name. Whatever is drawn before the labels are known is coloured again then.

import { signal } from "@preact/signals";
import type { RuleSet } from "./wire.ts";

const COLOURS = 10;
const places = signal<ReadonlyMap<string, number>>(new Map());

/** Takes the labels of `rules` as what is to be told apart. */
export function setLabels(rules: RuleSet): void {
  const found = new Map<string, number>();
  for (const scene of rules.scenes) scene.labels.forEach((label, place) => found.has(label) || found.set(label, place));
  if ([...found].join() !== [...places.peek()].join()) places.value = found;
}

/** The class that colours a label; `unknown` has none of its own. */
export function sceneClass(label: string): string {
  return label === "unknown" ? "scene-0" : `scene-${((places.value.get(label) ?? hash(label)) % COLOURS) + 1}`;
}

function hash(label: string): number {
  let value = 2166136261;
  for (let at = 0; at < label.length; at++) value = Math.imul(value ^ label.charCodeAt(at), 16777619);
  return value >>> 0;
}
