// Starts the page: takes clicks on links of our own, asks who looks, and draws.

import { render } from "preact";
import { App } from "./app.tsx";
import { findSession, go } from "./state.ts";

document.addEventListener("click", (e) => {
  if (e.defaultPrevented || e.button !== 0 || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
  const link = (e.target as Element).closest("a");
  if (!link || link.target || link.origin !== location.origin || /^\/(docs|v1|openapi|static|metrics)/.test(link.pathname)) return;
  e.preventDefault();
  if (link.hash && link.pathname === location.pathname) document.querySelector<HTMLElement>(link.hash)?.focus();
  else go(link.pathname + link.search);
});

void findSession();
render(<App />, document.getElementById("app")!);
