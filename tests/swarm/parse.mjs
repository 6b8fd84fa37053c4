// What webtorrent's parse-torrent reads in a .torrent, as a line of JSON: node parse.mjs FILE.
import { readFile } from "node:fs/promises";
import parseTorrent from "parse-torrent";

const { infoHash, name, length, pieceLength, pieces, announce, urlList, files, private: secret } = await parseTorrent(
  new Uint8Array(await readFile(process.argv[2])),
);
const listed = files.map(({ path, length }) => ({ path, length }));
const line = { infoHash, name, length, pieceLength, pieces: pieces.length, announce, urlList, files: listed, private: secret };
process.stdout.write(`${JSON.stringify(line)}\n`);
