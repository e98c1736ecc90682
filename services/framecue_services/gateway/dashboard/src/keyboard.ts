// Single keys, as one who watches all day uses them. Off where somebody types, and wherever the viewer switched them off
// (but for Escape): they would be in the way of speech input.

import { useEffect, useRef } from "preact/hooks";
import { shortcuts } from "./state.ts";

export type Keys = Record<string, (event: KeyboardEvent) => void>;

const layers: { current: Keys }[] = [];

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target as HTMLElement;
  const types = target.closest("input, textarea, select, [contenteditable]") !== null;
  if (types && event.key !== "Escape") return;
  if (shortcuts.value === "off" && event.key.length === 1) return;
  if (document.querySelector("dialog[open]") && event.key !== "?") return;
  if ((event.key === "Enter" || event.key === " ") && target.closest("a, button, summary")) return;
  for (const layer of [...layers].reverse()) {
    const handler = layer.current[event.key];
    if (handler) {
      event.preventDefault();
      handler(event);
      return;
    }
  }
});

/** Hears `keys` while the component stands; later ones go first. */
export function useKeys(keys: Keys): void {
  const layer = useRef(keys);
  layer.current = keys;
  useEffect(() => {
    layers.push(layer);
    return () => void layers.splice(layers.indexOf(layer), 1);
  }, []);
}

/** Moves the focus among the elements that `selector` finds, by `step`, from the one that holds it. */
export function moveFocus(selector: string, step: number): void {
  const all = [...document.querySelectorAll<HTMLElement>(selector)];
  if (!all.length) return;
  const at = all.findIndex((element) => element === document.activeElement || element.contains(document.activeElement));
  const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step));
  all[next]!.focus();
  all[next]!.scrollIntoView({ block: "nearest" });
}

/** How many tiles stand in the first row, for the arrow keys. */
export function perRow(selector: string): number {
  const all = document.querySelectorAll<HTMLElement>(selector);
  const top = all[0]?.offsetTop;
  let count = 0;
  for (const element of all) {
    if (element.offsetTop !== top) break;
    count++;
  }
  return Math.max(1, count);
}
