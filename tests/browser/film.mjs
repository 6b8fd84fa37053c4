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

export const REEL_SECONDS = 480;

/** Whether a picture is of second `s` of the reel, whose colours come again after 64 seconds. */
export const isOf = (shown, s) => {
  const far = (n) => colour(n).reduce((sum, c, i) => sum + (c - shown[i]) ** 2, 0);
  return [...Array(64).keys()].every((n) => far(n) >= far(s % 64));
};

/** Makes `reel.mkv` in `dir` unless it is there: colours under noise, so that it takes a while to come; two sounds. */
export function makeReel(dir) {
  mkdirSync(dir, { recursive: true });
  const reel = join(dir, `reel-${REEL_SECONDS}.mkv`), part = join(dir, "part-reel.mkv");
  if (existsSync(reel)) return reel;
  const frame = (s) => Buffer.alloc(320 * 180 * 3, Buffer.from(colour(s)));
  const input = Buffer.concat([...Array(REEL_SECONDS).keys()].map(frame));
  const tone = (hz) => ["-f", "lavfi", "-i", `sine=frequency=${hz}:sample_rate=48000:duration=${REEL_SECONDS}`];
  execFileSync("ffmpeg", ["-v", "error", "-nostdin", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "320x180", "-r", "1", "-i", "pipe:0",
    ...tone(440), ...tone(880), "-map", "0:v", "-map", "1:a", "-map", "2:a", "-vf", "fps=24,noise=alls=20:allf=t,format=yuv420p",
    "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "700k", "-maxrate", "700k", "-bufsize", "700k", "-g", "60", "-c:a", "aac",
    "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu", "-t", String(REEL_SECONDS), part],
  { input, stdio: ["pipe", "inherit", "inherit"] });
  renameSync(part, reel);
  return reel;
}
