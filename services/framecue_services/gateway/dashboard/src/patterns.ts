// Patterns of stream ids, as rules, tokens and filters write them. Pure.

/** Whether `id` fits `pattern`: `*` any run, `?` any one character. */
export function fits(id: string, pattern: string): boolean {
  const source = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${source}$`, "s").test(id);
}

/** What a person typed into a stream filter, as a pattern: `cam` means `*cam*`. Characters no id has are left out. */
export function asPattern(typed: string): string {
  const kept = typed.replace(/[^A-Za-z0-9._\-*?]/g, "").slice(0, 126);
  if (!kept) return "*";
  return /[*?]/.test(kept) ? kept : `*${kept}*`;
}
