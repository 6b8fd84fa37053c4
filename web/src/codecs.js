// What this browser can decode, as families for ?codecs=.
const PROBES = [
  ["avc1", 'video/mp4; codecs="avc1.640028"'],
  ["hvc1", 'video/mp4; codecs="hvc1.2.4.L120.90"'],
  ["vp09", 'video/mp4; codecs="vp09.00.40.08"'],
  ["vp8", 'video/mp4; codecs="vp08.00.40.08"'],
  ["av01", 'video/mp4; codecs="av01.0.08M.08"'],
  ["mp4a.40", 'audio/mp4; codecs="mp4a.40.2"'],
  ["mp3", 'audio/mp4; codecs="mp4a.6B"'],
  ["opus", 'audio/mp4; codecs="opus"'],
  ["flac", 'audio/mp4; codecs="flac"'],
  ["ac-3", 'audio/mp4; codecs="ac-3"'],
  ["ec-3", 'audio/mp4; codecs="ec-3"'],
];

export function decodable() {
  const source = globalThis.ManagedMediaSource ?? globalThis.MediaSource;
  if (!source) return "";
  return PROBES.filter(([, type]) => source.isTypeSupported(type)).map(([family]) => family).join(",");
}
