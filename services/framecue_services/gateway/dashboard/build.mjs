// Builds the page into ../static (or the folder that is given): the same sources give the same bytes. manifest.json says
// of which sources, so that a test sees when somebody changed one and built nothing.

import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const from = import.meta.dirname;
const to = process.argv[2] ?? join(from, "..", "static");
const LICENSES = "Preact, copyright Jason Miller, and @preact/signals, copyright Preact Team, are under the MIT license.";

mkdirSync(to, { recursive: true });
await build({
  absWorkingDir: from,
  entryPoints: ["src/main.tsx"],
  outfile: join(to, "app.js"),
  bundle: true, minify: true, format: "esm", target: "es2022", jsx: "automatic", jsxImportSource: "preact",
  charset: "utf8", legalComments: "none", banner: { js: `/* ${LICENSES} */` },
});
await build({ absWorkingDir: from, entryPoints: ["src/theme.ts"], outfile: join(to, "theme.js"), bundle: true, minify: true, format: "iife", target: "es2022" });
await build({ absWorkingDir: from, entryPoints: ["src/app.css"], outfile: join(to, "app.css"), bundle: true, minify: true, target: ["chrome111", "firefox115", "safari16.4"], charset: "utf8" });
for (const name of ["index.html", "icon.svg"]) copyFileSync(join(from, "src", name), join(to, name));

const sha256 = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");
const sources = ["package.json", "package-lock.json", "build.mjs", "tsconfig.json", ...readdirSync(join(from, "src")).map((name) => `src/${name}`)].sort();
const files = ["index.html", "icon.svg", "app.js", "app.css", "theme.js"].sort();
const manifest = {
  sources: Object.fromEntries(sources.map((name) => [name, sha256(join(from, name))])),
  files: Object.fromEntries(files.map((name) => [name, sha256(join(to, name))])),
};
writeFileSync(join(to, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
