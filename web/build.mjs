// Bundles src/ into dist/: names below assets/ carry a hash of their content and may be kept for ever.
import { build } from "esbuild";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, relative } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(dirname(fileURLToPath(import.meta.url)));
rmSync("dist", { recursive: true, force: true });
mkdirSync("dist", { recursive: true });
const { metafile } = await build({
  entryPoints: ["src/main.js", "src/style.css"],
  outdir: "dist/assets",
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  target: ["es2022", "safari16"],
  minify: true,
  legalComments: "linked",
  metafile: true,
});
const address = (source) => {
  const found = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint === source);
  if (!found) throw new Error(`${source} was not built`);
  return "/" + relative("dist", found[0]);
};
// The player is needed a moment after the page: the browser may fetch it meanwhile.
const main = metafile.outputs["dist" + address("src/main.js")];
const later = main.imports.filter((i) => i.kind === "dynamic-import").map((i) => "/" + relative("dist", i.path));
const page = readFileSync("src/index.html", "utf8")
  .replace("/main.js", address("src/main.js"))
  .replace("/style.css", address("src/style.css"))
  .replace("<!-- later -->", later.map((path) => `<link rel="modulepreload" href="${path}">`).join("\n  "));
writeFileSync("dist/index.html", page);
copyFileSync("src/favicon.svg", "dist/favicon.svg");
