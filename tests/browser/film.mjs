// A film whose every second has its own colour, so that a picture on the screen says which second it is of.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const SECONDS = 40;

/** The colour of second `s`, as [r, g, b]: each its own corner of a grid, so far apart that no conversion mixes them up. */
export const colour = (s) => {
  const corner = (s * 27 + 5) % 64, level = (n) => 20 + 70 * n;
  return [level(corner & 3), level(corner >> 2 & 3), level(corner >> 4)];
};

/** The second whose colour is nearest to this one. */
export function secondOf(shown) {
  const far = (s) => colour(s).reduce((sum, c, i) => sum + (c - shown[i]) ** 2, 0);
  return [...Array(SECONDS).keys()].reduce((best, s) => far(s) < far(best) ? s : best);
}

const hex = (s) => "0x" + colour(s).map((c) => c.toString(16).padStart(2, "0")).join("");

const time = (s) => `00:00:${String(s).padStart(2, "0")},000`;

/** Makes `colours.mkv` and `colours.mp4` in `dir` unless they are there. */
export function makeFilms(dir) {
  mkdirSync(dir, { recursive: true });
  if (existsSync(join(dir, "colours.mp4")) && existsSync(join(dir, "colours.mkv"))) return;
  const seconds = [...Array(SECONDS).keys()];
  const graph = seconds.map((s) => `color=c=${hex(s)}:s=320x180:r=24:d=1,format=yuv420p[c${s}];`).join("")
    + seconds.map((s) => `[c${s}]`).join("") + `concat=n=${SECONDS}:v=1:a=0[v]`;
  const srt = join(dir, "colours.srt");
  writeFileSync(srt, seconds.map((s) => `${s + 1}\n${time(s)} --> ${time(s + 1)}\nsecond ${s}\n\n`).join(""));
  const ff = (...args) => execFileSync("ffmpeg", ["-v", "error", "-nostdin", "-y", ...args], { stdio: "inherit" });
  const tone = (hz) => ["-f", "lavfi", "-i", `sine=frequency=${hz}:sample_rate=48000:duration=${SECONDS}`];
  const mkv = join(dir, "part-colours.mkv"), mp4 = join(dir, "part-colours.mp4");
  ff("-filter_complex", graph, ...tone(440), ...tone(660), ...tone(880), "-i", srt,
    "-map", "[v]", "-map", "0:a", "-map", "1:a", "-map", "2:a", "-map", "3:s",
    "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-bf", "3",
    "-x264-params", "keyint=60:min-keyint=60:scenecut=0",
    "-c:a:0", "aac", "-c:a:1", "ac3", "-c:a:2", "aac", "-c:s", "srt",
    "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra", "-metadata:s:a:2", "language=deu",
    "-metadata:s:s:0", "language=eng", "-disposition:a:0", "default", "-t", String(SECONDS), mkv);
  ff("-i", mkv, "-map", "0", "-c", "copy", "-c:s", "mov_text", mp4);
  renameSync(mkv, join(dir, "colours.mkv"));
  renameSync(mp4, join(dir, "colours.mp4"));
}
