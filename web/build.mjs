// Puts the page together in dist/: three files and what they are called by.
import { cp, mkdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
await rm(`${here}dist`, { recursive: true, force: true });
await mkdir(`${here}dist`, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: ["src/page.ts", "src/page.css"],
  outdir: "dist",
  bundle: true,
  minify: true,
  target: ["es2022", "chrome100", "firefox102", "safari15.4"],
  format: "esm",
  conditions: ["source", "browser"],
  define: { global: "globalThis" },
  legalComments: "linked",
  logLevel: "warning",
});
for (const file of ["index.html", "config.json", "icon.svg"]) {
  await cp(`${here}src/${file}`, `${here}dist/${file}`);
}
