// Which page an address means, and the address of a page. Pure.

export type Route =
  | { page: "wall" }
  | { page: "stream"; stream: string }
  | { page: "events"; event: string | null }
  | { page: "rules" }
  | { page: "nowhere" };

export function readRoute(path: string): Route {
  const parts = path.split("/").slice(1).map(decoded);
  if (path === "/") return { page: "wall" };
  if (parts[0] === "streams" && parts.length === 2 && parts[1]) return { page: "stream", stream: parts[1] };
  if (parts[0] === "events") return { page: "events", event: parts.length > 1 ? parts.slice(1).join("/") || null : null };
  if (parts[0] === "rules" && parts.length === 1) return { page: "rules" };
  return { page: "nowhere" };
}

export function streamPath(stream: string): string {
  return `/streams/${encodeURIComponent(stream)}`;
}

export function eventPath(id: string): string {
  return `/events/${segments(id)}`;
}

/** An event's id as part of a path: its slashes stay, all else is escaped. */
export function segments(id: string): string {
  return id.split("/").map(encodeURIComponent).join("/");
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
