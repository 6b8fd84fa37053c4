// The page plays a film that is still with its seeders: magnet to first frame, seeks into holes, another sound, seeders that go
// and return, a server that is killed and started again.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { REEL_SECONDS, isOf } from "./film.mjs";
import { keep, percentile, picture, seek, startBrowser, startSwarm } from "./harness.mjs";

let swarm, browser, page;

before(async () => {
  swarm = await startSwarm({ seeders: 3, rate: 500_000 });
  browser = await startBrowser();
  page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
});
after(async () => { await browser?.close(); await swarm?.stop(); });

const rightSecond = async (to) => {
  const shown = await picture(page);
  assert.ok(isOf(shown, Math.floor(to)), `the picture at ${to} s is ${shown.map(Math.round)}`);
};

const noComplaint = async () => assert.equal(await page.locator(".error").count(), 0, await page.locator(".error").allInnerTexts().then(String));

/** Which pieces are here, one flag each. */
async function pieces() {
  const { runs } = await swarm.json("/pieces");
  return runs.flatMap(([state, count]) => Array(count).fill(state === "have"));
}

/** The middle of a second of which nothing is here, `part` of the way through the film or as near behind it as there is. */
async function hole(part) {
  const here = await pieces();
  // Bytes are spread as seconds are: the film's rate is constant.
  for (let s = Math.floor(part * (REEL_SECONDS - 12)); s < REEL_SECONDS - 12; s++) {
    const at = Math.floor(s / REEL_SECONDS * here.length);
    if (!here.slice(Math.max(0, at - 6), at + 8).includes(true)) return s + 0.4;
  }
  return null;
}

const playOn = (seconds, patience = 60_000) => page.evaluate(([seconds, patience]) => new Promise((done, fail) => {
  const video = document.querySelector("video"), from = video.currentTime;
  const look = setInterval(() => { if (video.currentTime > from + seconds) { clearInterval(look); done(video.currentTime); } }, 50);
  setTimeout(() => fail(new Error(`after ${patience} ms at ${video.currentTime}, from ${from}, ready ${video.readyState}`)), patience);
  video.play().catch(fail);
}), [seconds, patience]);

test("a magnet's first frame comes while hardly anything is here", async () => {
  await page.goto(swarm.url);
  const begin = performance.now();
  const added = await page.evaluate(async (magnet) => {
    const answer = await fetch("/api/v1/torrents", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ magnet, files: [], wait: 20 }) });
    return answer.status;
  }, swarm.magnet);
  assert.equal(added, 201);
  await page.evaluate((id) => { location.hash = `#/watch/${id}`; }, swarm.id);
  await page.waitForFunction(() => document.querySelector("video")?.readyState >= 2, null, { timeout: 30_000 });
  const took = performance.now() - begin, here = await pieces(), torrent = await swarm.json("");
  keep("magnet.json", { magnet_to_first_frame_ms: took, pieces: here.length, here: here.filter(Boolean).length, downloaded: torrent.downloaded });
  await page.evaluate(() => document.querySelector("video").pause());
  await rightSecond(await page.evaluate(() => document.querySelector("video").currentTime));
  assert.ok(here.filter(Boolean).length < here.length / 3, "most of it was here before the first frame");
});

test("ten seeks into holes show the right second", async () => {
  const took = [];
  for (const part of [0.5, 0.95, 0.3, 0.7, 0.2, 0.85, 0.4, 0.6, 0.15, 0.77]) {
    const to = await hole(part);
    assert.ok(to !== null, `no hole is left after ${took.length} seeks`);
    took.push((await seek(page, to, 30_000)).took);
    await rightSecond(to);
  }
  const torrent = await swarm.json("");
  keep("holes.json", { seek_ms: { p50: percentile(took, 50), max: Math.max(...took), all: took }, downloaded: torrent.downloaded, wasted: torrent.wasted });
  await noComplaint();
  keep("torrent.png", await page.screenshot());
});

test("another sound is switched to", async () => {
  const sound = page.getByLabel("Sound");
  const options = await sound.locator("option").allInnerTexts();
  assert.equal(options.length, 2, `sounds: ${options}`);
  await sound.selectOption({ index: 1 });
  await playOn(3);
  assert.equal(await sound.inputValue(), "1");
  await noComplaint();
});

test("seeders go and return: the page waits, says why, and plays on", async () => {
  await page.evaluate(() => document.querySelector("video").pause());
  await swarm.seeders.stop();
  for (let tries = 0; (await swarm.json("")).peers > 0; tries++) {
    assert.ok(tries < 200, "the server does not notice that its peers are gone");
    await page.waitForTimeout(50);
  }
  const to = await hole(0.1) ?? await hole(0);
  assert.ok(to !== null, "no hole is left");
  const arrives = seek(page, to, 90_000);
  await page.waitForTimeout(12_000);
  await noComplaint();
  assert.match(await page.locator(".wait").innerText(), /nobody has them/);
  keep("nobody.png", await page.screenshot());
  await swarm.seeders.start();
  const { took } = await arrives;
  keep("returned.json", { seek_ms: took });
  await rightSecond(to);
  await playOn(2);
  await noComplaint();
});

test("the server is killed and started again in mid-play, and the page goes on", async () => {
  await page.evaluate(() => document.querySelector("video").play());
  await swarm.kill();
  const to = await page.evaluate(() => { const video = document.querySelector("video"); return Math.min(video.currentTime + 70, video.duration - 20); });
  const arrives = seek(page, Math.floor(to) + 0.4, 90_000);
  await page.waitForTimeout(4_000);
  await noComplaint();
  await swarm.start();
  await arrives;
  // It plays: the colour of where it is, give or take a frame.
  const at = await playOn(3);
  await page.evaluate(() => document.querySelector("video").pause());
  const now = await page.evaluate(() => document.querySelector("video").currentTime), shown = await picture(page);
  assert.ok([now, now - 0.1, now + 0.1].some((t) => isOf(shown, Math.floor(t))), `at ${now} s (${at}) the picture is ${shown}`);
  keep("restarted.png", await page.screenshot());
  await noComplaint();
});
